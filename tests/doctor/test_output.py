"""The output: on a terminal, in a pipe, as JSON."""

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import Finding, Verdict, passed
from aliaport.doctor.output import as_json, failed, plain
from aliaport.doctor.running import CHECKS, Line, clean, line_of
from aliaport.doctor.targets import Targets
from tests.support import commands

LINES = [
    Line("a.good", "Good", passed("all is well")),
    Line("a.bad", "Bad", Finding(Verdict.FAIL, "it is not", "repair it", "AliaportDown")),
    Line("a.open", "Open", Finding(Verdict.NOT_CHECKED, "not named")),
]


def test_the_shape_of_the_json_is_stable() -> None:
    body = as_json(LINES, "http://a")
    at = body.pop("at")
    assert len(at) == len("2026-11-24T12:05:15Z")
    assert body.pop("doctor")
    assert body == {
        "form": 1,
        "url": "http://a",
        "result": "fail",
        "counts": {"pass": 1, "fail": 1, "warning": 0, "not_checked": 1},
        "lines": [
            {
                "id": "a.good",
                "title": "Good",
                "result": "pass",
                "seen": "all is well",
                "todo": "",
                "runbook": "",
            },
            {
                "id": "a.bad",
                "title": "Bad",
                "result": "fail",
                "seen": "it is not",
                "todo": "repair it",
                "runbook": "deploy/runbooks/AliaportDown.md",
            },
            {
                "id": "a.open",
                "title": "Open",
                "result": "not_checked",
                "seen": "not named",
                "todo": "",
                "runbook": "",
            },
        ],
    }
    assert as_json([LINES[0], LINES[2]], "http://a")["result"] == "pass"
    assert failed(LINES)
    assert not failed([LINES[0], LINES[2]])


def test_plain_lines_include_the_fix() -> None:
    assert list(plain(LINES)) == [
        "pass        a.good                   Good - all is well",
        "FAIL        a.bad                    Bad - it is not",
        "            → repair it (deploy/runbooks/AliaportDown.md)",
        "not checked a.open                   Open - not named",
        "1 passed, 1 failed, 1 not checked",
    ]


@pytest.mark.service
def test_a_pipe_gets_plain_lines(tmp_path: Path) -> None:
    done = commands.aliaport_process(tmp_path, "doctor", "--url", "http://127.0.0.1:1")
    assert (done.code, done.err) == (1, "")
    assert "\x1b" not in done.out
    for check in CHECKS:
        assert f" {check.id} " in done.out
    assert done.out.splitlines()[-1].endswith("not checked")


@pytest.mark.service
def test_a_terminal_gets_a_table(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "aliaport", "doctor", "--url", "http://127.0.0.1:1"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "100"},
        stdout=terminal,
        stderr=terminal,
        stdin=terminal,
    )
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(controller, 65_536):
            shown += chunk
    except OSError:
        pass  # a terminal reports a closed other end like this
    finally:
        os.close(controller)
    text = shown.decode()
    assert process.wait(60) == 1
    assert "\x1b[" in text, "the output has colours"
    assert "FAIL" in text
    assert "Connection refused" in text.replace("\r\n", "")


async def test_a_check_that_raises_fails_only_its_line() -> None:
    async def broken(run: Run) -> Finding:
        raise RuntimeError("with a-long-token in it")

    run = Run(Targets("http://a", status_token="a-long-token"), None, None)  # type: ignore[arg-type]
    line = await line_of(Check("a.b", "Broken", broken), run)
    assert line.finding.verdict is Verdict.FAIL
    assert line.finding.seen.endswith("RuntimeError: with *** in it")


async def test_a_check_that_hangs_is_cancelled() -> None:
    async def endless(run: Run) -> Finding:
        await asyncio.sleep(3600)
        return passed("")

    run = Run(Targets("http://a", timeout=0.02), None, None)  # type: ignore[arg-type]
    line = await line_of(Check("a.b", "Endless", endless), run)
    assert (line.finding.verdict, line.finding.seen) == (Verdict.FAIL, "not finished within 0.12 s")


def test_control_characters_of_responses_are_replaced() -> None:
    text = "a\x1b[2J\tb\nc postgresql://user:geheim@host [bold]"
    assert clean(text, ()) == "a?[2J b c postgresql://user:***@host [bold]"
    assert clean("x" * 2000, ()).endswith("x…")
    assert len(clean("x" * 2000, ())) == 501
