"""The decision table, and response bodies that stay valid whatever plugins return."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliaport.contract.declarations import Check, Probe, Status
from aliaport.host import report
from aliaport.host.discovery import Rejection
from aliaport.host.limits import LimitCount
from aliaport.host.probes import ProbeResult, ProbeRow
from aliaport.host.report import PluginRow, View

H, D, U = Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY


def row(status: Status, critical: bool, name: str = "p", code: str = "x") -> ProbeRow:
    return ProbeRow(
        Probe(name=name, run=Check.healthy), "plugin", critical, ProbeResult(status, code)
    )


def respond(view: View) -> tuple[int, str]:
    code, _ = report.ready(replace(view, probes=[row for row in view.probes if row.critical]))
    return code, report.overall(view).value


STARTING = PluginRow("x", "starting", "d", "1", "app")
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
        (View(0, [row(H, True)], [STARTING]), (200, "degraded")),
    ],
)
def test_the_decision_table(view: View, expected: tuple[int, str]) -> None:
    assert respond(view) == expected


def test_the_body_of_a_failure_follows_the_specification() -> None:
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


@pytest.mark.parametrize(
    ("view", "code", "message"),
    [
        (View(0, draining=True, starting=True), "draining", "the service is stopping"),
        (View(0, starting=True, missing={"db": "rejected"}), "starting", "plugins are starting"),
        (
            View(0, starting=True, late={"b": "migrating", "a": "starting"}),
            "starting",
            "the plugins are starting: a: starting; b: migrating",
        ),
        (
            View(0, missing={"b": "rejected", "a": "not installed"}),
            "plugin_missing",
            "a: not installed; b: rejected",
        ),
    ],
)
def test_the_reason_why_the_service_is_not_ready(view: View, code: str, message: str) -> None:
    status, body = report.ready(view)
    assert (status, body["success"], body["data"]["status"]) == (503, False, "not_ready")
    assert body["error"]["code"] == code
    assert message in body["error"]["message"]


def test_a_long_message_names_some_probes_and_counts_the_rest() -> None:
    failing = [row(U, critical=True, name=f"p{number}", code="c" * 40) for number in range(20)]
    _, body = report.ready(View(0, failing))
    message = body["error"]["message"]
    assert message.startswith(f"p0: {'c' * 40}; p1: ")
    named = message.count("; p") + 1
    assert message.endswith(f"; and {20 - named} more")
    assert len(message) < 330


def test_probes_are_counted_if_they_do_not_fit() -> None:
    found = [row(H, critical=True, name=f"p{number:039d}") for number in range(300)]
    _, body = report.ready(View(0, found))
    named = [name for name in body["data"] if name.startswith("p0")]
    assert body["data"]["omitted"] == 300 - len(named)


def test_the_body_of_health() -> None:
    assert report.health(1_763_893_800.9, "1.2") == {
        "status": "healthy",
        "service": "aliaport-api",
        "version": "1.2",
        "timestamp": "2025-11-23T10:30:00Z",
    }


DATABASE = ProbeRow(
    Probe(
        name="database",
        run=Check.healthy,
        title="PostgreSQL",
        section="database",
        section_defaults={"engine": None, "latency": 0},
        words=("connected", "disconnected"),
    ),
    "db",
    critical=True,
    result=ProbeResult(
        D,
        "slow",
        "12 ms",
        {"engine": "postgresql", "secret": 1},
        duration=0.0125,
        checked_at=0.0,
        since=60.0,
        where="plugin.py:7",
    ),
)
QUEUE = ProbeRow(
    Probe(name="queue", run=Check.healthy, section="orders"),
    "orders",
    critical=False,
    result=ProbeResult(H, "ok", "", {"waiting": 7}),
)
PLUGINS = [
    PluginRow("db", "running", "aliaport-db", "1", tasks=2),
    PluginRow("late", "starting", "aliaport-late", "2", problem="its server is away"),
    PluginRow("x", "rejected", "d", "1", rejection=Rejection("import", "r", "h")),
]


def shown(*, operator: bool) -> dict[str, Any]:
    view = View(0, [DATABASE, QUEUE], PLUGINS, missing={"a": "not installed"})
    return report.status(
        view,
        version="1",
        environment="test",
        uptime=61.9,
        operator=operator,
        limits=[("connections.full", LimitCount(count=3, last_at=60.0))],
    )


def test_a_status_page_for_operators() -> None:
    page = shown(operator=True)
    assert page["reason"] == "a: not installed"
    assert (page["status"], page["uptime_seconds"]) == ("unhealthy", 61)
    assert page["database"] == {"status": "connected", "engine": "postgresql", "latency": 0}
    assert page["orders"] == {"waiting": 7}
    assert page["probes"][0] == {
        "name": "database",
        "plugin": "db",
        "title": "PostgreSQL",
        "status": "degraded",
        "code": "slow",
        "critical": True,
        "duration_ms": 12.5,
        "checked_at": "1970-01-01T00:00:00Z",
        "since": "1970-01-01T00:01:00Z",
        "summary": "12 ms",
        "data": {"engine": "postgresql", "secret": 1},
        "where": "plugin.py:7",
    }
    assert page["probes"][1]["title"] == "queue"
    assert (page["probes"][1]["duration_ms"], page["probes"][1]["checked_at"]) == (None, None)
    running, late, rejected = page["plugins"]
    assert running == {
        "name": "db",
        "kind": "plugin",
        "state": "running",
        "distribution": "aliaport-db",
        "version": "1",
        "tasks": 2,
    }
    assert late["reason"] == "its server is away"
    assert (rejected["stage"], rejected["reason"], rejected["hint"]) == ("import", "r", "h")
    assert page["limits"] == [
        {"name": "connections.full", "count": 3, "last_at": "1970-01-01T00:01:00Z"}
    ]


def test_a_status_page_for_anonymous_callers() -> None:
    page = shown(operator=False)
    assert "limits" not in page
    assert page["orders"] == {}
    assert {"summary", "data", "where"}.isdisjoint(page["probes"][0])
    assert page["plugins"] == [
        {"name": "db", "kind": "plugin", "state": "running"},
        {"name": "late", "kind": "plugin", "state": "starting"},
        {"name": "x", "kind": "plugin", "state": "rejected", "stage": "import"},
    ]


def test_the_verbose_text_shows_summaries_only_to_operators() -> None:
    failing = ProbeRow(QUEUE.probe, "orders", critical=True, result=ProbeResult(U, "full", "9"))
    found = [DATABASE, QUEUE, failing]
    assert report.verbose(found, passed=False, name="ready", operator=True) == (
        "[+]database ok: slow (12 ms)\n[+]queue ok\n[-]queue failed: full (9)\nready check failed\n"
    )
    assert report.verbose(found[:2], passed=True, name="status", operator=False) == (
        "[+]database ok: slow\n[+]queue ok\nstatus check passed\n"
    )


def test_the_verbose_text_escapes_what_a_terminal_obeys() -> None:
    hostile = "\x1b[2J\x9b1m\r\n[+]queue ok\v\f\x85\u2028\u202e\u200b\ud800é"
    failing = ProbeRow(QUEUE.probe, "orders", critical=True, result=ProbeResult(U, "full", hostile))
    text = report.verbose([failing], passed=False, name="ready", operator=True)
    assert text == (
        r"[-]queue failed: full (\x1b[2J\x9b1m\r\n[+]queue ok\x0b\x0c\x85\u2028\u202e\u200b\ud800é)"
        "\nready check failed\n"
    )


def test_an_error_may_have_details() -> None:
    assert report.error("taken", "somebody was faster", {"version": 3}) == {
        "success": False,
        "error": {"code": "taken", "message": "somebody was faster", "version": 3},
    }


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
def test_ready_is_small_and_matches_the_rows(found: list[ProbeRow]) -> None:
    gating = [row for row in found if row.critical]
    code, body = report.ready(View(0, gating))
    assert len(json.dumps(body)) < 4_096
    assert (code == 503) == any(not row.works for row in gating)
    named = set(body["data"]) - {"status", "timestamp", "omitted"}
    healthy_named = {row.probe.name for row in gating if row.works} & named
    failing = {row.probe.name for row in gating if not row.works}
    if healthy_named - failing:
        assert failing <= named, "failing probes come first"


@given(rows, st.booleans())
def test_status_is_json_and_never_better_than_its_worst_critical_probe(
    found: list[ProbeRow], operator: bool
) -> None:
    body = report.status(
        View(0, found), version="1", environment="test", uptime=1, operator=operator
    )
    json.dumps(body)
    if any(row.critical and not row.works for row in found):
        assert body["status"] == "unhealthy"
    assert set(report.FIXED_SECTIONS) <= set(body)
    assert all(("summary" in row) == operator for row in body["probes"])
