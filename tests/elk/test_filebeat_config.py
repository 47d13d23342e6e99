"""filebeat.yml has only documented options, and none of the faults of the first draft.

DRAFT is that first draft: every check must find its fault there, so that a check that never finds
anything is noticed.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.elk import filebeat_options as options

ELK = Path(__file__).parents[2] / "deploy" / "elk"
NAMES = ("app", "api", "error", "audit")
FOLDER = [
    *(f"{name}.log" for name in NAMES),
    *(f"{name}.log.20261125T101500Z-3f9c" for name in NAMES),
    *(f"{name}.log.20261125T101500Z-3f9c.gz" for name in NAMES),
]
HIDDEN = [f".{name}.log.20261125T101500Z-3f9c.gz.tmp" for name in NAMES]
DRAFT = """
filebeat.inputs:
  - type: log
    enabled: true
    paths: [/app/logs/app.log, /app/logs/api.log, /app/logs/error.log]
    json.keys_under_root: true
    json.add_error_key: true
output.elasticsearch:
  hosts: ["elasticsearch:9200"]
  index: "aliaport-%{+yyyy.MM.dd}"
setup.kibana:
  host: "kibana:5601"
"""
Config = dict[str, Any]


def flat(node: Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every option under its full dotted name; `fields` holds data, not options."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and key != "fields":
            yield from flat(value, f"{name}.")
        else:
            yield name, value


def parsed(text: str) -> Config:
    return dict(flat(yaml.safe_load(text)))


def inputs(config: Config) -> list[Config]:
    return [dict(flat(entry)) for entry in config["filebeat.inputs"]]


def ndjson(entry: Config) -> Config:
    found = [parser["ndjson"] for parser in entry.get("parsers", []) if "ndjson" in parser]
    return found[0] if found else {}


def duration(text: str) -> timedelta:
    number, unit = re.fullmatch(r"(\d+)([smh])", text).groups()  # type: ignore[union-attr]
    return timedelta(seconds=int(number) * {"s": 1, "m": 60, "h": 3600}[unit])


def matched(paths: list[str], name: str) -> bool:
    return any(fnmatchcase(f"/app/logs/{name}", path) for path in paths)


OURS = parsed((ELK / "filebeat.yml").read_text())


def e1_the_input_is_filestream_with_an_id(config: Config) -> bool:
    ids = [entry.get("id") for entry in inputs(config)]
    fixed = all(entry and "$" not in entry and "%" not in entry for entry in ids)
    return all(entry["type"] == "filestream" for entry in inputs(config)) and fixed


def e2_lines_are_parsed_by_ndjson_and_keep_their_own_time(config: Config) -> bool:
    wanted = {"target": "", "overwrite_keys": True, "expand_keys": True, "add_error_key": True}
    return all(
        wanted.items() <= ndjson(entry).items()
        and not any(key.startswith("json.") for key in entry)
        for entry in inputs(config)
    )


def e3_the_index_is_named_in_full(config: Config) -> bool:
    named = {"setup.template.name", "setup.template.pattern"} <= config.keys()
    return named and config.get("setup.ilm.enabled") is False


def e5_the_connection_is_secured_and_the_key_comes_from_outside(config: Config) -> bool:
    hosts = config["output.elasticsearch.hosts"]
    return (
        all("https://" in host for host in hosts)
        and bool(config.get("output.elasticsearch.ssl.certificate_authorities"))
        and config.get("output.elasticsearch.api_key") == "${ELASTIC_API_KEY}"
    )


def e9_rotated_files_are_read_too(config: Config) -> bool:
    paths = [path for entry in inputs(config) for path in entry["paths"]]
    return all(matched(paths, name) for name in FOLDER if not name.startswith("audit"))


def e10_the_audit_file_has_a_stream_of_its_own(config: Config) -> bool:
    return any(
        entry["paths"] == ["/app/logs/audit.log*"]
        and entry["fields"]["data_stream"]["dataset"] == "aliaport.audit"
        for entry in inputs(config)
    )


CHECKS = [
    e1_the_input_is_filestream_with_an_id,
    e2_lines_are_parsed_by_ndjson_and_keep_their_own_time,
    e3_the_index_is_named_in_full,
    e5_the_connection_is_secured_and_the_key_comes_from_outside,
    e9_rotated_files_are_read_too,
    e10_the_audit_file_has_a_stream_of_its_own,
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_fault_is_gone(check: Callable[[Config], bool]) -> None:
    assert check(OURS), f"filebeat.yml: not true that {check.__name__.replace('_', ' ')}"
    assert not check(parsed(DRAFT)), "the check does not find the fault of the draft"


def undocumented(config: Config) -> set[str]:
    found = set(config) - options.GENERAL
    for entry in inputs(config):
        found |= {f"filestream: {key}" for key in set(entry) - options.FILESTREAM}
        found |= {f"ndjson: {key}" for key in set(ndjson(entry)) - options.NDJSON}
    return found


def test_every_option_is_documented_and_none_deprecated() -> None:
    assert undocumented(OURS) == set()
    used = set(OURS).union(*inputs(OURS))
    assert not used & options.DEPRECATED
    assert undocumented(parsed(DRAFT)) >= {"filestream: json.add_error_key", "setup.kibana.host"}


def test_the_input_ids_never_change() -> None:
    assert [entry["id"] for entry in inputs(OURS)] == [f"aliaport-{name}" for name in NAMES]


@pytest.mark.parametrize("entry", inputs(OURS), ids=lambda entry: entry["id"])
def test_an_input_reads_its_own_files_and_no_others(entry: Config) -> None:
    name = entry["id"].removeprefix("aliaport-")
    read = [file for file in FOLDER if matched(entry["paths"], file)]
    assert read == [file for file in FOLDER if file.startswith(f"{name}.log")]
    assert not [file for file in HIDDEN if matched(entry["paths"], file)]
    assert {str(PurePosixPath(path).parent) for path in entry["paths"]} == {"/app/logs"}


@pytest.mark.parametrize("entry", inputs(OURS), ids=lambda entry: entry["id"])
def test_an_input_identifies_files_by_their_first_bytes(entry: Config) -> None:
    assert "file_identity.fingerprint" in entry
    assert entry["prospector.scanner.fingerprint.offset"] == 0
    assert entry["prospector.scanner.fingerprint.length"] == 1024
    assert entry["compression"] == "auto"
    # Filebeat skips to an offset in a .gz file with reads of this size, and assumes that each is full.
    # That is true for the default, which divides the 32 KiB window of gzip.
    assert "buffer_size" not in entry


@pytest.mark.parametrize("entry", inputs(OURS), ids=lambda entry: entry["id"])
def test_a_state_outlives_its_file(entry: Config) -> None:
    scan = duration(entry["prospector.scanner.check_interval"])
    ignored = duration(entry["ignore_older"])
    assert duration(entry["clean_inactive"]) > ignored + scan, "Filebeat would not start"
    assert ignored > duration(entry["close.on_state_change.inactive"])
    name = entry["id"].removeprefix("aliaport-")
    body = json.loads((ELK / f"elasticsearch/index_template/aliaport-{name}.json").read_text())
    kept = timedelta(days=int(body["template"]["lifecycle"]["data_retention"].removesuffix("d")))
    assert ignored >= kept, "Filebeat would skip a file that must still be kept"
    assert entry["clean_removed"] is False, (
        "compressing a file while Filebeat is down sends it again"
    )
    assert entry["close.on_state_change.removed"] is False


def test_the_quiet_audit_file_stays_open_for_a_day() -> None:
    (audit,) = (entry for entry in inputs(OURS) if entry["id"] == "aliaport-audit")
    assert duration(audit["close.on_state_change.inactive"]) >= timedelta(days=1)


@pytest.mark.parametrize("entry", inputs(OURS), ids=lambda entry: entry["id"])
def test_each_stream_has_its_template(entry: Config) -> None:
    stream = entry["fields"]["data_stream"]
    index = OURS["output.elasticsearch.index"]
    for key, value in stream.items():
        index = index.replace(f"%{{[data_stream.{key}]}}", value)
    name = entry["id"].removeprefix("aliaport-")
    assert index == f"logs-aliaport.{name}-default"
    assert entry["fields_under_root"] is True
    body = json.loads((ELK / f"elasticsearch/index_template/aliaport-{name}.json").read_text())
    assert any(fnmatchcase(index, pattern) for pattern in body["index_patterns"])


def test_filebeat_adds_nothing_that_the_lines_already_have() -> None:
    assert "processors" not in OURS
    for entry in inputs(OURS):
        assert "processors" not in entry
        assert entry["publisher_pipeline.disable_host"] is True
    assert OURS["timestamp.precision"] == "microsecond"
    assert OURS["setup.template.enabled"] is False


def test_a_line_has_one_id_and_keeps_it() -> None:
    assert {ndjson(entry)["document_id"] for entry in inputs(OURS)} == {"event.id"}
    pipeline = json.loads((ELK / "elasticsearch/ingest_pipeline/aliaport-logs.json").read_text())
    restored = [
        step["set"]
        for step in pipeline["processors"]
        if step.get("set", {}).get("field") == "event.id"
    ]
    assert [processor["value"] for processor in restored] == ["{{{_id}}}"], (
        "document_id removes event.id from the document: the pipeline must restore it"
    )
