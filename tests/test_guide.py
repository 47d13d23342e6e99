"""A third-party plugin, written from the guide alone: installed, run and tested for real."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.distributions import install
from tests.support.service import start

pytestmark = pytest.mark.service

GUIDE = Path(__file__).parents[1] / "docs" / "how-to" / "write-a-plugin.md"


def block(name: str) -> str:
    found = re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None, f"the guide has no block {name}"
    return found[1]


def written(folder: Path) -> Path:
    package = folder / "src" / "aliaport_orders"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(block("src/aliaport_orders/plugin.py"))
    (folder / "tests").mkdir()
    (folder / "tests" / "test_orders.py").write_text(block("tests/test_orders.py"))
    (folder / "pyproject.toml").write_text(block("pyproject.toml"))
    return folder


def test_the_guide_s_plugin_is_installed_and_passes_its_own_tests(tmp_path: Path) -> None:
    folder = written(tmp_path / "aliaport-orders")
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-build-isolation",
         "--no-deps", "--offline", "--python", sys.executable, "--target", str(site), str(folder)],
        check=True, timeout=100,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "tests")],
        cwd=folder,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = commands.aliaport_process(
        tmp_path,
        *("plugins", "run", "orders:order_queue", "--json"),
        path=[site],
        environ={
            "ALIAPORT_PLUGINS__ORDERS__FOLDER": str(tmp_path),
            "ALIAPORT_PROBES__ORDER_QUEUE__TIMEOUT": "30",
        },
    )
    assert ran.code == 0, ran.err
    (item,) = json.loads(ran.out)["probes"]
    assert (item["name"], item["code"]) == ("order_queue", "ok")


def test_the_guide_s_plugin_serves(tmp_path: Path) -> None:
    folder = written(tmp_path / "aliaport-orders")
    site = tmp_path / "metadata"
    install(site, "aliaport-orders", {"orders": "aliaport_orders.plugin:OrdersPlugin"})
    service = start(
        tmp_path / "run",
        allow=["orders"],
        path=(site, folder / "src"),
        environ={"ALIAPORT_PLUGINS__ORDERS__FOLDER": str(tmp_path)},
    )
    try:
        service.wait_listening()
        service.wait_started()
        (row,) = service.get("/status?exclude=log").json["data"]["probes"]
        assert row["title"] == "Order queue"
        counted = 'aliaport_job_runs_total{name="count",outcome="succeeded",plugin="orders"} 1'
        service.wait_for(lambda: counted in service.get("/metrics").text, "the job has run")
        assert 'aliaport_orders_waiting{queue="spool"}' in service.get("/metrics").text
    finally:
        service.kill()
