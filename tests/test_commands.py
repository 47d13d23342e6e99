"""A plugin's command: its options, context, messages and exit codes."""

import functools
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import click
import pytest

from aliaport import postgres
from aliaport.commands import run_command
from aliaport.logs.terminal import terminal_logger
from aliaport.testing import make_context
from tests.typing.aliaport_shelves.command import main

TOML = '[log]\nfolder = "logs"\n[plugins.shelves]\nhalls = ["east"]\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder, with the URL of an unused database in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.startswith("ALIAPORT_") or name in ("ENVIRONMENT", "SENTRY_DSN"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["shelves", *arguments])
    try:
        main()
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        return ended.code
    return 0


def test_options_have_the_same_sources_as_the_service_s(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.toml").write_text(TOML)
    (folder / ".env").write_text("ENVIRONMENT=staging\n")
    assert run(monkeypatch, "--config", "a.toml", "--env-file", ".env") == 0
    assert capsys.readouterr().out == "shelves in staging: east\n"
    monkeypatch.setenv("ALIAPORT_PLUGINS__SHELVES__HALLS", "west,south")
    assert run(monkeypatch, "--config", "a.toml") == 0
    assert capsys.readouterr().out == "shelves in development: west, south\n"


def test_the_command_has_its_own_audit_log_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.toml").write_text(TOML)
    assert run(monkeypatch, "--config", "a.toml") == 0
    (file,) = (folder / "logs").iterdir()
    assert file.name.startswith("audit.log.")
    _, line = map(json.loads, file.read_text().splitlines())
    assert (line["message"], line["aliaport.plugin"]) == ("shelves.listed", "shelves")
    assert line["aliaport.numbers.halls"] == 1


def test_lines_on_the_terminal_have_no_empty_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log = terminal_logger(plugin="shelves")
    log.warning("probe.changed", previous=None, status="unhealthy", summary="", count=0, where="")
    line = capsys.readouterr().err.rstrip()
    assert line.endswith("count=0 plugin=shelves status=unhealthy")


def test_lines_on_the_terminal_have_no_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = terminal_logger()
    log.warning("a\nb\x1b[2J", reason="c\rd\u2028e", traceback="f\n  g\x9b1m")
    shown = capsys.readouterr().err
    assert r"a\nb\x1b[2J" in shown
    assert "\nf\n  g\\x9b1m\n" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_lines_on_the_terminal_have_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    log = terminal_logger()
    try:
        raise ConnectionRefusedError("postgresql://bob:hunter2@db.example/app")
    except OSError:
        log.exception("tried password=hunter2", url="redis://:hunter2@cache", api_key="hunter2")
    shown = capsys.readouterr().err
    assert "hunter2" not in shown
    assert shown.count("***") == 5


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--fail"], 1, "shelves: it failed; try again\n"),
        (["--abort"], 130, ""),
        (["--config", "absent.toml"], 2, "absent.toml: No such file or directory"),
        (["--strange"], 2, "No such option"),
    ],
)
def test_errors_are_messages_and_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], code: int, said: str,
) -> None:  # fmt: skip
    assert run(monkeypatch, *arguments) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err


async def connect() -> None:
    await postgres.connect(make_context(database_url=os.environ["DATABASE_URL"]), component="x")


async def connect_by_name() -> None:
    url = "postgresql://u:geheim@database.invalid/x"
    await postgres.connect(make_context(database_url=url), component="x")


def read() -> None:
    Path("absent.csv").read_text()


def read_upstream() -> None:
    socket.create_connection(("127.0.0.1", 1), timeout=10)


def write_to_full_disk() -> None:
    os.write(os.open("/dev/full", os.O_WRONLY), b"text")


def write_to_closed_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.write(writer, b"text")


def wait_too_long() -> None:
    raise TimeoutError("no reply within 3 s")


def refuse() -> None:
    raise asyncpg.UndefinedTableError("relation password=geheim does not exist")


@click.command("halls")
async def halls() -> None:
    await connect()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (connect, "tool: cannot use the database: nothing is listening at the address: database "),
        (functools.partial(connect), 'database "none" at 127.0.0.1:1 as user '),
        (connect_by_name, "tool: cannot use the database: the host name cannot be resolved: "),
        (halls, "halls: cannot use the database: nothing is listening at the address: database "),
        (read, "tool: absent.csv: No such file or directory\n"),
        (read_upstream, "tool: ConnectionRefusedError: [Errno 111] Connection refused\n"),
        (write_to_full_disk, "tool: cannot write the output: No space left on device\n"),
        (wait_too_long, "tool: TimeoutError: no reply within 3 s\n"),
        (refuse, "tool: the database failed: UndefinedTableError: relation "),
    ],
)
def test_any_callable_runs_and_a_database_that_is_down_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    command: Any, said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.argv", ["/usr/bin/tool"])
    with pytest.raises(SystemExit) as ended:
        run_command(command)
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (1, "")
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert "geheim" not in shown.err


def test_a_reader_that_has_gone_ends_the_command_quietly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(write_to_closed_pipe)
    assert (ended.value.code, capsys.readouterr().err) == (1, "")


def test_a_fault_of_the_program_is_raised() -> None:
    def fail() -> None:
        raise LookupError("no such hall")

    with pytest.raises(LookupError):
        run_command(fail)
    run_command(lambda: None)


def test_all_wrong_options_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.toml").write_text("[plugins.shelves]\nhall = []\nmin_free = 'few'\n")
    assert run(monkeypatch, "--config", "a.toml") == 2
    shown = capsys.readouterr().err
    assert "2 configuration problems" in shown
    assert "did you mean 'halls'?" in shown


def generate() -> Iterator[int]:
    yield 1


async def generate_async() -> AsyncIterator[int]:
    yield 1


def need(argument: int) -> None:
    del argument


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (generate, "the command: run contains `yield`"),
        (generate_async, "the command: run contains `yield`"),
        (need, "the command: run must not need arguments: missing a required argument: 'argument'"),
    ],
)
def test_a_function_that_cannot_run_is_one_message(
    command: Any, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(command)
    assert ended.value.code == 1
    assert reason in capsys.readouterr().err
