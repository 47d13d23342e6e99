"""Handmade log files in Aliaport's format: an opening line, then events."""

import gzip
import json
import os
import uuid
from pathlib import Path


def line(message: str, **fields: object) -> bytes:
    """Return one line of a log file."""
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
    """Return the first line of a file: unique, and longer than a fingerprint."""
    return line(
        "log.opened", **{"aliaport.file_id": uuid.uuid4().hex, "aliaport.padding": "." * padding}
    )


def new_file(path: Path, *messages: str) -> Path:
    """Write a file with its opening line and an event for each message."""
    path.write_bytes(opening() + b"".join(map(line, messages)))
    return path


def append(path: Path, *messages: str) -> None:
    """Append an event for each message."""
    with path.open("ab") as file:
        file.writelines(map(line, messages))


def compress(path: Path) -> Path:
    """Compress a rotated file, first under a hidden name."""
    hidden = path.with_name(f".{path.name}.tmp")
    hidden.write_bytes(gzip.compress(path.read_bytes()))
    done = hidden.rename(f"{path}.gz")
    os.unlink(path)
    return done


def messages(lines: list[bytes]) -> list[str]:
    """Return the messages of the events among the lines."""
    found = [json.loads(raw)["message"] for raw in lines]
    return [message for message in found if message != "log.opened"]
