"""Threads of the service: everything works although no further thread can be started."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tests.process.pids_limit import pids_limit
from tests.support import commands
from tests.support.fixtures import Launch
from tests.support.service import Service, patient
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.service

PLUGINS = {"good": "aliaport_rogues.good:Good", "threads": "aliaport_rogues.threads:Threads"}
APPS = {"resolver": "aliaport_rogues.threads:app"}
CONFIG = patient("good", "counting", "in_thread", "resolving")

CannotRun = Callable[[str, str], NoReturn]


def check_everything(service: Service) -> None:
    for _ in range(3):
        page = service.get("/metrics")
        assert page.status == 200
        assert "aliaport_threads_number 7" in page.text
    status = service.get("/status")
    codes = {probe["name"]: probe["code"] for probe in status.json["data"]["probes"]}
    assert {codes["in_thread"], codes["resolving"], codes["good"]} == {"ok"}, status.text
    resolved = service.get("/names/resolve")
    assert (resolved.status, resolved.json["data"]["address"]) == (200, "127.0.0.1")


def test_everything_works_when_no_thread_can_be_started(launch: Launch) -> None:
    service = launch(PLUGINS, APPS, config=CONFIG + "[plugins.threads]\nrefuse = true\n")
    check_everything(service)


@pytest.mark.needs("root")
def test_everything_works_when_the_limit_of_the_cgroup_is_reached(
    launch: Launch, cannot_run: CannotRun
) -> None:
    with pids_limit(cannot_run) as limit:
        service = launch(PLUGINS, APPS, config=CONFIG, prefix=limit.wrapper)
        limit.set()
        check_everything(service)
        service.signal()
        assert service.wait_ended() == 0


@pytest.mark.needs("root")
@pytest.mark.parametrize("number", [5, 8])
def test_a_limit_on_threads_that_is_too_low_is_one_line(
    tmp_path: Path, cannot_run: CannotRun, number: int
) -> None:
    with pids_limit(cannot_run) as limit:
        limit.set(number)
        done = subprocess.run(
            [*limit.wrapper, *commands.installed("aliaport"), "serve"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "ALIAPORT_PORT": "0"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("aliaport: cannot start another thread: the limit on processes")
    assert f"pids.max, in Docker `--pids-limit`) is {number}; set it to" in done.stderr
    assert done.stderr.count("\n") == 1
