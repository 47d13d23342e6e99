"""Panels are side by side in 24 columns and do not overlap."""

import copy

import pytest

from tests.grafana.dashboards import Json, dashboards, panels

COLUMNS = 24


def faults(dashboard: Json) -> list[str]:
    """Return the problems with the panels' positions."""
    found: list[str] = []
    taken: dict[tuple[int, int], str] = {}
    lines: dict[int, int] = {}
    for panel in dashboard["panels"]:
        place, title = panel["gridPos"], panel["title"]
        if place["x"] < 0 or place["x"] + place["w"] > COLUMNS or place["w"] < 3 or place["h"] < 1:
            found.append(f"{title} is out of the {COLUMNS} columns, or too small to read")
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if other := taken.get((x, y)):
                    found.append(f"{title} overlaps {other}")
                taken[x, y] = title
                lines[y] = lines.get(y, 0) + 1
    # Gaps look like panels that did not load.
    found += [f"line {y} has gaps" for y in range(max(lines)) if lines.get(y) != COLUMNS]
    numbers = [panel["id"] for panel in dashboard["panels"]]
    if len(set(numbers)) != len(numbers):
        found.append("two panels have one id")
    return sorted(set(found))


@pytest.mark.parametrize("uid", dashboards())
def test_panels_fill_their_lines_and_do_not_overlap(uid: str) -> None:
    assert faults(dashboards()[uid]) == []


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ({"x": 0, "y": 0, "w": 6, "h": 6}, "overlaps"),
        ({"x": 20, "y": 1, "w": 6, "h": 6}, "is out of the 24 columns"),
        ({"x": 0, "y": 500, "w": 6, "h": 6}, "has gaps"),
    ],
)
def test_a_wrong_position_is_noticed(place: Json, problem: str) -> None:
    dashboard = copy.deepcopy(dashboards()["aliaport-overview"])
    next(panels(dashboard))["gridPos"] = place
    assert any(problem in fault for fault in faults(dashboard))


def test_a_duplicate_id_is_noticed() -> None:
    dashboard = copy.deepcopy(dashboards()["aliaport-overview"])
    next(panels(dashboard))["id"] = dashboard["panels"][0]["id"]
    assert "two panels have one id" in faults(dashboard)
