"""Command lines: run in this process, which takes milliseconds, or as installed programs."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from unittest import mock

from click.testing import CliRunner

from aliaport.cli import main as aliaport_main
from tests.support.service import INTERRUPTIBLE

DEFAULTS = {
    "ALIAPORT_PORT": "0",
    "ALIAPORT_PLUGIN_LIMITS__IMPORT_TIMEOUT": "60",
    "ALIAPORT_PLUGIN_LIMITS__CONSTRUCT_TIMEOUT": "60",
}
"""Set unless a test sets them: the default port may be in use, and the tests run at low priority."""

Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Done:
    """The exit code and the output of a run."""

    code: int
    out: str
    err: str


def captured(call: Callable[[], int | None], typed: str | None = None) -> Done:
    """Call the main function of a program; return its exit code and its output."""
    with CliRunner().isolation(input=typed) as (stdout, stderr, _):
        try:
            code = call() or 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        return Done(code, stdout.getvalue().decode(), stderr.getvalue().decode())


def invoke(
    main: Callable[[], None],
    *arguments: str,
    folder: Path,
    environ: Mapping[str, str],
    typed: str | None = None,
) -> Finished:
    """Run an entry point in this process, in `folder` and with these variables only.

    It changes the state of the whole process while it runs, so use it in one thread only and not
    beside an event loop.
    """
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, environ, clear=True),
        mock.patch.object(sys, "argv", [main.__module__, *arguments]),
    ):
        done = captured(main, typed)
    return Finished([*arguments], done.code, done.out, done.err)


def installed(program: str) -> list[str]:
    """Return the beginning of the command line of an installed program."""
    return [*INTERRUPTIBLE, str(Path(sys.executable).with_name(program))]


def aliaport(
    folder: Path,
    *arguments: str,
    path: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] = DEFAULTS,
) -> Done:
    """Run `aliaport` in this process, in `folder`, with only `environ` in its environment.

    `defaults` are variables that `environ` overrides. `path` lists folders with more distributions.
    It runs in a separate thread, since a test may have an event loop in this one.
    """

    def run() -> Finished:
        interval = sys.getswitchinterval()
        with (
            mock.patch.object(sys, "path", [*map(str, path), *sys.path]),
            mock.patch.object(os, "_exit", _leave),
        ):
            try:
                variables = {"PATH": os.environ["PATH"], **defaults, **(environ or {})}
                return invoke(aliaport_main, *arguments, folder=folder, environ=variables)
            finally:
                sys.setswitchinterval(interval)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(run).result(60)
    return Done(done.returncode, done.stdout, done.stderr)


def aliaport_process(
    folder: Path,
    *arguments: str,
    path: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
) -> Done:
    """Run `aliaport` like the function of that name, in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "aliaport", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            **DEFAULTS,
            **(environ or {}),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _leave(code: int) -> NoReturn:
    raise SystemExit(code)
