"""An application that tries to end the process harms only itself."""

import http.client
from collections.abc import Iterator

import pytest

from tests.support.service import Service, running

pytestmark = pytest.mark.service

NAMES = ("in_create", "in_startup", "cancelled", "late")
FAILED = NAMES[:3]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    apps = {name: f"aliaport_rogues.exiting:{name}" for name in NAMES}
    with running(tmp_path_factory.mktemp("exiting"), apps=apps) as service:
        service.wait_for(lambda: service.get("/late/stop").status == 200, "the last one runs")
        yield service
    (stopped,) = service.events("app.stop_failed")
    assert (stopped["plugin"], stopped["reason"].split(" (at")[0]) == ("late", "SystemExit: 8")
    assert service.events("resource.closed"), "the failed shutdown does not keep resources open"


def test_an_exit_during_the_start_is_a_failed_start(service: Service) -> None:
    failed = {event["plugin"]: event for event in service.wait_events("app.start_failed")}
    assert {name: failed[name]["reason"].split(" (at")[0] for name in FAILED} == {
        "in_create": "SystemExit: 3",
        "in_startup": "SystemExit: its database is down",
        "cancelled": "CancelledError",
    }
    assert "in create_never: sys.exit(3)" in failed["in_create"]["where"]
    assert "in leave: sys.exit(" in failed["in_startup"]["where"]
    rows = {row["name"]: row for row in service.get("/status").json["data"]["plugins"]}
    assert {rows[name]["state"] for name in FAILED} == {"starting"}, "the start is retried"
    assert rows["late"]["state"] == "running"
    assert service.get("/ready").json["data"]["status"] == "ready", "the first attempts have ended"


@pytest.mark.parametrize("place", ["task", "callback", "interrupt", "stop", "hook"])
def test_an_exit_while_it_runs_ends_nothing_else(service: Service, place: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("GET", "/health")
    connection.getresponse().read()
    if place == "hook":
        with pytest.raises(http.client.RemoteDisconnected):
            service.get("/late/hook")
    else:
        service.get(f"/late/{place}")
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200, "on the connection that was open before"
    connection.close()


def test_what_left_the_loop_is_logged(service: Service) -> None:
    service.get("/late/task")
    service.get("/late/callback")

    def found() -> bool:
        events = service.events("stdlib.message")
        left = [event for event in events if "tried to end the process" in event["summary"]]
        return {"5", "6"} <= {event.get("error.message") for event in left}

    service.wait_for(found, "both are logged")
