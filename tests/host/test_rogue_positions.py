"""Code, awaitables and exceptions that cannot be named or printed affect only their plugin."""

from collections.abc import Iterator

import pytest

from tests.host.rogue_services import Serve, assert_unharmed
from tests.support.service import Service

pytestmark = pytest.mark.service

HANGING = {
    "FifoOnLoop": "pipe.py:3 in run",
    "FifoInThread": "pipe.py:3 in run",
    "NotUtf8": "?\n.py:3 in run",
    "LongNames": ":3 in yyy",
    "SlowModuleName": "bad_code.py",
    "AwaitsItself": "bad_code.py",
}
"""Probes that never end, with the line that is shown."""

RAISING = {
    "FifoRaising": ("ValueError: from a pipe", "pipe.py:3 in run"),
    "EndlessFile": ("ValueError: from a device", "zero:3 in run"),
    "NotUtf8Raising": ("ValueError: ?", "?\n.py:3 in run"),
    "OddSyntaxError": ("SyntaxError: s", "raise odd_syntax_error"),
    "OddSyntaxErrorInThread": ("SyntaxError: s", "raise odd_syntax_error"),
    "HostileRaising": ("HostileError", "raise HostileError"),
    "HostileRaisingInThread": ("HostileError", "raise HostileError"),
    "EndlessCauses": ("Endless", "raise Endless"),
}
"""Probes that raise each time, with the summary and the line that are shown."""


@pytest.fixture(scope="module")
def service(serve: Serve) -> Iterator[Service]:
    kinds = (*HANGING, *RAISING)
    with serve({kind.lower(): f"aliaport_rogues.bad_code:{kind}" for kind in kinds}) as service:
        yield service


@pytest.mark.parametrize("kind", HANGING)
def test_code_that_hangs_is_named_without_reading_its_file_or_calling_it(
    service: Service, kind: str
) -> None:
    for _ in range(3):
        row = service.get(f"/status/rogue_{kind.lower()}").json["data"]
        assert row["code"] in ("timeout", "stuck"), row
        assert HANGING[kind] in row["where"], row
        assert len(row["where"]) < 1_500
    assert_unharmed(service)


@pytest.mark.parametrize("kind", RAISING)
def test_an_exception_that_cannot_be_printed_ends_its_run_and_the_probe_runs_again(
    service: Service, kind: str
) -> None:
    summary, line = RAISING[kind]
    for _ in range(3):
        row = service.get(f"/status/rogue_{kind.lower()}").json["data"]
        assert (row["status"], row["code"]) == ("unhealthy", "error"), row
        assert row["summary"].startswith(summary), row
        assert line in row["where"], row
    assert_unharmed(service)
