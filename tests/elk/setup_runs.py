"""`setup` as a person runs it: a process of its own, with no packages but the standard library."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.elk.stand_in import ADMIN_KEY, PASSWORD, USER, StandIn

ELK = Path(__file__).parents[2] / "deploy" / "elk"


@dataclass
class Done:
    code: int
    out: str
    err: str

    def outcomes(self) -> set[str]:
        """Which outcomes were told."""
        return {re.split(r" {2,}", line)[0] for line in self.out.splitlines()}

    def problem(self) -> str:
        """The one line that says what is wrong."""
        assert self.err.startswith("setup: "), f"no problem told: {self.err!r}"
        assert self.err.count("\n") == 1, f"more than one line: {self.err}"
        return self.err


def run(elk: Path, *arguments: object) -> Done:
    done = subprocess.run(
        [sys.executable, "-S", "-B", str(elk / "setup"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = done.stdout + done.stderr
    for hidden in (PASSWORD, ADMIN_KEY.split(":")[1], "never-show-this"):
        assert hidden not in told, f"a secret was told: {told}"
    assert "Traceback" not in told, told
    return Done(done.returncode, done.stdout, done.stderr)


def run_on(server: StandIn, elk: Path, password: Path, *arguments: object) -> Done:
    where = ("--elasticsearch", server.url, "--kibana", server.kibana_url)
    return run(elk, *where, "--user", USER, "--password-file", password, *arguments)
