"""Runs `setup`: in this process, or as a user starts it."""

import re
import subprocess
import sys
from pathlib import Path

from tests.elk.stand_in import ADMIN_KEY, PASSWORD, USER, StandIn
from tests.support import commands
from tests.support.scripts import script

ELK = Path(__file__).parents[2] / "deploy" / "elk"
SETUP = script(ELK / "setup")


class Done(commands.Done):
    """A run of `setup`."""

    def outcomes(self) -> set[str]:
        """Return the reported outcomes."""
        return {re.split(r" {2,}", line)[0] for line in self.out.splitlines()}

    def problem(self) -> str:
        """Return the error message, which must be one line."""
        assert self.err.startswith("setup: "), f"no problem was reported: {self.err!r}"
        assert self.err.count("\n") == 1, f"more than one line: {self.err}"
        return self.err


def run(elk: Path, *arguments: object) -> Done:
    """Run it in this process for the files in the folder `elk`."""
    done = commands.captured(lambda: int(SETUP.main([*map(str, arguments)], elk)))
    return _checked(done.code, done.out, done.err)


def run_process(*arguments: object) -> Done:
    """Run it in a separate process, with only the standard library."""
    done = subprocess.run(
        [sys.executable, "-S", "-B", str(ELK / "setup"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return _checked(done.returncode, done.stdout, done.stderr)


def servers(server: StandIn, password: Path) -> tuple[object, ...]:
    """Return the arguments that name the servers and the user."""
    where = ("--elasticsearch", server.url, "--kibana", server.kibana_url)
    return (*where, "--user", USER, "--password-file", password)


def run_on(server: StandIn, elk: Path, password: Path, *arguments: object) -> Done:
    return run(elk, *servers(server, password), *arguments)


def _checked(code: int, out: str, err: str) -> Done:
    written = out + err
    for hidden in (PASSWORD, ADMIN_KEY.split(":")[1], "never-show-this"):
        assert hidden not in written, f"a secret was written: {written}"
    assert "Traceback" not in written, written
    return Done(code, out, err)
