"""A model of Filebeat's filestream input: what it reads from files on a disk, and when.

It is stricter than Filebeat in one way: no file stays open between two polls. It finds a renamed file
again by its identity. A file removed before it was read to the end is lost, as for a Filebeat whose
reader was closed.
"""

import glob
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"


@dataclass
class State:
    """The read position of a file, and its last known name."""

    source: str
    offset: int = 0


class Filestream:
    """One filestream input with fingerprint identity and `compression: auto`."""

    def __init__(
        self,
        globs: Sequence[str | Path],
        registry: str | None = None,
        *,
        fingerprint_length: int = 1024,
        clean_removed: bool = False,
    ) -> None:
        self.globs = [str(pattern) for pattern in globs]
        self.fingerprint_length = fingerprint_length
        self.states = {key: State(**state) for key, state in json.loads(registry or "{}").items()}
        self.truncated: list[str] = []
        self.damaged: list[str] = []
        if clean_removed:
            present = set(self._paths())
            self.states = {k: state for k, state in self.states.items() if state.source in present}

    def dump(self) -> str:
        """Return the registry; a new Filestream with it acts as a restarted Filebeat."""
        return json.dumps({key: asdict(state) for key, state in self.states.items()})

    def poll(self) -> list[bytes]:
        """Read all files once to their ends and return the new complete lines."""
        lines: list[bytes] = []
        seen: set[str] = set()
        for path in self._paths():
            try:
                with open(path, "rb") as file:
                    lines += self._read(path, file, seen)
            except FileNotFoundError:
                continue  # renamed since the scan: the next one finds it under its new name
        return lines

    def _paths(self) -> list[str]:
        found = {path for pattern in self.globs for path in glob.glob(pattern)}
        return sorted(path for path in found if os.path.isfile(path) and not os.path.islink(path))

    def _read(self, path: str, file: BufferedReader, seen: set[str]) -> list[bytes]:
        archived = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        content = gzip.GzipFile(fileobj=file) if archived else file
        try:
            head = content.read(self.fingerprint_length)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self.damaged.append(path)
            return []
        if len(head) < self.fingerprint_length:
            return []
        identity = hashlib.sha256(head).hexdigest()
        if identity in seen:
            return []
        seen.add(identity)
        state = self.states.setdefault(identity, State(path))
        state.source = path
        if not archived and os.fstat(file.fileno()).st_size < state.offset:
            self.truncated.append(path)
            state.offset = 0
        complete = self._complete(path, content, state.offset)
        state.offset += len(complete)
        return [line for line in complete.split(b"\n") if line]

    def _complete(self, path: str, content: gzip.GzipFile | BufferedReader, offset: int) -> bytes:
        """Return all complete lines from the offset on; as many as possible of a broken archive."""
        chunks: list[bytes] = []
        try:
            content.seek(offset)
            while chunk := content.read(1 << 16):
                chunks.append(chunk)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self.damaged.append(path)
        data = b"".join(chunks)
        return data[: data.rfind(b"\n") + 1]
