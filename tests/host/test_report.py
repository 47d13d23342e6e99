"""The table that decides, and bodies that hold their promises whatever plugins return."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliaport.contract.declarations import Check, Probe, Status
from aliaport.host import report
from aliaport.host.discovery import Rejection
from aliaport.host.probes import ProbeResult, ProbeRow
from aliaport.host.report import PluginRow, View

H, D, U = Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY


def row(status: Status, critical: bool, name: str = "p", code: str = "x") -> ProbeRow:
    return ProbeRow(
        Probe(name=name, run=Check.healthy), "plugin", critical, ProbeResult(status, code)
    )


def answer(view: View) -> tuple[int, str]:
    code, _ = report.ready(replace(view, probes=[row for row in view.probes if row.critical]))
    return code, report.overall(view).value


REJECTED = PluginRow("x", "rejected", "d", "1", rejection=Rejection("import", "r", "h"))


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(0, [row(H, True), row(H, False)]), (200, "healthy")),
        (View(0, [row(D, True), row(U, False)]), (200, "degraded")),
        (View(0, [row(H, True), row(D, False)]), (200, "degraded")),
        (View(0, [row(H, True), row(U, False)]), (200, "degraded")),
        (View(0, [row(H, True)], [REJECTED]), (200, "degraded")),
        (View(0, [row(U, True), row(H, False)]), (503, "unhealthy")),
        (View(0), (200, "healthy")),
        (View(0, [row(H, True)], missing={"db": "rejected"}), (503, "unhealthy")),
        (View(0, [row(H, True)], draining=True), (503, "healthy")),
        (View(0, [row(H, True)], starting=True), (503, "healthy")),
    ],
)
def test_the_table(view: View, expected: tuple[int, str]) -> None:
    assert answer(view) == expected


def test_the_body_of_a_failure_is_the_specification_s() -> None:
    probe = Probe(name="database", run=Check.healthy, words=("connected", "disconnected"))
    failing = ProbeRow(probe, "db", True, ProbeResult(U, "connection_refused"))
    assert report.ready(View(1_763_893_800, [failing])) == (
        503,
        {
            "success": False,
            "data": {
                "status": "not_ready",
                "database": "disconnected",
                "timestamp": "2025-11-23T10:30:00Z",
            },
            "error": {"code": "probe_failed", "message": "database: connection_refused"},
        },
    )


rows = st.lists(
    st.builds(
        row,
        st.sampled_from([H, D, U]),
        st.booleans(),
        st.from_regex(r"p[a-z0-9_]{0,39}", fullmatch=True),
        st.from_regex(r"[a-z_]{1,40}", fullmatch=True),
    ),
    max_size=300,
)


@given(rows)
def test_ready_is_small_and_agrees_with_the_rows(found: list[ProbeRow]) -> None:
    gating = [each for each in found if each.critical]
    code, body = report.ready(View(0, gating))
    assert len(json.dumps(body)) < 4_096
    assert (code == 503) == any(not each.works for each in gating)
    named = set(body["data"]) - {"status", "timestamp", "omitted"}
    healthy_named = {each.probe.name for each in gating if each.works} & named
    failing = {each.probe.name for each in gating if not each.works}
    if healthy_named - failing:
        assert failing <= named, "failing words come first"


@given(rows, st.booleans())
def test_status_is_json_and_never_better_than_its_worst_critical_probe(
    found: list[ProbeRow], operator: bool
) -> None:
    body = report.status(
        View(0, found), version="1", environment="test", uptime=1, operator=operator
    )
    json.dumps(body)
    if any(each.critical and not each.works for each in found):
        assert body["status"] == "unhealthy"
    assert set(report.FIXED_SECTIONS) <= set(body)
    assert all(("summary" in each) == operator for each in body["probes"])
