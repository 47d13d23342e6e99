"""Applications mounted beside the core's routes, called over real sockets of the real process."""

import json
from typing import Any

import pytest
from aiohttp import web

from aliaport.apps import App
from aliaport.errors import DeclarationError
from tests.support.fixtures import Launch

GOOD = {"good": "aliaport_rogues.good:Good"}


def test_mounted_applications_share_errors_metrics_and_retries(launch: Launch) -> None:
    service = launch(
        GOOD,
        apps={"greeter": "aliaport_rogues.mounted:app", "broken": "aliaport_rogues.good:Good"},
        config='trusted_proxies = ["127.0.0.0/8"]\n[apps.greeter]\ngreeting = "late"\n',
    )
    first = service.get("/greeter/greet/x")
    if first.status != 200:
        assert (first.status, first.json["error"]["code"]) == (503, "service_unavailable")
        counted = 'endpoint="/greeter",method="GET",status="503"} 1.0'
        assert counted in service.get("/metrics").text
    service.wait_for(
        lambda: service.get("/greeter/greet/x").status == 200, "the second start succeeds"
    )
    assert service.get("/greeter/greet/x").json == {"text": "late", "from": "greeter"}
    failed = service.get("/greeter/fail")
    assert (failed.status, failed.json["error"]["code"]) == (500, "internal_error")
    (event,) = service.events("request.failed")
    assert event["http.request.id"] == failed.headers["X-Request-ID"]
    headers = {"X-Request-ID": "abc-123", "X-Forwarded-For": "192.0.2.7"}
    assert service.get("/greeter/greet/y", headers=headers).headers["X-Request-ID"] == "abc-123"
    logged = service.wait_for(
        lambda: [e for e in service.events("request.answered") if e["url.path"].endswith("/y")],
        "the request is logged",
    )[0]
    assert (logged["http.request.id"], logged["http.response.status_code"]) == ("abc-123", 200)
    assert logged["aliaport.endpoint"] == "/greeter/greet/{name}"
    assert logged["client.ip"] == "192.0.2.7", "the proxy on loopback is trusted"
    assert "abcdefghijkl" not in json.dumps(event)
    refused = service.get("/greeter/refuse")
    assert (refused.status, refused.headers["Retry-After"]) == (409, "7")
    assert refused.json["success"] is False
    assert refused.json["error"] == {
        "code": "taken",
        "message": "somebody was faster",
        "version": 3,
        "request_id": refused.headers["X-Request-ID"],
        "trace_id": refused.headers["traceparent"].split("-")[1],
    }
    given = service.get("/greeter/data")
    assert given.json == {"success": True, "data": ["ğ"]}
    assert given.headers["Cache-Control"] == "max-age=1"
    page = service.get("/metrics").text
    assert 'endpoint="/greeter/slow",method="GET",status="500"} 0.0' in page, "from 0 on"
    assert 'aliaport_app_state{app="greeter",state="running"} 1.0' in page
    assert 'aliaport_app_state{app="broken",state="rejected"} 1.0' in page
    assert service.get("/greeter/nothing").json["error"]["code"] == "not_found"
    page = service.get("/metrics").text
    assert 'endpoint="/greeter/greet/{name}",method="GET",status="200"}' in page
    rows = {row["name"]: row for row in service.get("/status").json["data"]["plugins"]}
    assert rows["greeter"] | {"distribution": 0, "version": 0} == {
        "name": "greeter", "kind": "app", "state": "running", "distribution": 0, "version": 0
    }  # fmt: skip
    assert (rows["broken"]["state"], rows["broken"]["stage"]) == ("rejected", "type")


def test_a_hung_start_is_retried_and_a_hung_stop_does_not_delay_the_exit(
    launch: Launch,
) -> None:
    limits = {"START_TIMEOUT": "1", "STOP_TIMEOUT": "0.5", "FIRST_RETRY": "0.1"}
    service = launch(
        GOOD,
        apps={"hanging": "aliaport_rogues.mounted:hanging"},
        environ={f"ALIAPORT_PLUGIN_LIMITS__{name}": value for name, value in limits.items()},
    )
    service.wait_for(
        lambda: service.get("/hanging/greet").status == 200, "the second start succeeds"
    )
    (failed,) = service.events("app.start_failed")
    assert (failed["reason"], failed["plugin"]) == (
        "its start did not finish within 1 s",
        "hanging",
    )
    assert [event["prefix"] for event in service.events("app.running")] == ["/hanging"]
    service.signal()
    assert service.wait_ended() == 0, service.output()
    (stopped,) = service.events("app.stop_failed")
    assert stopped["reason"] == "did not finish within 0.5 s"


def test_an_application_can_have_several_paths(launch: Launch) -> None:
    service = launch(
        GOOD,
        apps={"greeter": "aliaport_rogues.mounted:app", "places": "aliaport_rogues.mounted:places"},
        config='trusted_proxies = ["127.0.0.0/8"]\n',
    )
    headers = {"X-Forwarded-For": "198.51.100.9, 192.0.2.7"}
    for path in ("/here/address", "/far/away/x", "/far/list.json"):
        response = service.get(path, headers=headers)
        assert (response.status, response.json["data"]) == (200, "192.0.2.7"), path
    assert service.get("/far/other").status == 404
    assert service.get("/greeter/greet/x").status == 200
    refused = service.get("/far/away/x", method="PUT")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET,HEAD")
    page = service.get("/metrics").text
    assert 'endpoint="/far/away/{name}",method="GET",status="200"} 1.0' in page
    listed = service.get("/", headers={"Accept": "application/json"}).text
    assert "/far/list.json" in listed
    assert "/here" in listed


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({}, "either prefix or paths"),
        ({"prefix": "/a", "paths": ("/b",)}, "either prefix or paths"),
        ({"paths": ("/a", "b/")}, "must look like /operations"),
        ({"paths": ("/a", "/health/x")}, "reserved for the service"),
    ],
)
def test_paths_that_an_application_cannot_have(places: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        App(create=lambda context, options: web.Application(), **places)


CREATES = {
    "nothing": "create() returned NoneType, not an aiohttp.web.Application",
    "coroutine": "create() returned coroutine, not an aiohttp.web.Application",
}


def test_only_an_application_can_be_created(launch: Launch) -> None:
    service = launch(
        GOOD,
        apps={name: f"aliaport_rogues.failing:creates_{name}" for name in CREATES},
    )
    rows = {row["name"]: row for row in service.get("/status").json["data"]["plugins"]}
    for name, reason in CREATES.items():
        row = rows[name]
        assert (row["state"], row["stage"], row["reason"]) == ("rejected", "declare", reason)
        assert row["hint"] == "return the application from create()"
        response = service.get(f"/{name}-created/x")
        assert response.status == 503
        assert response.json["error"]["message"] == f"the application {name} is rejected"
    assert "never awaited" not in service.output()


def test_a_path_names_the_application_that_it_belongs_to(launch: Launch) -> None:
    service = launch(
        GOOD,
        apps={
            "first": "aliaport_rogues.import_hangs:app",
            "greeter": "aliaport_rogues.mounted:app",
            "second": "aliaport_rogues.import_hangs:app",
        },
        environ={"ALIAPORT_PLUGIN_LIMITS__IMPORT_TIMEOUT": "600"},
        wait="listening",
    )

    def message(path: str) -> str:
        response = service.get(path)
        assert (response.status, response.json["error"]["code"]) == (503, "service_unavailable")
        return str(response.json["error"]["message"])

    starting = "the application greeter is starting"
    service.wait_for(lambda: message("/greeter/data") == starting, "it is named")
    may = "the path may belong to an application that is loading: first, second"
    for path in ("/first", "/second/x", "/anything"):
        assert message(path) == may


ANY = {"prefix": "/a"}


async def create_async(_context: Any, _options: Any) -> web.Application:
    return web.Application()


async def create_yielding(_context: Any, _options: Any) -> Any:
    yield web.Application()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({**ANY, "create": create_async}, "create must not be an async function; define it with"),
        ({**ANY, "create": create_yielding}, "create must not be an async function"),
        ({**ANY, "create": None}, "create must be a function, not NoneType"),
        ({**ANY, "create": lambda: None}, "create must accept the context and the options"),
        ({"prefix": 5, "create": App}, "the prefix of an application must be text, not 5"),
        ({"paths": "/a", "create": App}, r"must be a list, not '/a' \(str\); write \('/a',\)"),
        ({"paths": (5,), "create": App}, "prefix 5 must look like /operations"),
        ({**ANY, "create": App, "config": {}}, "config must be a class derived from PluginConfig"),
    ],
)
def test_a_mistake_in_a_declaration_is_explained(declared: dict[str, Any], message: str) -> None:
    if declared["create"] is App:
        declared = {**declared, "create": lambda context, options: web.Application()}
    with pytest.raises(DeclarationError, match=message):
        App(**declared)
