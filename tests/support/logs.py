"""Creates entries and log files, and reads back what was written."""

import gzip
import time
from pathlib import Path

import orjson

from aliaport.logs.audit import Audit, AuditWriter
from aliaport.logs.entries import Entry, Importance
from aliaport.logs.files import LogFile
from aliaport.logs.lines import LineFormat
from aliaport.logs.retention import ROTATED
from aliaport.logs.writer import Writer, opener

LINES = LineFormat("aliaport.app", {"service.name": "aliaport-api"})


def entry(number: int, level: str = "info", text: str = "") -> Entry:
    importance = {"debug": 0, "info": 2, "warning": 3, "error": 4}[level]
    fields = {"number": number, "text": text}
    return Entry(time.time_ns(), level, Importance(importance), "counted", fields, None)


def numbers(*paths: Path) -> list[int]:
    """Return the numbers of the entries in these files; test_lines.py checks whole lines."""
    found = []
    for path in paths:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in data.splitlines():
            fields = orjson.loads(line)
            if fields["message"] == "counted":
                found.append(fields["aliaport.numbers.number"])
    return found


def log_file(folder: Path, rotate_bytes: int = 1_000_000) -> LogFile:
    return LogFile(folder / "app.log", opener(LINES), rotate_bytes)


def writer_of(file: LogFile) -> Writer:
    return Writer(file, LINES, copy=None, rotated=lambda: None)


def rotated_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if ROTATED.fullmatch(path.name))


def audit_of(file: LogFile) -> tuple[Audit, AuditWriter]:
    writer = AuditWriter(file, LINES, copy=None, rotated=lambda: None)
    return Audit(writer, {"plugin": "operations"}), writer
