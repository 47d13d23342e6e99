"""Kibana's saved objects are complete, have stable IDs, and use fields that the lines have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from aliaport.logs.fields import ECS_FIELDS, OWN_FIELDS

FILE = Path(__file__).parents[2] / "deploy/elk/kibana/aliaport.ndjson"
OBJECTS: list[dict[str, Any]] = [json.loads(line) for line in FILE.read_text().splitlines()]
BY_KEY = {(saved["type"], saved["id"]): saved for saved in OBJECTS}
SEARCHES = [saved for saved in OBJECTS if saved["type"] == "search"]
LENSES = [saved for saved in OBJECTS if saved["type"] == "lens"]
FIELDS = {**ECS_FIELDS, **OWN_FIELDS}
DASHBOARD = BY_KEY["dashboard", "aliaport"]["attributes"]
PANELS: list[dict[str, Any]] = json.loads(DASHBOARD["panelsJSON"])


def query(saved: dict[str, Any]) -> str:
    if saved["type"] == "lens":
        return saved["attributes"]["state"]["query"]["query"]  # type: ignore[no-any-return]
    source = json.loads(saved["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    return source["query"]["query"]  # type: ignore[no-any-return]


def test_the_ids_never_change() -> None:
    assert len(BY_KEY) == len(OBJECTS), "an ID is used twice"
    views = ("all", "app", "api", "error", "audit")
    searches = ("errors", "slow-requests", "probe-changes", "audit-trail")
    lenses = ("errors-by-event", "probe-changes-by-status", "slowest-endpoints")
    assert set(BY_KEY) == {
        *(("index-pattern", f"aliaport-{name}") for name in views),
        *(("search", f"aliaport-{name}") for name in searches),
        *(("lens", f"aliaport-{name}") for name in lenses),
        ("dashboard", "aliaport"),
    }


def test_every_reference_is_in_the_file() -> None:
    for saved in OBJECTS:
        for reference in saved["references"]:
            assert (reference["type"], reference["id"]) in BY_KEY, f"{saved['id']}: {reference}"


def test_the_data_views_are_about_the_aliases_of_the_streams() -> None:
    views = {
        saved["id"]: saved["attributes"] for saved in OBJECTS if saved["type"] == "index-pattern"
    }
    assert views.pop("aliaport-all")["title"] == "aliaport-*"
    for id_, view in views.items():
        body = json.loads(
            (FILE.parents[1] / f"elasticsearch/index_template/{id_}.json").read_text()
        )
        assert view["title"] in body["template"]["aliases"]
        assert view["timeFieldName"] == "@timestamp"


def test_every_panel_shows_an_object_by_reference() -> None:
    references = {
        r["name"]: (r["type"], r["id"]) for r in BY_KEY["dashboard", "aliaport"]["references"]
    }
    shown = {
        (panel["type"], references[f"{panel['panelIndex']}:{panel['panelRefName']}"][1])
        for panel in PANELS
    }
    assert shown == {(saved["type"], saved["id"]) for saved in SEARCHES + LENSES}
    assert len(references) == len(PANELS)
    for panel in PANELS:
        type_, _ = references[f"{panel['panelIndex']}:{panel['panelRefName']}"]
        assert type_ == panel["type"]
        assert panel["gridData"]["i"] == panel["panelIndex"]


def test_the_panels_lie_side_by_side_on_48_columns() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        grid = panel["gridData"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, f"{panel['panelIndex']} overlaps another panel"
        assert grid["x"] + grid["w"] <= 48
        taken |= cells
    width, height = max(x for x, _ in taken) + 1, max(y for _, y in taken) + 1
    assert len(taken) == width * height == 48 * height, "a gap in the dashboard"


@pytest.mark.parametrize("saved", SEARCHES + LENSES, ids=lambda saved: saved["id"])
def test_queries_are_about_fields_of_the_lines(saved: dict[str, Any]) -> None:
    fields = set(re.findall(r"([a-z_@][\w.]*) (?:: |>=)", query(saved)))
    assert fields
    assert fields <= FIELDS.keys()


@pytest.mark.parametrize("saved", SEARCHES, ids=lambda saved: saved["id"])
def test_the_columns_of_a_search_are_fields_of_the_lines(saved: dict[str, Any]) -> None:
    assert set(saved["attributes"]["columns"]) <= FIELDS.keys()
    assert {field for field, _ in saved["attributes"]["sort"]} <= FIELDS.keys()
    (reference,) = saved["references"]
    source = json.loads(saved["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    assert source["indexRefName"] == reference["name"]


@pytest.mark.parametrize("saved", LENSES, ids=lambda saved: saved["id"])
def test_a_lens_draws_the_columns_that_it_has(saved: dict[str, Any]) -> None:
    state = saved["attributes"]["state"]
    ((layer_id, layer),) = state["datasourceStates"]["formBased"]["layers"].items()
    (reference,) = saved["references"]
    assert reference["name"] == f"indexpattern-datasource-layer-{layer_id}"
    columns = layer["columns"]
    assert layer["columnOrder"] == list(columns)
    assert [column["isBucketed"] for column in columns.values()] == sorted(
        (column["isBucketed"] for column in columns.values()), reverse=True
    ), "buckets come before metrics"
    for column in columns.values():
        assert column["sourceField"] in {*FIELDS, "___records___"}
        if column["operationType"] == "terms":
            assert FIELDS[column["sourceField"]] == "keyword", "only keywords have terms"
            assert column["params"]["orderBy"]["columnId"] in columns
    drawing = state["visualization"]
    layers = drawing.get("layers", [drawing])
    assert {part["layerId"] for part in layers} == {layer_id}
    drawn = {
        name
        for part in layers
        for name in (
            part.get("xAccessor"),
            part.get("splitAccessor"),
            *part.get("accessors", []),
            *(column["columnId"] for column in part.get("columns", [])),
        )
        if name
    }
    assert drawn == set(columns)


def test_e11_what_the_dashboard_promises_is_on_it() -> None:
    assert 'event.dataset : "aliaport.error"' in query(BY_KEY["lens", "aliaport-errors-by-event"])
    assert "event.duration >= 1000000000" in query(BY_KEY["search", "aliaport-slow-requests"])
    assert '"probe.changed"' in query(BY_KEY["search", "aliaport-probe-changes"])
    assert '"aliaport.audit"' in query(BY_KEY["search", "aliaport-audit-trail"])
    assert DASHBOARD["timeRestore"] is True
