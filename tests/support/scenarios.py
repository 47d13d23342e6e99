"""Scenarios that a plugin's test runs in a separate process: in a cgroup, on its own mounts."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 110.0


def play(module: str, *arguments: str, within: Sequence[str] = ()) -> dict[str, Any]:
    """Run `module` and return the JSON object in the last line that it prints.

    `within` is the beginning of the command line, such as `unshare` with its options.
    """
    done = subprocess.run(
        [*within, sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{module} {' '.join(arguments)}: {done.stderr}"
    story: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return story
