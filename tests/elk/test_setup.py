"""`setup` creates and updates the objects on the servers, and reports what it did."""

import json
import os
import re
import stat
from pathlib import Path

import pytest

from tests.elk.setup_runs import ELK, run, run_on, run_process, servers
from tests.elk.stand_in import ADMIN_KEY, StandIn

STREAMS = [f"logs-aliaport.{name}-default" for name in ("app", "api", "error", "audit")]
OBJECTS = 1 + 2 + 4 + 2 + 4 + 13


def test_it_can_be_called_by_its_name() -> None:
    assert os.access(ELK / "setup", os.X_OK)


def test_a_separate_process_needs_no_packages_and_exits_with_the_right_code(
    server: StandIn, password: Path
) -> None:
    done = run_process(*servers(server, password))
    assert (done.code, done.outcomes(), done.err) == (0, {"created"}, "")
    assert len(done.out.splitlines()) == OBJECTS
    server.version = "9.2.9"
    refused = run_process(*servers(server, password))
    assert (refused.code, refused.out) == (1, "")
    assert "upgrade it to 9.3 or later" in refused.problem()
    wrong = run_process(*servers(server, password), "--ca", "/nowhere")
    assert (wrong.code, wrong.out) == (2, "")
    assert "is not a PEM file of certificates" in wrong.problem()


def test_the_first_run_creates_all_and_the_second_changes_nothing(
    server: StandIn, elk: Path, password: Path
) -> None:
    first = run_on(server, elk, password)
    assert (first.code, first.outcomes()) == (0, {"created"}), first
    assert len(first.out.splitlines()) == OBJECTS
    assert set(server.streams) == set(STREAMS)
    server.requests.clear()
    second = run_on(server, elk, password)
    assert (second.code, second.outcomes()) == (0, {"unchanged"}), second
    assert len(second.out.splitlines()) == OBJECTS
    assert server.changes() == []


@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("ingest_pipeline/aliaport-logs", ("processors",)),
        ("component_template/aliaport-fields", ("template", "mappings", "properties", "trace")),
        ("component_template/aliaport-shipping", ("template", "mappings", "properties", "tags")),
        ("index_template/aliaport-app", ("template", "aliases")),
        ("index_template/aliaport-audit", ("priority",)),
        ("role/aliaport-filebeat", ("cluster",)),
        ("role/aliaport-reader", ("applications",)),
    ],
)
def test_removing_something_from_a_file_is_a_change(
    server: StandIn, elk: Path, password: Path, file: str, keys: tuple[str, ...]
) -> None:
    run_on(server, elk, password)
    path = elk / "elasticsearch" / f"{file}.json"
    body = json.loads(path.read_text())
    here = body
    for key in keys[:-1]:
        here = here[key]
    here[keys[-1]] = 501 if keys[-1] == "priority" else type(here[keys[-1]])()
    path.write_text(json.dumps(body))
    done = run_on(server, elk, password)
    assert re.search(rf"^changed +{file}$", done.out, re.MULTILINE), done.out
    assert run_on(server, elk, password).outcomes() == {"unchanged"}


def test_a_new_retention_reaches_the_existing_stream(
    server: StandIn, elk: Path, password: Path
) -> None:
    run_on(server, elk, password)
    path = elk / "elasticsearch/index_template/aliaport-audit.json"
    path.write_text(path.read_text().replace('"90d"', '"120d"'))
    done = run_on(server, elk, password)
    assert "changed    index_template/aliaport-audit\n" in done.out
    assert "changed    data_stream/logs-aliaport.audit-default\n" in done.out
    assert "unchanged  data_stream/logs-aliaport.app-default\n" in done.out
    assert server.streams["logs-aliaport.audit-default"]["lifecycle"]["data_retention"] == "120d"


def test_new_mappings_apply_after_a_rollover(server: StandIn, elk: Path, password: Path) -> None:
    run_on(server, elk, password)
    path = elk / "elasticsearch/component_template/aliaport-fields.json"
    path.write_text(path.read_text().replace('"limit": "500"', '"limit": 600'))
    run_on(server, elk, password)
    assert {stream["rollovers"] for stream in server.streams.values()} == {1}


def test_a_lost_alias_is_restored(server: StandIn, elk: Path, password: Path) -> None:
    run_on(server, elk, password)
    server.streams["logs-aliaport.api-default"]["aliases"].clear()
    done = run_on(server, elk, password)
    assert "changed    data_stream/logs-aliaport.api-default\n" in done.out
    assert list(server.streams["logs-aliaport.api-default"]["aliases"]) == ["aliaport-api"]


def test_a_stream_that_filebeat_created_before_setup_is_corrected(
    server: StandIn, elk: Path, password: Path
) -> None:
    stream = {"lifecycle": {}, "aliases": {}, "failure_store": False, "rollovers": 0}
    server.streams["logs-aliaport.app-default"] = stream
    done = run_on(server, elk, password)
    assert "changed    data_stream/logs-aliaport.app-default\n" in done.out
    assert stream == {
        "lifecycle": {"data_retention": "30d"},
        "aliases": {"aliaport-app": {}},
        "failure_store": True,
        "rollovers": 1,
    }
    assert run_on(server, elk, password).outcomes() == {"unchanged"}


def test_a_changed_dashboard_is_imported_again(server: StandIn, elk: Path, password: Path) -> None:
    run_on(server, elk, password)
    path = elk / "kibana/aliaport.ndjson"
    path.write_text(path.read_text().replace("now-24h", "now-7d"))
    done = run_on(server, elk, password)
    assert "changed    dashboard/aliaport\n" in done.out
    assert "unchanged  search/aliaport-errors\n" in done.out
    assert server.kibana.saved["dashboard", "aliaport"]["attributes"]["timeFrom"] == "now-7d"


def test_a_dry_run_changes_nothing(
    server: StandIn, elk: Path, password: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    done = run_on(server, elk, password, "--dry-run", "--create-filebeat-key", key)
    assert (done.code, done.outcomes()) == (0, {"would be created"}), done
    assert len(done.out.splitlines()) == OBJECTS + 1
    assert server.changes() == []
    assert not key.exists()


def test_only_the_owner_can_read_the_file_with_filebeats_key(
    server: StandIn, elk: Path, password: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    done = run_on(server, elk, password, "--create-filebeat-key", key)
    assert done.code == 0, done
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    name, secret = key.read_text().strip().split(":")
    assert server.keys[name] == secret
    again = run_on(server, elk, password, "--create-filebeat-key", key)
    assert again.code == 2
    assert "must be a new file" in again.problem()


@pytest.mark.parametrize("encoded", [False, True])
def test_an_api_key_is_enough_for_everything_except_creating_a_key(
    server: StandIn, elk: Path, tmp_path: Path, encoded: bool
) -> None:
    file = tmp_path / "admin"
    file.write_text("YWRtaW4taWQ6YWRtaW4ta2V5" if encoded else ADMIN_KEY)
    where = ("--elasticsearch", server.url, "--kibana", server.kibana_url, "--api-key-file", file)
    assert run(elk, *where).code == 0
    refused = run(elk, *where, "--create-filebeat-key", tmp_path / "key")
    assert refused.code == 2
    assert "needs --user" in refused.problem()
