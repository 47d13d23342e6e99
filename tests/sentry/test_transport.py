"""Invalid DSNs, dead servers and no server at all never delay the service."""

import gzip
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import pytest
import sentry_sdk
import structlog

from aliaport.errors import StartupError
from aliaport.sentry import Sentry, check_dsn, start_sentry, transport
from tests.support.sentry import (
    PATIENCE,
    HostileServer,
    SentryServer,
    black_hole,
    refused,
    took,
    tracking,
)
from tests.support.stand_in import Reply

pytest_plugins = ["tests.support.sentry_fixtures"]


@pytest.mark.parametrize(
    "dsn",
    [
        "https://key@sentry.example/1",
        "https://key:Kal3m@sentry.example:9000/below/42",
        "http://k@[::1]:9000/7",
    ],
)
def test_good_dsns(dsn: str) -> None:
    check_dsn(dsn)


@pytest.mark.parametrize(
    ("dsn", "problem"),
    [
        ("Kal3m", "does not start with"),
        ("ftp://Kal3m@sentry.example/1", "does not start with"),
        ('"https://Kal3m@sentry.example/1"', "does not start with"),
        ("https://Kal3m@sentry.example/project-id", "does not end with a project number"),
        ("https://Kal3m@sentry.example", "does not end with a project number"),
        ("https://Kal3m@sentry.example/1/", "does not end with a project number"),
        ("https://Kal3m@sentry.example/1?x=1", "extra text after the project"),
        ("https://sentry.example/1", "has no key"),
        ("https://:Kal3m@sentry.example/1", "has no key"),
        ("https://Kal3m@/1", "has no host"),
        ("https://Kal3m@sentry.example:99999/1", "an invalid host or port"),
        ("https://Kal3m@sentry.example:0/1", "has port 0"),
        ("https://Kal3m@[sentry/1", "an invalid host or port"),
        ("https://Kal3m@sentry.example/1\n", "white space"),
    ],
)
def test_bad_dsns(dsn: str, problem: str) -> None:
    with pytest.raises(StartupError) as caught:
        start_sentry(dsn, environment="test", version="1")
    message = str(caught.value)
    assert message.startswith("SENTRY_DSN ")
    assert problem in message
    assert "https://<key>@<host>/<project number>" in message
    assert "Kal3m" not in message
    assert caught.value.__cause__ is None


DEAD = """
import sys, time
from aliaport.sentry import start_sentry
sentry = start_sentry(sys.argv[1], environment="test", version="1", traces_sample_rate=1.0)
if sys.argv[2] == "flush":
    sentry.flush_at_exit()
began = time.monotonic()
for number in range(300):
    try:
        raise ValueError(str(number))
    except ValueError:
        sentry.processor(None, "error", {"event": f"x.failed{number}", "exc_info": True})
logged = time.monotonic()
if sys.argv[2] == "flush":
    sentry.flush(0.7)
print(logged - began, time.monotonic() - logged, sentry.lost, file=sys.stderr)
"""
BOUND = 8.0
"""Seconds, far more than a busy machine needs; a wait for the server takes minutes."""


@pytest.mark.service
@pytest.mark.parametrize("kind", ["refused", "black hole"])
@pytest.mark.parametrize("ending", ["flush", "nothing"])
def test_a_dead_server_blocks_nobody(kind: str, ending: str) -> None:
    """Check the logging calls, the flush and the exit, with a flush and without one."""
    with black_hole() if kind == "black hole" else nullcontext(refused()) as dsn:
        process = subprocess.Popen(
            [sys.executable, "-c", DEAD, dsn, ending],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={"no_proxy": "127.0.0.1"},
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        exit_took = took(lambda: process.wait(60))
        rest = process.stderr.read()
        process.stderr.close()
    assert (process.returncode, rest) == (0, ""), line + rest
    logging_took, flush_took, lost = (float(number) for number in line.split())
    assert exit_took < BOUND
    assert flush_took < BOUND
    assert logging_took < BOUND
    assert lost > 0, "the queue is bounded"


def test_the_sdk_does_not_wait_at_exit(sentry: Sentry) -> None:
    assert sentry_sdk.get_client().options["shutdown_timeout"] == 0


def test_refused_events_are_reported_once(sentry: Sentry, stand_in: SentryServer, log: Any) -> None:
    stand_in.status = 500
    with structlog.testing.capture_logs() as logged:
        log.error("x.failed")
        log.error("y.failed")
        sentry.flush(5)
    assert sentry.lost >= 2
    assert logged == [
        {"event": "sentry.lost", "log_level": "warning", "reason": "status_500", "lost": 1}
    ]


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("head", "part", "pause"),
    [
        (OK + b"Content-Length: 999999999999\r\n\r\n", b"x" * 65_536, 0.0),
        (OK + b"\r\n", b"x" * 65_536, 0.0),
        (OK + b"Content-Length: 100\r\n\r\n", b"x", 0.05),
        (OK, b"X: y", 0.05),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.0),
    ],
    ids=["announced", "endless", "slow body", "slow head", "continue"],
)
def test_a_response_is_bounded_in_size_and_time(
    monkeypatch: pytest.MonkeyPatch, head: bytes, part: bytes, pause: float
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(transport, "RESPONSE_TIMEOUT", 1.0)
    server = HostileServer(head, part, pause)
    with tracking(server.dsn) as sentry:
        sentry.processor(None, "error", {"event": "x.failed"})
        assert server.ended.wait(PATIENCE), "the connection is closed"
    server.close()
    assert server.sent < 20_000_000, "no more than the buffers of the kernel hold"


def test_a_compressed_response_stays_compressed_and_a_redirect_is_not_followed(
    sentry: Sentry, stand_in: SentryServer, log: Any
) -> None:
    huge = gzip.compress(b"0" * 50_000_000)
    stand_in.script.append(Reply(500, huge, {"Content-Encoding": "gzip"}))
    stand_in.script.append(Reply(302, b"", {"Location": f"{stand_in.url}/elsewhere"}))
    log.error("x.failed")
    log.error("y.failed")
    log.error("z.failed")
    stand_in.wait("event")
    sentry.flush(PATIENCE)
    assert [request.target for request in stand_in.requests] == ["/api/1/envelope/"] * len(
        stand_in.requests
    )
    assert sentry.lost == 2


@pytest.mark.service
def test_without_a_dsn_the_sdk_is_not_even_imported() -> None:
    script = (
        "import sys, aliaport.cli, aliaport.service, aliaport.sentry; "
        "print([name for name in ('sentry_sdk', 'urllib3', 'certifi') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
