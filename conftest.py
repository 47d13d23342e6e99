"""Check that the machine has what a test needs, and list at the end what was not run."""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

from tests.support.memory_cgroup import can_limit_memory
from tests.support.pgbouncer import find_pgbouncer

# Hypothesis fails an example that takes longer than 200 ms, which says nothing on a busy machine.
hypothesis.settings.register_profile("any_machine", deadline=None)
hypothesis.settings.load_profile("any_machine")

pytest_plugins = ["tests.support.fixtures", "tests.support.child_processes", "tests.support.order"]

ROOT = Path(__file__).parent
EXPORTERS = ("node", "postgres", "blackbox")
REQUIRE_ALL = os.environ.get("ALIAPORT_REQUIRE_ALL") == "1"


def _has(*programs: str) -> bool:
    return all(shutil.which(program) for program in programs)


NEEDS: dict[str, Callable[[], bool]] = {
    "root": lambda: os.geteuid() == 0,
    "fuse": lambda: Path("/dev/fuse").exists(),
    "curl": lambda: shutil.which("curl") is not None,
    "haproxy": lambda: shutil.which("haproxy") is not None,
    "nginx": lambda: shutil.which("nginx") is not None,
    "varnish": lambda: _has("varnishd", "gcc"),
    "apache": lambda: shutil.which("apache2") is not None,
    "promtool": lambda: shutil.which("promtool") is not None,
    "unshare": lambda: shutil.which("unshare") is not None,
    "prometheus": lambda: shutil.which("prometheus") is not None,
    "alertmanager": lambda: _has("prometheus-alertmanager", "amtool"),
    "exporters": lambda: _has(*(f"prometheus-{name}-exporter" for name in EXPORTERS)),
    "postgresql15": lambda: Path("/usr/lib/postgresql/15/bin/postgres").exists(),
    "tsc": lambda: (ROOT / "tests/elk/types/node_modules/.bin/tsc").exists(),
    "tsc_grafana": lambda: (ROOT / "tests/grafana/types/node_modules/.bin/tsc").exists(),
    "memory_cgroup": can_limit_memory,
    "pgbouncer": lambda: find_pgbouncer() is not None,
    "mkfs": lambda: shutil.which("mkfs.ext4") is not None,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that must not run beside others."""
    for item in items:
        if "e2e" in item.nodeid.split("/"):
            item.add_marker(pytest.mark.alone)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here; with ALIAPORT_REQUIRE_ALL=1 let it fail instead."""
    names = dict.fromkeys(name for marker in item.iter_markers("needs") for name in marker.args)
    missing = [name for name in names if not NEEDS[name]()]
    if missing and REQUIRE_ALL:
        pytest.fail(f"ALIAPORT_REQUIRE_ALL=1, but there is no {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


@pytest.fixture(scope="session")
def cannot_run() -> Callable[[str, str], NoReturn]:
    """Return `cannot_run(what, reason)`, for a lack that shows only during the test."""

    def cannot_run(what: str, reason: str) -> NoReturn:
        if REQUIRE_ALL:
            pytest.fail(f"ALIAPORT_REQUIRE_ALL=1, but {what} cannot run: {reason}")
        pytest.skip(reason)

    return cannot_run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was not run, here or on a worker of pytest-xdist."""
    names: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        _path, _line, reason = report.longrepr
        names[reason.removeprefix("Skipped: ")].append(report.nodeid)
    for reason, tests in names.items():
        terminalreporter.section(f"NOT RUN: {len(tests)} tests, {reason}")
        for test in tests:
            terminalreporter.write_line(test)
    if names:
        terminalreporter.write_line(
            "For programs: make system-deps (Debian, root). For rights: run as root."
        )
