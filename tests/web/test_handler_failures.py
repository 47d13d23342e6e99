"""Handlers of applications that fail, and callers that leave, are reported as what they are."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.raw_http import connect, exchange, read_to_end, request, statuses
from tests.support.service import Service, running

pytestmark = pytest.mark.service

APP = {"failing": "aliaport_rogues.failing:app"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("failing"), apps=APP) as service:
        yield service


def failed(service: Service, path: str) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        events = service.events("request.failed")
        return [event for event in events if event["url.path"] == path]

    (event,) = service.wait_for(found, "the failure is logged")
    return event


@pytest.mark.parametrize(
    ("name", "returned", "where"),
    [
        ("dict", "dict", " in give_dict: async def give_dict("),
        ("nothing", "NoneType", " in give_nothing: async def give_nothing("),
    ],
)
def test_a_handler_that_returns_no_response_is_named(
    service: Service, name: str, returned: str, where: str
) -> None:
    response = service.get(f"/failing/{name}")
    assert (response.status, response.json["error"]["code"]) == (500, "internal_error")
    event = failed(service, f"/failing/{name}")
    assert event["reason"] == f"the handler returned {returned}, not a response"
    assert event["handler"].startswith("aliaport_rogues.failing.give_")
    assert event["plugin"] == "failing"
    assert event["distribution"] == "aliaport-rogues"
    assert where in event["where"]
    assert event["http.request.id"] == response.headers["X-Request-ID"]
    assert "data_response" in event["hint"]


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("generator", " in generate: async def generate("),
        ("plain", " in give_text: def give_text("),
    ],
)
def test_a_handler_that_is_not_an_async_function_is_named(
    service: Service, name: str, where: str
) -> None:
    assert service.get(f"/failing/{name}").status == 500
    event = failed(service, f"/failing/{name}")
    assert event["hint"].startswith("define the handler with `async def` and without `yield`")
    assert where in event["where"]


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("deep", 'in deepest: raise LookupError("the deepest line of the author")'),
        ("exit", "in end_process: raise SystemExit(0)"),
        ("base", 'in raise_base: raise BaseException("of no known kind")'),
        ("cancel", "in cancel_itself: raise asyncio.CancelledError"),
        ("upstream", 'in lose_upstream: raise ClientConnectionResetError("its upstream left")'),
    ],
)
def test_a_handler_that_raises_is_logged_with_the_author_s_line(
    service: Service, name: str, where: str
) -> None:
    assert service.get(f"/failing/{name}").status == 500
    event = failed(service, f"/failing/{name}")
    assert where in event["aliaport.where"]
    assert (event["aliaport.plugin"], event["log.level"]) == ("failing", "error")
    assert "Traceback" in event["error.stack_trace"]


@pytest.mark.parametrize(
    ("path", "problem", "where"),
    [
        ("header", "control character in the header 'X-Name'", "in split_header: async def"),
        ("stream-header", "control character", "in split_stream: await response.prepare"),
        ("status/9999", "cannot have the status 9999", "in number: async def number("),
        ("status/100", "cannot have the status 100", "in number: async def number("),
        ("status/0", "cannot have the status 0", "in number: async def number("),
        ("refuse/9999", "cannot have the status 9999", "in refuse: raise Refusal("),
        ("refuse/204", "cannot have the status 204", "in refuse: raise Refusal("),
        ("refuse-with-object", "not JSON serializable", "in refuse_with_object: raise Refusal("),
        ("body/0", "in the body", "in chunks: raise LookupError("),
    ],
)
def test_an_impossible_response_is_a_failure_of_its_handler(
    service: Service, path: str, problem: str, where: str
) -> None:
    response = service.get(f"/failing/{path}", headers={"X-Request-ID": path.replace("/", ".")})
    assert (response.status, response.json["error"]["code"]) == (500, "internal_error")
    assert response.headers["X-Request-ID"] == path.replace("/", ".")
    event = failed(service, f"/failing/{path}")
    assert event["http.request.id"] == response.headers["X-Request-ID"]
    assert event["handler"].startswith("aliaport_rogues.failing.")
    assert event["aliaport.plugin"] == "failing"
    assert problem in event.get("reason", "") + event["error.message"]
    assert where in event["aliaport.where"]


@pytest.mark.parametrize(("name", "limit"), [("files", "ulimit -n"), ("memory", "memory")])
def test_a_handler_that_reaches_a_limit_of_the_process_is_unavailable(
    service: Service, name: str, limit: str
) -> None:
    response = service.get(f"/failing/{name}")
    assert (response.status, response.json["error"]["code"]) == (503, "limit_reached")
    assert response.headers["Retry-After"] == "1"
    event = failed(service, f"/failing/{name}")
    assert limit in event["reason"]
    assert event["log.level"] == "error"


def test_a_status_without_a_name_is_possible(service: Service) -> None:
    response = service.get("/failing/unknown")
    assert (response.status, response.json["error"]["code"]) == (599, "error")
    assert service.get("/failing/refuse/599").json["error"]["code"] == "code"
    assert service.get("/failing/status/299").text == "x"


@pytest.mark.parametrize("name", ["break", "forget", "body/1"])
def test_a_response_that_breaks_off_is_not_taken_for_a_whole_one(
    service: Service, name: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request("GET", f"/failing/{name}")
    response = connection.getresponse()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        response.read()
    connection.close()
    event = failed(service, f"/failing/{name}")
    assert event["plugin"] == "failing"
    endpoint = f"/failing/{name}".replace("/1", "/{sent}")
    page = service.get("/metrics").text
    counted = f'endpoint="{endpoint}",method="GET",status="500"}} '
    assert counted in page
    assert f"{counted}0.0" not in page


@pytest.mark.parametrize("query", ["", "?chunked"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refusal", "try again"),
        ("redirect", "See Other"),
        ("other", "the handler returned another response than the one that it had begun to send"),
    ],
)
def test_no_response_is_sent_inside_another(
    service: Service, name: str, reason: str, query: str
) -> None:
    path = f"/failing/late/{name}"
    with connect(service.port) as caller:
        caller.sendall(request(path + query) + request())
        received = read_to_end(caller)
    assert statuses(received) == [200], "neither the second response, nor one to the next request"
    assert received.endswith(b"the beginning" if not query else b"the beginning\r\n")

    def found() -> list[dict[str, Any]]:
        return [event for event in service.events("request.failed") if event["url.path"] == path]

    event = service.wait_for(found, "the failure is logged")[-1]
    assert reason in event.get("reason", "") + event.get("error.message", "")
    assert event["plugin"] == "failing"


def test_a_body_that_is_malformed_behind_the_beginning_of_a_response_ends_it(
    service: Service,
) -> None:
    head = request("/failing/late/body", "Transfer-Encoding: chunked", method="POST")
    with connect(service.port) as caller:
        caller.sendall(head)
        received = caller.recv(4096)
        caller.sendall(b"zz\r\n")
        received += read_to_end(caller)
    assert statuses(received) == [200]


def test_cookies_and_headers_of_raised_responses_are_sent(service: Service) -> None:
    moved = exchange(service.port, request("/failing/cookie", "Connection: close"))
    assert statuses(moved) == [303]
    assert b"Set-Cookie: session=1; HttpOnly; Path=/\r\n" in moved
    assert b"Set-Cookie: theme=dark; Path=/\r\n" in moved
    refused = exchange(service.port, request("/failing/password", "Connection: close"))
    head, _, body = refused.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")
    for line in (b"WWW-Authenticate: Basic", b"X-Own: kept", b"Cache-Control: max-age=1"):
        assert line in head.split(b"\r\n")
    assert b'Set-Cookie: session="";' in head
    assert head.count(b"Content-Type:") == head.count(b"Cache-Control:") == 1
    error = json.loads(body)["error"]
    assert (error["code"], error["message"]) == ("unauthorized", "who are you?")


def assert_aborted(service: Service, path: str, times: int) -> None:
    """Check that these requests are aborted ones in the log, and no failures."""

    def found() -> list[dict[str, Any]]:
        events = service.events("request.aborted")
        return [event for event in events if event["url.path"] == path]

    service.wait_for(lambda: len(found()) == times, "the aborts are logged")
    assert {(event["log.level"], event["plugin"]) for event in found()} == {("info", "failing")}
    assert f'endpoint="{path}",method="GET",status="500"}} 1' not in service.get("/metrics").text

    def logged() -> bool:
        events = service.events("request.answered")
        return 499 in {e["http.response.status_code"] for e in events if e["url.path"] == path}

    service.wait_for(logged, "a request is logged as aborted")
    assert [e for e in service.events("request.failed") if e["url.path"] == path] == []


@pytest.mark.parametrize(
    ("name", "raised"),
    [("upload", ""), ("wrapped", "RuntimeError from "), ("wrapped-twice", "LookupError from ")],
)
def test_an_upload_that_is_broken_off_is_the_caller_s_doing(
    service: Service, name: str, raised: str
) -> None:
    path = f"/failing/{name}"
    with socket.create_connection(("127.0.0.1", service.port)) as caller:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        caller.sendall(head.encode() + b"x" * 500)
    counted = f'endpoint="{path}",method="POST",status="499"}} 1.0'
    service.wait_for(lambda: counted in service.get("/metrics").text, "the request is counted")
    assert_aborted(service, path, 1)
    (event,) = (e for e in service.events("request.aborted") if e["url.path"] == path)
    assert event["reason"] == f"{raised}ConnectionResetError"


def test_causes_in_a_circle_are_a_failure_of_the_handler(service: Service) -> None:
    assert service.get("/failing/circle").status == 500
    assert "in wrap_in_circle: raise first" in failed(service, "/failing/circle")["where"]


@pytest.mark.parametrize("body", [b"zz\r\nx\r\n0\r\n\r\n", b"1\r\nx\r\n-1\r\n", b"1\r\nxyz\r\n"])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("name", ["upload", "wrapped"])
def test_a_malformed_chunk_gets_a_response_at_once(
    service: Service, body: bytes, together: bool, name: str
) -> None:
    head = request(f"/failing/{name}", "Transfer-Encoding: chunked", method="POST")
    with connect(service.port) as caller:
        caller.sendall(head + body if together else head)
        if not together:
            service.get("/health")
            caller.sendall(body)
        received = read_to_end(caller)
    assert statuses(received)[0] == 400
    assert b'"code":"malformed_request"' in received


@pytest.mark.parametrize("name", ["stream", "wrapped-stream"])
def test_a_reader_that_leaves_is_the_caller_s_doing(service: Service, name: str) -> None:
    # A small write finds the connection closed, a large one is waiting for the reader.
    for size in (4_096, 400_000):
        with connect(service.port) as caller:
            caller.sendall(request(f"/failing/{name}?size={size}"))
            assert b"200 OK" in caller.recv(4096)
    counted = f'endpoint="/failing/{name}",method="GET",status="499"}} 2.0'
    service.wait_for(lambda: counted in service.get("/metrics").text, "both are counted")
    assert_aborted(service, f"/failing/{name}", 2)
