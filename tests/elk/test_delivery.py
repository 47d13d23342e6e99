"""Lines reach Elasticsearch at least once, and are stored once."""

import base64
import json
from pathlib import Path

import pytest

from tests.elk.filestream import Filestream
from tests.elk.log_files import append, compress, line, new_file
from tests.elk.setup_runs import run_on
from tests.elk.shipping import ship
from tests.elk.stand_in import NOW, StandIn

STREAM = "logs-aliaport.audit-default"


@pytest.fixture
def key(server: StandIn, elk: Path, password: Path, tmp_path: Path) -> str:
    """Return Filebeat's key for a stand-in that `setup` has prepared."""
    file = tmp_path / "filebeat-key"
    assert run_on(server, elk, password, "--create-filebeat-key", file).code == 0
    return base64.b64encode(file.read_bytes().strip()).decode()


async def test_a_line_sent_twice_is_stored_once(server: StandIn, key: str, tmp_path: Path) -> None:
    log = new_file(tmp_path / "audit.log", "plugin.loaded", "plugin.rejected", "service.draining")
    lines = Filestream([tmp_path / "audit.log*"]).poll()
    assert len(lines) == 4
    assert await ship(lines, "audit", server.url, key) == {201: 4}
    assert await ship(lines, "audit", server.url, key) == {409: 4}
    ids = {json.loads(line)["event.id"] for line in log.read_bytes().splitlines()}
    assert set(server.documents[STREAM]) == ids
    assert {document["event"]["id"] for document in server.documents[STREAM].values()} == ids


async def test_the_padding_of_the_opening_line_is_not_kept(
    server: StandIn, key: str, tmp_path: Path
) -> None:
    lines = Filestream([new_file(tmp_path / "audit.log")]).poll()
    await ship(lines, "audit", server.url, key)
    (opened,) = server.documents[STREAM].values()
    assert b"aliaport.padding" in lines[0]
    assert opened["aliaport"].keys() == {"file_id"}
    assert opened["event"]["ingested"] == NOW


async def test_a_crash_before_the_registry_was_written_duplicates_nothing(
    server: StandIn, key: str, tmp_path: Path
) -> None:
    log = new_file(tmp_path / "audit.log", "plugin.loaded")
    globs = [tmp_path / "audit.log*"]
    filebeat = Filestream(globs)
    await ship(filebeat.poll(), "audit", server.url, key)
    written = filebeat.dump()
    append(log, "configuration.applied")
    await ship(filebeat.poll(), "audit", server.url, key)
    compress(log.rename(tmp_path / "audit.log.20261125T101500Z-3f9c"))
    new_file(log, "service.draining")
    again = Filestream(globs, written).poll()
    assert await ship(again, "audit", server.url, key) == {409: 1, 201: 2}
    found = [document["message"] for document in server.documents[STREAM].values()]
    assert sorted(found) == [
        "configuration.applied",
        "log.opened",
        "log.opened",
        "plugin.loaded",
        "service.draining",
    ]


async def test_a_line_that_is_not_json_is_kept(server: StandIn, key: str, tmp_path: Path) -> None:
    log = new_file(tmp_path / "audit.log")
    with log.open("ab") as file:
        file.write(b"Fatal Python error: Segmentation fault\n")
    lines = Filestream([log]).poll()
    assert await ship(lines, "audit", server.url, key) == {201: 2}
    (kept,) = (d for d in server.documents[STREAM].values() if "error" in d)
    assert kept["message"] == "Fatal Python error: Segmentation fault"
    assert kept["event"] == {
        "ingested": NOW,
        "action": "log.unparsable",
        "kind": "pipeline_error",
        "dataset": "aliaport.audit",
    }
    assert kept["log"]["level"] == "error"


async def test_an_error_of_the_application_is_not_taken_for_a_broken_line(
    server: StandIn, key: str, tmp_path: Path
) -> None:
    log = new_file(tmp_path / "error.log")
    with log.open("ab") as file:
        file.write(line("job.failed", **{"error.type": "json", "error.message": "no JSON"}))
    await ship(Filestream([log]).poll(), "error", server.url, key)
    (kept,) = (d for d in server.documents["logs-aliaport.error-default"].values() if "error" in d)
    assert kept["event"]["action"] == "job.failed"
    assert "kind" not in kept["event"]


async def test_without_setup_there_is_no_stream(key: str, server: StandIn, tmp_path: Path) -> None:
    server.streams.clear()
    lines = Filestream([new_file(tmp_path / "audit.log")]).poll()
    assert await ship(lines, "audit", server.url, key) == {404: 1}
