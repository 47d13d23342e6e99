"""The model of Filebeat reads each line of the real writer once, under load and rotation."""

import json
import threading
import time
from pathlib import Path

import pytest

from aliaport.logs.entries import Entry, Importance
from aliaport.logs.files import LogFile
from aliaport.logs.lines import LineFormat
from aliaport.logs.retention import compress, rotated_files
from aliaport.logs.writer import Writer, opener
from tests.elk.filestream import Filestream
from tests.support.ecs import parsed

EVENTS = 12_000
LINES = LineFormat("aliaport.app", {"service.name": "aliaport-api"})


def entry(number: int) -> Entry:
    fields = {"number": number, "text": "x" * (number % 300)}
    return Entry(time.time_ns(), "info", Importance.INFO, "counted", fields, None)


@pytest.mark.parametrize("restarts", [0, 7])
def test_each_line_is_read_once_under_load_rotation_and_compression(
    tmp_path: Path, restarts: int
) -> None:
    file = LogFile(tmp_path / "app.log", opener(LINES), 150_000)
    writer = Writer(file, LINES, copy=None, rotated=lambda: None)
    filebeat = Filestream([tmp_path / "app.log*"])
    read: list[bytes] = []
    polls = 0

    def put_all() -> None:
        for number in range(EVENTS):
            writer.put(entry(number))
            if number % 100 == 0:
                assert writer.flush(30)

    load = threading.Thread(target=put_all)
    load.start()
    while load.is_alive():
        read += filebeat.poll()
        polls += 1
        # Filebeat is restarted, or was down while files were renamed and compressed.
        if restarts and polls % restarts == 0:
            filebeat = Filestream([tmp_path / "app.log*"], filebeat.dump())
        for rotated in rotated_files(tmp_path):
            if not rotated.compressed and polls % 3 == 0:
                compress(rotated.path)
    load.join()
    assert writer.flush(30)
    read += filebeat.poll()
    assert sum(writer.backlog.dropped.values()) == 0
    lines = [parsed(line + b"\n" if not line.endswith(b"\n") else line) for line in read]
    numbers = [line["aliaport.numbers.number"] for line in lines if line["message"] == "counted"]
    assert sorted(numbers) == list(range(EVENTS))
    openers = [line["aliaport.file_id"] for line in lines if line["message"] == "log.opened"]
    assert len(openers) == len(set(openers)) == len(rotated_files(tmp_path)) + 1 > 10
    assert len({line["event.id"] for line in lines}) == len(lines)
    assert filebeat.truncated == filebeat.damaged == []
    assert polls > 5


def test_a_quiet_file_is_not_held_back(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "audit.log", opener(LINES), 1_000_000)
    file.write(LINES.line(entry(1)))
    (first, second) = Filestream([tmp_path / "audit.log*"]).poll()
    assert json.loads(first)["message"] == "log.opened"
    assert json.loads(second)["aliaport.numbers.number"] == 1
