"""The commands of the guide to a separate owner, in order and unchanged, and what they achieve."""

import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.alerts.runbooks import ROOT, blocks
from tests.support.operations import Operations, begin, wait_serving
from tests.support.postgres import PASSWORD, TcpPostgres
from tests.support.service_files import service_files
from tests.support.sql import run_sql

PAGE = "separate-the-database-owner"
STEPS = [
    block.text
    for block in blocks(PAGE, (ROOT / f"docs/how-to/{PAGE}.md").read_text())
    if block.kind == "sh changes"
]
SELECTED = '["operations", "currency_sync"]'


def run(server: TcpPostgres, folder: Path, database: str, owner: str, step: str) -> str:
    programs = (server.programs, Path(sys.executable).parent)
    urls = {
        "aliaport": server.dsn(database=database, user=owner),
        "aliaport-admin": server.dsn(database=database),
    }
    (folder / "owner-url").write_text(urls["aliaport"])
    done = subprocess.run(
        ["sh", "-ec", step],
        cwd=folder,
        env={
            "PATH": os.pathsep.join((*map(str, programs), os.environ["PATH"])),
            "HOME": str(folder),
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "OWNER_URL_FILE": str(folder / "owner-url"),
            "ADDRESS": f"127.0.0.1:{server.port}/{database}",
            "ALIAPORT_SELECTION__ALLOW": SELECTED,
            **service_files(folder, urls),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_service_works_with_a_role_that_can_only_change_rows(
    server: TcpPostgres, tmp_path: Path
) -> None:
    database = server.new_database("separated")
    owner = f"owner_{database}"
    server.sql(f"CREATE ROLE {owner} LOGIN PASSWORD '{PASSWORD}'")
    server.sql(f"ALTER DATABASE {database} OWNER TO {owner}", "postgres")
    create, grant, migrate, check = STEPS
    for step in (create, grant):
        run(server, tmp_path, database, owner, step)
    try:
        url = (tmp_path / "runtime-url").read_text().strip()
        options = {
            "DATABASE_URL": url,
            "ALIAPORT_SELECTION__ALLOW": SELECTED,
            "ALIAPORT_SELECTION__REQUIRED": '["*"]',
            "ALIAPORT_PLUGIN_LIMITS__MAX_RETRY": "1",
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": "http://127.0.0.1:9/kurlar",
        }
        service = begin(server, database, tmp_path / "run", **options)
        try:
            service.wait_started()
            failed = service.wait_events("app.start_failed")
            assert all("run `aliaport migrate`" in event["reason"] for event in failed)
            assert service.get("/ready").json["error"]["code"] == "plugin_missing"
            migrated = run(server, tmp_path, database, owner, migrate)
            assert migrated.splitlines() == [
                "currency_sync: version 1, 1 applied",
                "operations: version 5, 5 applied",
            ]
            wait_serving(service)
            service.wait_for(lambda: service.get("/ready").status == 200, "it is ready")
            assert run(server, tmp_path, database, owner, check) == "f\n"
            operations = Operations(service, server, database)
            operations.tokens["clerk"] = operations.token(operations.add_user("clerk"))
            assert operations.order(title="sahipsiz")["id"] == 1
            assert service.get("/api/currency/rates").json["error"]["code"] == "no_data"
        finally:
            service.kill()
        assert "nothing to do" in run(server, tmp_path, database, owner, migrate)
        for forbidden in ("CREATE TABLE own ()", "DROP TABLE aliaport_operations_users CASCADE"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                run_sql(url, forbidden)
    finally:
        server.sql("DROP OWNED BY aliaport_runtime", database)
        server.sql("DROP ROLE aliaport_runtime")
