"""Against a stand-in for Grafana, written from the documentation of its HTTP API: none is here."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aliaport.doctor.expected import DASHBOARDS, DATA_SOURCE
from aliaport.doctor.findings import Verdict
from aliaport.doctor.targets import Targets
from tests.doctor.asking import answering, doctor, found
from tests.doctor.conftest import StandIn

TOKEN = "glsa_a-token-of-a-service-account"
SOURCE = f"/api/datasources/uid/{DATA_SOURCE}"


def grafana(**other: Any) -> dict[str, Any]:
    """The routes of one that is well; `other` by path replaces some."""

    def guarded(body: Any) -> Any:
        async def answer(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return web.json_response({"message": "Unauthorized"}, status=401)
            return web.json_response(body)

        return answer

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


async def test_a_provisioned_one_passes(stand_in: StandIn) -> None:
    here = targets(await stand_in(grafana()))
    for check in ("health", "data_source", "dashboards"):
        finding = await found(f"grafana.{check}", here)
        assert finding.verdict is Verdict.PASS, finding


@pytest.mark.parametrize(
    ("check", "path", "answer", "said"),
    [
        ("health", "/api/health", answering({"database": "failing"}, 503), "responded 503"),
        ("health", "/api/health", {"database": "failing"}, "Grafana's database is 'failing'"),
        (
            "data_source",
            SOURCE,
            answering({"message": "Data source not found"}, 404),
            "there is no",
        ),
        ("data_source", SOURCE, {"type": "loki"}, "has the type 'loki'"),
        (
            "data_source",
            SOURCE,
            answering({"message": "no"}, 403),
            "the token does not allow reading",
        ),
        (
            "data_source",
            f"{SOURCE}/health",
            answering({"status": "ERROR", "message": "connect: refused"}, 400),
            "responded 400: connect: refused",
        ),
        (
            "dashboards",
            "/api/dashboards/uid/aliaport-slo",
            answering({"message": "Dashboard not found"}, 404),
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
async def test_what_is_wrong_is_named(
    stand_in: StandIn, check: str, path: str, answer: Any, said: str
) -> None:
    finding = await found(f"grafana.{check}", targets(await stand_in(grafana(**{path: answer}))))
    assert (finding.verdict, said in finding.seen) == (Verdict.FAIL, True), finding
    assert finding.todo


async def test_a_wrong_token_is_told_and_not_shown(stand_in: StandIn) -> None:
    here = targets(await stand_in(grafana()), "glsa_wrong-and-secret")
    for check in ("data_source", "dashboards"):
        finding = await found(f"grafana.{check}", here)
        assert (finding.verdict, "responded 401" in finding.seen) == (Verdict.FAIL, True)
        assert "glsa_" not in str(finding)


def test_without_a_token_only_its_health_is_asked(tmp_path: Path) -> None:
    outcome = doctor(tmp_path, "--json", "--grafana", "http://127.0.0.1:1")
    assert outcome.results("grafana.") == {
        "grafana.health": "fail",
        "grafana.data_source": "not_checked",
        "grafana.dashboards": "not_checked",
    }
    assert outcome.lines["grafana.dashboards"]["seen"].endswith("pass --grafana-token-file")
