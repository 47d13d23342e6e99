"""Command lines: run in this process, or as the installed programs that operators type."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

from click.testing import CliRunner

from tests.support.service import INTERRUPTIBLE

Finished = subprocess.CompletedProcess[str]


def installed(program: str) -> list[str]:
    """The beginning of the command line of an installed program."""
    return [*INTERRUPTIBLE, str(Path(sys.executable).with_name(program))]


def invoke(
    main: Callable[[], None],
    *arguments: str,
    folder: Path,
    environ: Mapping[str, str],
    typed: str | None = None,
) -> Finished:
    """Run an entry point in this process, in `folder` and with these variables only.

    Much faster than a process. It changes the state of the whole process while it runs, so use it
    in one thread only and beside no event loop.
    """
    code = 0
    with (
        contextlib.chdir(folder),
        mock.patch.dict("os.environ", environ, clear=True),
        mock.patch.object(sys, "argv", [main.__module__, *arguments]),
        CliRunner().isolation(input=typed) as (stdout, stderr, _),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        printed = [stream.getvalue().decode() for stream in (stdout, stderr)]
    return Finished([*arguments], code, *printed)
