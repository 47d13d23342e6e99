"""Runs the command line: in this process, which takes milliseconds, or in one of its own."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from unittest import mock

from aliaport.cli import main
from tests.support.service import inherited


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    output: str
    errors: str


def call(
    folder: Path,
    *arguments: str,
    path: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
) -> Done:
    """Run `aliaport` in this process, in `folder`, with nothing but `environ` in its environment.

    `path` is where to find more distributions. It runs in a thread of its own, since a test may
    have an event loop in this one.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_called, folder, arguments, path, environ or {}).result(60)


def run(
    folder: Path,
    *arguments: str,
    path: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
) -> Done:
    """Run `aliaport` as `call` does, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "aliaport", *arguments],
        cwd=folder,
        env={
            **inherited(),
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            **(environ or {}),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _called(
    folder: Path, arguments: Sequence[str], path: Sequence[Path], environ: Mapping[str, str]
) -> Done:
    output, errors = io.StringIO(), io.StringIO()
    code = 0
    interval = sys.getswitchinterval()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        mock.patch.dict(os.environ, {**inherited(), **environ}, clear=True),
        mock.patch.object(sys, "path", [*map(str, path), *sys.path]),
        mock.patch.object(sys, "argv", ["aliaport", *arguments]),
        mock.patch.object(os, "_exit", _leave),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            sys.setswitchinterval(interval)
    return Done(code, output.getvalue(), errors.getvalue())


def _leave(code: int) -> NoReturn:
    raise SystemExit(code)
