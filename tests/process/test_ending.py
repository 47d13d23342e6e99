"""The end of the process: its deadline and the third signal, whatever blocks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.process.unread_pipe import unread_pipe
from tests.support.fixtures import Launch
from tests.support.service import INTERRUPTIBLE, PATIENCE

pytestmark = pytest.mark.service

HEAD = """
import os, re, signal, sys
from aliaport.process.ending import Ending
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: None)
ending = Ending()
"""
SPIN = "\nwhile True: pass"
HOLD_THE_INTERPRETER = "\nre.match('(a+)+$', 'a' * 100 + 'b')"
READY = "\nprint('ready', flush=True)"

FIRST_PROCESS = ("unshare", "--pid", "--fork", "--kill-child")
as_first_process = pytest.param(FIRST_PROCESS, marks=pytest.mark.needs("root", "unshare"))


def run(script: str, *prefix: str, output: Path | None = None) -> "subprocess.Popen[str]":
    command = [*INTERRUPTIBLE, *prefix, sys.executable, "-c", HEAD + script]
    environ = {"PATH": os.environ["PATH"]}  # without PYTHONUNBUFFERED
    if output is None:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
        )
    with output.open("r+b", buffering=0) as stream:
        return subprocess.Popen(command, stdout=stream, stderr=stream, text=True, env=environ)


@pytest.mark.parametrize("prefix", [(), as_first_process])
@pytest.mark.parametrize(("busy", "code"), [(SPIN, 3), (HOLD_THE_INTERPRETER, int(signal.SIGALRM))])
def test_the_deadline_holds_while_the_main_thread_is_busy(
    prefix: Sequence[str], busy: str, code: int
) -> None:
    process = run(f"ending.within(0.1, 3){busy}", *prefix)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, out


def test_an_earlier_deadline_wins() -> None:
    process = run(f"ending.within(0.1, 3); ending.within(600, 4){SPIN}")
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert out == (
        "aliaport: the stop did not finish in time, so the process exits now; see end_timeout\n"
    )


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("ending.within(0.1, 3); print('x' * 10_000, flush=True)", 3),
        ("print('x'); ending.leave(0)", 0),
    ],
)
def test_an_output_that_nobody_reads_does_not_hold_up_the_end(
    tmp_path: Path, end: str, code: int
) -> None:
    with unread_pipe(tmp_path / "output") as output:
        assert run(end, output=output).wait(PATIENCE) == code


def test_the_first_signal_sets_the_deadline_while_python_code_is_busy() -> None:
    process = run(f"ending.watch_signals(0.1, 0, int){READY}{SPIN}")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 1


def test_the_second_signal_saves_the_drain() -> None:
    process = run(f"ending.watch_signals(600, 599.9, int){READY}{SPIN}")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 1


def test_the_third_signal_ends_the_process_while_python_code_is_busy() -> None:
    script = "ending.watch_signals(600, 0, lambda: os.write(1, b'third'))"
    process = run(script + READY + SPIN)
    assert process.stdout is not None
    process.stdout.readline()
    # Signals of one kind merge while the first is pending.
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.01)
    assert (process.returncode, process.stdout.read()) == (128 + signal.SIGTERM, "third")


def test_a_signal_to_a_forked_child_is_not_one_to_the_service() -> None:
    script = """
ending.watch_signals(0.1, 0, int)
child = os.fork()
if child == 0:
    print('forked', flush=True)
    signal.pause()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), child, flush=True)
"""
    process = run(f"{script}{SPIN}")
    assert process.stdout is not None
    process.stdout.readline()
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)
    assert process.stdout.readline() == f"{-signal.SIGTERM} {child}\n"
    # A signal that counted would have set a timer before the child ended.
    caught = Path(f"/proc/{process.pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    assert not int(caught, 16) & 1 << signal.SIGALRM - 1
    process.kill()


def test_the_service_ends_although_nobody_reads_its_output(launch: Launch, tmp_path: Path) -> None:
    with unread_pipe(tmp_path / "output") as output:
        service = launch(
            {"good": "aliaport_rogues.good:Good"},
            environ={"ALIAPORT_LOG__STDOUT": "true", "OUTPUT": str(output)},
            prefix=("sh", "-c", 'exec "$@" >"$OUTPUT" 2>&1', "sh"),
        )
        service.signal()
        assert service.wait_ended() == 0
        assert service.events("service.stopped")


def test_the_service_ends_although_a_plugin_holds_the_interpreter(launch: Launch) -> None:
    service = launch(
        {"rogue": "aliaport_rogues.bad_lives:StopHoldsInterpreter"},
        environ={"ALIAPORT_END_TIMEOUT": "0.5"},
    )
    service.signal()
    assert service.wait_ended() == signal.SIGALRM
