"""Limits of the process: the documented minima suffice, and what is too low is named in one line."""

import os
import pwd
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from aliaport.process.limits import MIN_FILES, MIN_MEMORY
from tests.support import commands
from tests.support.fixtures import Launch
from tests.support.pids_cgroup import pids_limit
from tests.support.plugins import BUNDLED
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.service

CannotRun = Callable[[str, str], NoReturn]

DOCUMENT = Path(__file__).parents[2] / "docs/reference/configuration.md"
PATIENT = "ready_timeout = 30\nstatus_timeout = 30\n"
MINIMA = (f"--nofile={MIN_FILES}:{MIN_FILES}", f"--as={MIN_MEMORY}", f"--data={MIN_MEMORY}")
UNKNOWN_USER = 54321


def as_user(uid: int) -> tuple[str, ...]:
    """Return the command that changes to a user who can read everything.

    The virtual environment may be private.
    """
    return (
        *("setpriv", f"--reuid={uid}", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    )


def idle_user() -> int:
    """Return a user of this machine who has no processes: PostgreSQL looks up the name of its own.

    The user `nobody` runs the servers of other tests; other runs of this one may take another.
    """
    busy = {process.info["uids"].real for process in psutil.process_iter(["uids"])}
    idle = [
        user.pw_uid
        for user in pwd.getpwall()
        if user.pw_uid not in {0, *busy} and user.pw_name != "nobody"
    ]
    return idle[os.getpid() % len(idle)]


def documented(limit: str) -> list[int]:
    """Return the needed numbers of the line of this limit."""
    (line,) = [line for line in DOCUMENT.read_text().splitlines() if f"`{limit}`" in line]
    return [int(number) for number in re.findall(r"\d+", line.split("|")[2])]


def test_the_documented_minima_are_those_of_the_code() -> None:
    assert documented("ulimit -n") == [MIN_FILES]
    for memory in ("ulimit -v", "ulimit -d"):
        assert documented(memory) == [MIN_MEMORY // 2**20]


@pytest.mark.needs("root")
@pytest.mark.parametrize("embedded", [False, True])
def test_the_minima_suffice_for_all_bundled_plugins(
    request: pytest.FixtureRequest,
    launch: Launch,
    cannot_run: CannotRun,
    embedded: bool,
) -> None:
    environ = {} if embedded else {"DATABASE_URL": request.getfixturevalue("database")}
    with pids_limit(cannot_run) as limit:
        limit.set(documented("pids.max")[embedded])
        service = launch(
            allow=BUNDLED,
            config=PATIENT,
            environ=environ,
            prefix=(*limit.wrapper, "prlimit", *MINIMA),
        )
        service.wait_for(lambda: service.get("/ready").status == 200, "it is ready")
        assert service.get("/metrics").status == 200
        failing = {
            probe["name"]: probe["code"]
            for probe in service.get("/status").json["data"]["probes"]
            if probe["status"] == "unhealthy"
        }
        assert set(failing) <= {"currency_rates"}, failing  # the central bank cannot be reached
        assert not service.events("database.near_process_limit")
        service.signal()
        assert service.wait_ended() == 0, service.output()


@pytest.mark.needs("root")
def test_a_limit_near_which_the_embedded_database_cannot_fork_is_named(launch: Launch) -> None:
    service = launch(
        allow=("db",),
        config=PATIENT,
        prefix=(*as_user(idle_user()), "prlimit", "--nproc=48:48"),
    )
    (warning,) = service.wait_events("database.near_process_limit")
    assert warning["log.level"] == "warning"
    assert warning["problem"].startswith("the limit on processes and threads of this user")
    assert "(`ulimit -u`) is 48; set it to 100 above what" in warning["problem"]
    assert "a process for each connection" in warning["hint"]


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ("--nofile=12", "the limit of open files (`ulimit -n`) is 12; set it to 256 or higher"),
        ("--as=204800000", "the limit of the address space (`ulimit -v`) is 200000 kB; remove it"),
        ("--data=204800000", "the limit of the data segment (`ulimit -d`) is 200000 kB; remove it"),
    ],
)
@pytest.mark.parametrize("command", [["serve"], ["plugins", "list"]])
def test_a_limit_that_is_too_low_is_one_line(
    tmp_path: Path, limit: str, problem: str, command: Sequence[str]
) -> None:
    code, err = run(["prlimit", f"{limit}:{limit.partition('=')[2]}"], *command, folder=tmp_path)
    assert code == 2
    assert err.startswith(f"aliaport: {problem}")
    assert err.count("\n") == 1


@pytest.mark.needs("root")
@pytest.mark.parametrize("number", [5, 8, 11])
def test_a_limit_on_threads_that_is_too_low_is_one_line(
    tmp_path: Path, cannot_run: CannotRun, number: int
) -> None:
    with pids_limit(cannot_run) as limit:
        limit.set(number)
        code, err = run(limit.wrapper, "serve", folder=tmp_path)
    assert code == 2
    assert err.startswith("aliaport: cannot start another thread: the limit on processes")
    assert f"pids.max, in Docker `--pids-limit`) is {number}; set it to 100 or higher\n" in err
    assert err.count("\n") == 1


def run(prefix: Sequence[str], *command: str, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [*prefix, *commands.installed("aliaport"), *command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "ALIAPORT_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("prefix", "named"),
    [
        (["prlimit", "--as=536870912"], "the address space (`ulimit -v`) is 524288 kB"),
        (["prlimit", "--data=536870912"], "the data segment (`ulimit -d`) is 524288 kB"),
        pytest.param(
            [*as_user(UNKNOWN_USER), "prlimit", "--nproc=30:30"],
            "this user (`ulimit -u`) is 30; set it to 100 above",
            marks=pytest.mark.needs("root"),
        ),
    ],
)
def test_the_limit_that_stopped_a_thread_is_named(prefix: Sequence[str], named: str) -> None:
    assert named in reached(prefix)


@pytest.mark.needs("root")
def test_the_cgroup_that_stopped_a_thread_is_named(cannot_run: CannotRun) -> None:
    with pids_limit(cannot_run) as limit:
        limit.set(30)
        # Further limits, which are not the reason.
        out = reached([*limit.wrapper, "prlimit", f"--as={2**40}", "--nproc=9000"])
    assert "pids.max, in Docker `--pids-limit`) is 30" in out


def reached(prefix: Sequence[str]) -> str:
    script = Path(__file__).with_name("limits_reached.py")
    done = subprocess.run(
        [*prefix, sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout.startswith("cannot start another thread: "), done.stderr
    return done.stdout
