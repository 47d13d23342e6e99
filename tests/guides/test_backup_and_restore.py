"""The commands of the guide, in order and unchanged, against a real PostgreSQL."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from tests.alerts.runbooks import blocks, guides
from tests.support.operations import GATE, ORDER, PASSWORD, Operations, replica, serve
from tests.support.postgres import TcpPostgres
from tests.support.service_files import service_files
from tests.support.tcmb import Tcmb
from tests.support.waiting import wait_until

STEPS = [
    block.text
    for block in blocks("backup-and-restore", guides()["backup-and-restore"])
    if block.kind == "sh changes"
]


def run(operations: Operations, restored: str, step: str) -> str:
    programs = (operations.server.programs, Path(sys.executable).parent)
    urls = {
        "aliaport": operations.server.dsn(database=operations.database),
        "aliaport-restore": operations.server.dsn(database=restored),
    }
    file = operations.service.folder / "restore-url"
    file.write_text(urls["aliaport-restore"])
    done = subprocess.run(
        ["sh", "-ec", step],
        cwd=operations.service.folder,
        env={
            "PATH": os.pathsep.join((*map(str, programs), os.environ["PATH"])),
            "HOME": str(operations.service.folder),
            "DATABASE_URL": urls["aliaport"],
            "RESTORE_URL_FILE": str(file),
            **service_files(operations.service.folder, urls),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    return done.stdout


def has_all_rates(operations: Operations) -> bool:
    """Return True once the service has stored all that is published: nothing changes afterwards."""
    newest = operations.sql("SELECT max(day) FROM aliaport_currency_bulletins")
    metrics = operations.service.get("/metrics").text
    return bool(newest) and "\naliaport_currency_sync_missed_bulletins 0" in metrics


def fill(operations: Operations) -> None:
    order = operations.order(status="planned")
    operations.data(
        "POST", f"{ORDER}/{order['id']}/status", {"status": "in_progress", "version": 1}
    )
    wrong = operations.data("POST", GATE, {"direction": "in", "plate": "34 ABC 123"})
    operations.data(
        "POST", GATE, {"direction": "out", "plate": "34ABC123", "corrects": wrong["id"]}
    )


def test_the_restore_brings_back_what_was_dumped(
    server: TcpPostgres, tcmb: Tcmb, tmp_path: Path
) -> None:
    today = date.today()
    # Neither today's nor, from midnight on, tomorrow's: it would be missed, or arrive after the dump.
    closed = [str(today), str(today + timedelta(days=1))]
    tcmb.publish(*(today - timedelta(days=back) for back in range(1, 15)))
    options = {
        "ALIAPORT_SELECTION__ALLOW": '["operations", "currency_sync"]',
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__REQUEST_INTERVAL": "0",
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__FIRST_DAY": str(today - timedelta(days=14)),
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__EXTRA_HOLIDAYS": json.dumps(closed),
    }
    server.sql("CREATE DATABASE restored", database="postgres")
    with serve(server, tmp_path / "first", **options) as operations:
        fill(operations)
        wait_until(lambda: has_all_rates(operations), "all rates are stored")
        original = operations.data("GET", GATE, role="clerk"), operations.data("GET", ORDER)
        seen = [run(operations, "restored", step) for step in STEPS]
    listed, compared, probed = seen[1], seen[4], seen[5]
    assert "aliaport_operations_gate_logs" in listed
    before, after = (line for line in compared.splitlines() if line.strip())
    assert before == after
    assert before.split("|")[0].strip() == "1"
    assert '"code": "ok"' in probed or " ok" in probed, probed
    with replica(
        replace(operations, database="restored"), tmp_path / "second", **options
    ) as operations:
        response = operations.sign_in("clerk", PASSWORD)
        assert response.status == 200, "users can still sign in"
        operations.tokens["clerk"] = response.json["data"]["token"]
        again = operations.data("GET", GATE, role="clerk"), operations.data("GET", ORDER)
        assert again == original
        assert operations.order()["id"] > original[1]["items"][0]["id"], "IDs continue"
