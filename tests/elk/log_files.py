"""Log files as Aliaport writes them, made by hand: an opening line, then events."""

import gzip
import json
import os
import uuid
from pathlib import Path


def line(message: str, **fields: object) -> bytes:
    """One line of a log file."""
    head = {
        "@timestamp": "2026-11-25T04:01:22.870123Z",
        "log.level": "info",
        "message": message,
        "ecs.version": "9.5.0",
        "event.id": uuid.uuid4().hex,
        "event.action": message,
    }
    return json.dumps({**head, **fields}, ensure_ascii=False).encode() + b"\n"


def opening(padding: int = 1000) -> bytes:
    """The line with which every file begins, longer than a fingerprint and like no other."""
    return line(
        "log.opened", **{"aliaport.file_id": uuid.uuid4().hex, "aliaport.padding": "." * padding}
    )


def new_file(path: Path, *messages: str) -> Path:
    """A file with its opening line and an event for each message."""
    path.write_bytes(opening() + b"".join(map(line, messages)))
    return path


def append(path: Path, *messages: str) -> None:
    """More events at the end of a file."""
    with path.open("ab") as file:
        file.writelines(map(line, messages))


def compress(path: Path) -> Path:
    """A rotated file in its compressed form, written under a hidden name first."""
    hidden = path.with_name(f".{path.name}.tmp")
    hidden.write_bytes(gzip.compress(path.read_bytes()))
    done = hidden.rename(f"{path}.gz")
    os.unlink(path)
    return done


def messages(lines: list[bytes]) -> list[str]:
    """What the events among the lines are called."""
    found = [json.loads(raw)["message"] for raw in lines]
    return [message for message in found if message != "log.opened"]
