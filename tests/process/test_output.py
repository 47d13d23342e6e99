"""Standard output and error of commands: full, closed, or a pipe that nobody reads any more."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.service

COMMANDS = [["--version"], ["config", "show", "--json"]]
FULL = "aliaport: cannot write the output: No space left on device\n"
CLOSED = "aliaport: cannot write the output: standard output is closed\n"


def run(
    folder: Path, command: Sequence[str], *, redirected: str = "", stdout: int = subprocess.DEVNULL
) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", *commands.installed("aliaport"), *command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("redirected", "error"),
    [
        (">/dev/full", FULL),
        (">&-", CLOSED),
        (">/dev/full 2>&1", ""),
        (">&- 2>&-", ""),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_cannot_be_written_is_an_error(
    tmp_path: Path, redirected: str, error: str, command: Sequence[str]
) -> None:
    assert run(tmp_path, command, redirected=redirected) == (1, error)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_gone_ends_the_command_quietly(
    tmp_path: Path, command: Sequence[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run(tmp_path, command, stdout=writer) == (1, "")
    finally:
        os.close(writer)


def test_an_error_of_the_command_is_reported_although_its_output_is_full(tmp_path: Path) -> None:
    code, error = run(tmp_path, ["config", "show", "--config", "none"], redirected=">/dev/full")
    assert (code, "none: No such file or directory" in error) == (2, True)


def test_an_error_has_its_exit_code_although_it_cannot_be_reported(tmp_path: Path) -> None:
    code, _ = run(tmp_path, ["serve", "--config", "none"], redirected="2>/dev/full")
    assert code == 2


def test_a_working_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    within = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh"]
    done = subprocess.run(
        [*within, *commands.installed("aliaport-operations"), "user", "list"],
        cwd=gone,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "aliaport-operations: the working folder has been deleted; change to another one\n",
    )
