"""Replicas that start while another session migrates: out of rotation, and they say why."""

from pathlib import Path

from aliaport.postgres.migrations import _LOCK
from tests.support.operations import begin, wait_serving
from tests.support.operations_locks import holding
from tests.support.postgres import TcpPostgres
from tests.support.service import Service

MIGRATING = f"SELECT pg_advisory_xact_lock({_LOCK})"
START_TIMEOUT = {"ALIAPORT_PLUGIN_LIMITS__START_TIMEOUT": "3"}
REQUIRED = {"ALIAPORT_SELECTION__REQUIRED": '["*"]'}


def reasons(service: Service) -> dict[tuple[str, str], str]:
    """Return what /status says about the plugin and the application."""
    rows = service.get("/status").json["data"]["plugins"]
    return {(row["kind"], row["state"]): row.get("reason", "") for row in rows}


def check_is_out(service: Service) -> None:
    """Check what a replica reports that requires its application."""
    refused = service.get("/ready")
    assert (refused.status, refused.json["error"]["code"]) == (503, "plugin_missing")
    assert refused.json["error"]["message"] == "operations: migrating"
    assert service.get("/status").json["data"]["status"] == "unhealthy"
    assert "is migrating" in service.get("/auth/me").json["error"]["message"]
    found = reasons(service)
    assert set(found) == {("plugin", "starting"), ("app", "starting")}
    for reason in found.values():
        assert reason.startswith("waits for another session that migrates: process ")


def test_a_start_waits_for_a_migration_and_keeps_its_replica_out_if_it_is_required(
    server: TcpPostgres, tmp_path: Path
) -> None:
    database = server.new_database("starting")
    services: list[Service] = []
    try:
        with holding(server.dsn(database=database), MIGRATING):
            services = [
                begin(server, database, tmp_path / "required", **START_TIMEOUT, **REQUIRED),
                begin(server, database, tmp_path / "optional", **START_TIMEOUT),
            ]
            required, optional = services
            required.wait_listening()
            first = required.get("/ready").json["error"]
            assert first["code"] == "starting"
            assert "operations: " in first["message"]
            for service in services:
                # Its start has taken longer than its timeout, and goes on.
                (event,) = service.wait_events("app.migrating")
                assert "plugin_limits.migration_timeout bounds it: 300 s" in event["hint"]
                service.wait_started()
            check_is_out(required)
            optional.wait_for(lambda: optional.get("/ready").status == 200, "it is ready")
            assert optional.get("/status").json["data"]["status"] == "degraded"
            assert optional.get("/auth/me").status == 503
        for service in services:
            wait_serving(service)
            service.wait_for(lambda: service.get("/ready").status == 200, "it is ready")
            service.wait_for(lambda: not any(reasons(service).values()), "all run")
            assert not [e for e in service.events() if e["message"].endswith(".start_failed")]
        applied = [len(service.events("migration.applied")) for service in services]
        assert sum(applied) == 5, "each migration is logged where it was applied"
    finally:
        for service in services:
            service.kill()
