"""The log names code that stalls the HTTP loop, and a pause of the process harms nothing."""

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.host.rogue_services import Serve, assert_unharmed, of_probes
from tests.support.fixtures import Launch

pytestmark = pytest.mark.service


@pytest.mark.parametrize("kind", ["Gil", "GilAsleep"])
def test_the_log_names_code_that_holds_the_interpreter(serve: Serve, kind: str) -> None:
    with serve(of_probes(kind), stall_timeout=0.5) as service:

        def named() -> list[dict[str, Any]]:
            # On a busy machine the thread that records the lines may be too late once.
            service.get(f"/status/rogue_{kind.lower()}", timeout=60)
            stalls = service.events("http_loop.stalled")
            return [event for event in stalls if "bad_probes.py" in event.get("threads", "")]

        stalls = service.wait_for(named, "the stall is logged with the line")
        assert stalls[0]["lag_s"] >= 0.5
        assert service.get("/health", timeout=60).status == 200


def test_a_blocked_loop_is_reported_while_it_is_blocked(launch: Launch, tmp_path: Path) -> None:
    service = launch(
        apps={"greeter": "aliaport_rogues.mounted:app"},
        environ={"ALIAPORT_PLUGIN_LIMITS__STALL_TIMEOUT": "0.5"},
    )
    end = tmp_path / "end"
    blocking = threading.Thread(
        target=service.get, args=(f"/greeter/block?until={end}",), kwargs={"timeout": 60}
    )
    blocking.start()
    try:
        (stalled,) = service.wait_for(
            lambda: service.events("http_loop.stalled"), "the stall is logged before its end"
        )
    finally:
        end.touch()
        blocking.join()
    assert stalled["lag_s"] >= 0.5
    # Before it, there may be samples of threads that computed meanwhile.
    lines = stalled["threads"].splitlines()
    position = lines[lines.index("Thread MainThread (most recent call first):") + 1]
    assert "mounted.py" in position
    assert position.endswith("in block")
    (resumed,) = service.wait_for(
        lambda: service.events("http_loop.resumed"), "the end of the stall is logged"
    )
    assert resumed["lag_s"] > 0.2


def test_a_service_survives_pauses_while_its_threads_run(serve: Serve) -> None:
    with serve(of_probes("Recursing"), stall_timeout=0.5) as service:
        service.get("/status")  # from now on a thread creates and drops frames
        for _ in range(20):
            service.signal(signal.SIGSTOP)
            time.sleep(0.55)  # longer than the stall timeout, as in the fault
            service.signal(signal.SIGCONT)
            assert service.get("/health", timeout=60).status == 200, service.output()
        assert service.events("http_loop.stalled"), "no pause was longer than the timeout"
        assert_unharmed(service)
