"""Threads of the service: everything works although no further thread can be started."""

from collections.abc import Callable
from typing import NoReturn

import pytest

from tests.support.fixtures import Launch
from tests.support.pids_cgroup import pids_limit
from tests.support.service import Service, patient

pytestmark = pytest.mark.service

PLUGINS = {"good": "aliaport_rogues.good:Good", "threads": "aliaport_rogues.threads:Threads"}
APPS = {"resolver": "aliaport_rogues.threads:app"}
CONFIG = patient("good", "counting", "in_thread", "resolving")

CannotRun = Callable[[str, str], NoReturn]


def check_everything(service: Service) -> None:
    for _ in range(3):
        page = service.get("/metrics")
        assert page.status == 200
        assert "aliaport_threads_number 7" in page.text
    status = service.get("/status")
    codes = {probe["name"]: probe["code"] for probe in status.json["data"]["probes"]}
    assert {codes["in_thread"], codes["resolving"], codes["good"]} == {"ok"}, status.text
    resolved = service.get("/names/resolve")
    assert (resolved.status, resolved.json["data"]["address"]) == (200, "127.0.0.1")
    refused = service.get("/names/thread")
    assert (refused.status, refused.json["error"]["code"]) == (503, "limit_reached")
    assert refused.headers["Retry-After"] == "1"
    (event,) = service.wait_events("request.failed")
    assert event["reason"].startswith("cannot start another thread: ")
    assert "in start_thread: " in event["aliaport.where"]


def test_everything_works_when_no_thread_can_be_started(launch: Launch) -> None:
    service = launch(PLUGINS, APPS, config=CONFIG + "[plugins.threads]\nrefuse = true\n")
    check_everything(service)


@pytest.mark.needs("root")
def test_everything_works_when_the_limit_of_the_cgroup_is_reached(
    launch: Launch, cannot_run: CannotRun
) -> None:
    with pids_limit(cannot_run) as limit:
        service = launch(PLUGINS, APPS, config=CONFIG, prefix=limit.wrapper)
        limit.set()
        check_everything(service)
        service.signal()
        assert service.wait_ended() == 0
