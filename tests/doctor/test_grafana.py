"""Checks against a stand-in for Grafana, written from its HTTP API documentation: no real one is here."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aliaport.doctor.expected import DASHBOARDS, DATA_SOURCE
from aliaport.doctor.findings import Verdict
from aliaport.doctor.targets import Targets
from tests.doctor.conftest import StandIn
from tests.doctor.running import doctor, found, responding

TOKEN = "glsa_a-token-of-a-service-account"
SOURCE = f"/api/datasources/uid/{DATA_SOURCE}"


def grafana(**other: Any) -> dict[str, Any]:
    """Return the routes of a healthy Grafana; `other` replaces some by path."""

    def guarded(body: Any) -> Any:
        async def respond(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return web.json_response({"message": "Unauthorized"}, status=401)
            return web.json_response(body)

        return respond

    boards = {
        f"/api/dashboards/uid/{uid}": guarded(
            {"dashboard": {"uid": uid, "panels": [{"id": 1}]}, "meta": {"folderUid": "aliaport"}}
        )
        for uid in DASHBOARDS
    }
    return {
        "/api/health": {"commit": "0871432", "database": "ok", "version": "11.6.0"},
        SOURCE: guarded({"uid": DATA_SOURCE, "type": "prometheus", "access": "proxy"}),
        f"{SOURCE}/health": guarded({"message": "Successfully queried", "status": "OK"}),
        **boards,
        **other,
    }


def targets(url: str, token: str = TOKEN) -> Targets:
    return Targets("http://127.0.0.1:1", grafana=url, grafana_token=token)


async def test_a_provisioned_grafana_passes(stand_in: StandIn) -> None:
    here = targets(await stand_in(grafana()))
    for check in ("health", "data_source", "dashboards"):
        finding = await found(f"grafana.{check}", here)
        assert finding.verdict is Verdict.PASS, finding


@pytest.mark.parametrize(
    ("check", "path", "response", "said"),
    [
        ("health", "/api/health", responding({"database": "failing"}, 503), "responded 503"),
        ("health", "/api/health", {"database": "failing"}, "Grafana's database is 'failing'"),
        (
            "data_source",
            SOURCE,
            responding({"message": "Data source not found"}, 404),
            "there is no",
        ),
        ("data_source", SOURCE, {"type": "loki"}, "has the type 'loki'"),
        (
            "data_source",
            SOURCE,
            responding({"message": "no"}, 403),
            "the token does not allow reading",
        ),
        (
            "data_source",
            f"{SOURCE}/health",
            responding({"status": "ERROR", "message": "connect: refused"}, 400),
            "responded 400: connect: refused",
        ),
        (
            "dashboards",
            "/api/dashboards/uid/aliaport-slo",
            responding({"message": "Dashboard not found"}, 404),
            "aliaport-slo is missing",
        ),
        (
            "dashboards",
            "/api/dashboards/uid/aliaport-slo",
            {"dashboard": {"panels": []}, "meta": {}},
            "aliaport-slo has no panels",
        ),
    ],
)
async def test_faults_are_named(
    stand_in: StandIn, check: str, path: str, response: Any, said: str
) -> None:
    finding = await found(f"grafana.{check}", targets(await stand_in(grafana(**{path: response}))))
    assert (finding.verdict, said in finding.seen) == (Verdict.FAIL, True), finding
    assert finding.todo


async def test_a_wrong_token_fails_and_is_not_shown(stand_in: StandIn) -> None:
    here = targets(await stand_in(grafana()), "glsa_wrong-and-secret")
    for check in ("data_source", "dashboards"):
        finding = await found(f"grafana.{check}", here)
        assert (finding.verdict, "responded 401" in finding.seen) == (Verdict.FAIL, True)
        assert "glsa_" not in str(finding)


def test_without_a_token_only_its_health_is_checked(tmp_path: Path) -> None:
    outcome = doctor(tmp_path, "--json", "--grafana", "http://127.0.0.1:1")
    assert outcome.results("grafana.") == {
        "grafana.health": "fail",
        "grafana.data_source": "not_checked",
        "grafana.dashboards": "not_checked",
    }
    assert outcome.lines["grafana.dashboards"]["seen"].endswith("pass --grafana-token-file")
