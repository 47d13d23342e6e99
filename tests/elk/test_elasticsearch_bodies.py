"""The bodies for Elasticsearch: fields of the registry, promised retention, minimal privileges."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from aliaport.logs.fields import ECS_FIELDS, OWN_FIELDS
from tests.elk import mappings

FOLDER = Path(__file__).parents[2] / "deploy/elk/elasticsearch"
DAYS = {"app": 30, "api": 30, "error": 30, "audit": 90}
STREAMS = [f"logs-aliaport.{name}-default" for name in DAYS]


def body(path: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{path}.json").read_text())  # type: ignore[no-any-return]


def leaves(properties: dict[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, mapping in properties.items():
        if "properties" in mapping:
            found |= leaves(mapping["properties"], f"{prefix}{name}.")
        else:
            found[prefix + name] = mapping
    return found


FIELDS = body("component_template/aliaport-fields")["template"]
MAPPINGS = FIELDS["mappings"]


def test_the_mappings_match_the_registry() -> None:
    wanted = mappings.properties()
    assert MAPPINGS["properties"] == wanted, (
        "put this into component_template/aliaport-fields.json as `properties`:\n"
        f"{json.dumps(wanted, indent=2)}"
    )


def test_every_field_of_the_registry_has_its_type() -> None:
    found = {name: mapping["type"] for name, mapping in leaves(MAPPINGS["properties"]).items()}
    assert found == {n: k.removesuffix("[]") for n, k in {**ECS_FIELDS, **OWN_FIELDS}.items()}


def test_every_keyword_ends_somewhere_and_the_padding_is_not_searched() -> None:
    for name, mapping in leaves(MAPPINGS["properties"]).items():
        if mapping["type"] == "keyword" and name != "aliaport.padding":
            assert mapping["ignore_above"] == 1024, name
    assert leaves(MAPPINGS["properties"])["aliaport.padding"] == {
        "type": "keyword",
        "index": False,
        "doc_values": False,
    }


def test_unlisted_fields_are_mapped_by_prefix() -> None:
    assert MAPPINGS["dynamic_templates"] == mappings.dynamic_templates()
    # Otherwise a label that looks like a date becomes one, and the next label is rejected.
    assert MAPPINGS["date_detection"] is False
    assert MAPPINGS["numeric_detection"] is False


def test_too_many_fields_lose_no_document() -> None:
    limit = FIELDS["settings"]["index"]["mapping"]["total_fields"]
    assert limit["ignore_dynamic_beyond_limit"] == "true"
    assert int(limit["limit"]) > 2 * len({**ECS_FIELDS, **OWN_FIELDS})


def test_fields_added_by_shipping_do_not_clash_with_those_of_a_line() -> None:
    shipped = body("component_template/aliaport-shipping")["template"]["mappings"]["properties"]
    assert not leaves(shipped).keys() & leaves(MAPPINGS["properties"]).keys()
    assert {"event.ingested", "log.offset", "log.file.path"} <= leaves(shipped).keys()


@pytest.mark.parametrize("name", DAYS)
def test_e4_a_stream_is_kept_for_its_days_and_found_by_its_alias(name: str) -> None:
    template = body(f"index_template/aliaport-{name}")
    assert template["data_stream"] == {}
    assert template["priority"] > 200, "the built-in template for logs-*-* would win or tie"
    assert template["template"]["lifecycle"] == {"data_retention": f"{DAYS[name]}d"}
    assert list(template["template"]["aliases"]) == [f"aliaport-{name}"]
    assert template["composed_of"] == ["aliaport-fields", "aliaport-shipping"]
    assert template["template"]["data_stream_options"]["failure_store"]["enabled"] is True
    dataset = template["template"]["mappings"]["properties"]["data_stream"]["properties"]["dataset"]
    assert dataset == {"type": "constant_keyword", "value": f"aliaport.{name}"}


def test_each_stream_has_one_template() -> None:
    for stream in STREAMS:
        found = [
            file.stem
            for file in (FOLDER / "index_template").glob("*.json")
            if any(fnmatchcase(stream, p) for p in json.loads(file.read_text())["index_patterns"])
        ]
        assert len(found) == 1, f"{stream}: {found}"


def test_the_pipeline_is_used_and_loses_no_document() -> None:
    assert FIELDS["settings"]["index"]["default_pipeline"] == "aliaport-logs"
    pipeline = body("ingest_pipeline/aliaport-logs")
    kinds = {kind for step in pipeline["processors"] for kind in step}
    assert not kinds & {"drop", "fail", "reroute"}
    assert pipeline["on_failure"], "a failing step would refuse the document"
    steps = {
        options["tag"]: options for step in pipeline["processors"] for options in step.values()
    }
    assert steps["ingested"]["value"] == "{{{_ingest.timestamp}}}"
    assert steps["padding"]["field"] == "aliaport.padding"
    assert steps["padding"]["ignore_missing"] is True
    assert "error?.type == 'json'" in steps["unparsable"]["if"]
    assert "message" not in [options["field"] for options in steps.values()], (
        "the text of the line stays"
    )


def test_filebeat_may_write_its_four_streams_and_nothing_else() -> None:
    role = body("role/aliaport-filebeat")
    assert role["cluster"] == ["monitor"]
    (right,) = role["indices"]
    assert right == {"names": STREAMS, "privileges": ["auto_configure", "create_doc"]}


def test_filebeats_key_has_the_privileges_of_its_role() -> None:
    key = body("api_key/aliaport-filebeat")
    role = body("role/aliaport-filebeat")
    assert key["role_descriptors"] == {
        "aliaport-filebeat": {"cluster": role["cluster"], "indices": role["indices"]}
    }


def test_a_reader_can_only_read() -> None:
    role = body("role/aliaport-reader")
    rights = {right for entry in role["indices"] for right in entry["privileges"]}
    assert rights == {"read", "read_failure_store", "view_index_metadata"}
    assert role["cluster"] == []
    assert all(
        right.endswith(".read") for entry in role["applications"] for right in entry["privileges"]
    )
