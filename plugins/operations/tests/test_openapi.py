"""The description of the API is right, and what it promises is what schemathesis gets."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.operations import CARI, GATE, PASSWORD, Operations, serve
from tests.support.postgres import TcpPostgres

SUPPORT = Path(__file__).with_name("support")
DOCUMENT = "/api/openapi.json"


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    """A service that no number of wrong passwords lets throttle."""
    limits = ("FAILURES_PER_ACCOUNT_AND_ADDRESS", "FAILURES_PER_ADDRESS", "FAILURES_PER_ACCOUNT")
    environ = {f"ALIAPORT_APPS__OPERATIONS__{name}": "1000000" for name in limits}
    with serve(server, tmp_path_factory.mktemp("openapi") / "run", **environ) as operations:
        yield operations


def facts(api: Operations) -> dict[str, Any]:
    """What schemathesis is told: tokens, and rows that it may refer to."""
    api.tokens["changing"] = api.token(api.add_user("changing", "viewer"))
    accounts = [api.account()["id"] for _ in range(8)]
    orders = [api.order(account_id=accounts[n % 8])["id"] for n in range(16)]
    entries = [
        api.data("POST", GATE, {"direction": "in", "plate": f"34 ABC {n}"})["id"] for n in range(16)
    ]
    return {
        "url": api.url,
        "password": PASSWORD,
        "tokens": api.tokens,
        "accounts": accounts,
        "orders": orders,
        "entries": entries,
    }


def test_schemathesis_finds_nothing(api: Operations, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={SUPPORT / 'schemathesis.toml'}",
            "run",
            f"{api.url}{DOCUMENT}",
            "--no-color",
            *os.environ.get("OPERATIONS_SCHEMATHESIS", "").split(),
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(SUPPORT),
            "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
            "OPERATIONS_UNDER_TEST": json.dumps(facts(api)),
        },
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    Path("/tmp/oa/last.txt").write_text(done.stdout)
    assert done.returncode == 0, done.stdout
