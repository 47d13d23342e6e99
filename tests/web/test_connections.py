"""Slow, silent and too many clients: each costs only itself."""

import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from aliaport.web.connection import MIN_SILENCE
from aliaport.web.lingering import MAX_DISCARDED
from tests.support.fixtures import Launch
from tests.support.raw_http import connect, deliver, exchange, read_to_end, request, statuses
from tests.support.service import Service, free_port, running
from tests.support.waiting import PATIENCE

SLOW = """
[http]
head_timeout = 2
body_timeout = 2
write_timeout = 2
close_timeout = 0.5
"""
SMALL = """
[http]
max_connections = 30
internal_connections = 10
"""
UPLOAD = request("/reading/body", "Content-Length: 9", method="POST")
TOO_LARGE = request("/health", "X-A: " + "a" * 40_000)

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(
        tmp_path_factory.mktemp("slow"),
        apps={"reading": "aliaport_rogues.mounted:reading"},
        allow=("disk",),
        config=SLOW,
    ) as service:
        yield service


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(
        tmp_path_factory.mktemp("small"),
        apps={"reading": "aliaport_rogues.mounted:reading"},
        allow=("disk",),
        config=SMALL,
        environ={"ALIAPORT_INTERNAL_PORT": str(free_port())},
    ) as service:
        yield service


def reached(service: Service, port: int | None = None) -> dict[str, int]:
    """Return the limits that were reached, with their counts."""
    data = service.get("/status", port=port).json["data"]
    return {row["name"]: row["count"] for row in data.get("limits", [])}


def wait_for_room(service: Service) -> None:
    """Wait until the connections of other tests are closed."""
    empty = 'aliaport_http_connections{listener="public"} 0.0'
    service.wait_for(
        lambda: empty in service.get("/metrics", port=service.internal_port).text,
        "the connections of other tests are closed",
    )


def test_clients_that_are_too_slow_are_disconnected_and_others_are_not(slow: Service) -> None:
    sent = {
        "connections.head_timeout": [b"", b"GET /hea"],
        "connections.body_timeout": [UPLOAD + b"half"],
        "connections.write_timeout": [request("/reading/large")],
        "connections.close_timeout": [TOO_LARGE],
    }
    with ExitStack() as stack:
        idle = stack.enter_context(connect(slow.port))
        idle.sendall(request())
        assert statuses(idle.recv(4_096)) == [200]
        for data in (data for group in sent.values() for data in group):
            stack.enter_context(connect(slow.port)).sendall(data)
        expected = {name: len(group) for name, group in sent.items()}
        slow.wait_for(
            lambda: {name: reached(slow).get(name) for name in sent} == expected,
            "all slow clients are disconnected",
        )
        idle.sendall(request())
        assert statuses(idle.recv(4_096)) == [200]
    for name in expected:
        (event,) = slow.wait_events(name)
        assert event["listener"] == "public"
        assert f'aliaport_limit_reached_total{{limit="{name}"}}' in slow.get("/metrics").text


def test_slow_clients_that_make_progress_are_served(slow: Service) -> None:
    before = reached(slow)
    with connect(slow.port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.sendall(request("/reading/large", "Connection: close"))
        size = 0
        while chunk := client.recv(1_000_000):
            size += len(chunk)
        assert size > 20_000_000
    assert reached(slow) == before


def test_a_client_that_reads_as_fast_as_the_service_writes_is_served(slow: Service) -> None:
    before = reached(slow)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", slow.port))
        client.sendall(request("/reading/keep_unsent?size=600000", "Connection: close"))
        size = 0
        while chunk := client.recv(8_192):
            size += len(chunk)
            time.sleep(len(chunk) / 150_000)  # longer than write_timeout in all
        assert size > 600_000
    assert reached(slow) == before


def test_handlers_that_wait_do_not_stop_clients_that_pipeline(
    slow: Service, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    waiting = request() * 3 + request(f"/reading/wait?until={done}") * 9
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(slow.port)) for _ in range(100)]
        for client in clients:
            client.sendall(waiting)
        for client in clients:
            assert statuses(client.recv(4_096))[0] == 200
        started = time.monotonic()
        data = request() * 20 + request("/health", "Connection: close")
        assert statuses(exchange(slow.port, data)) == [200] * 21
        assert time.monotonic() - started < 5
        done.touch()


@pytest.mark.parametrize("piece", [b"a", b"a" * 1_000_000], ids=["slow", "fast"])
def test_a_client_that_never_stops_sending_is_cut_off(slow: Service, piece: bytes) -> None:
    sent = 0

    def is_cut_off() -> bool:
        nonlocal sent
        try:
            client.sendall(piece)
        except ConnectionError:
            return True
        sent += len(piece)
        return False

    with connect(slow.port) as client:
        client.sendall(TOO_LARGE)
        assert statuses(client.recv(65_536)) == [431]
        slow.wait_for(is_cut_off, "the client is cut off")
    assert sent < 4 * MAX_DISCARDED


def test_a_client_that_closes_after_its_response_is_gone_at_once(slow: Service) -> None:
    for _ in range(200):
        assert slow.get("/health", headers={"Connection": "keep-alive"}).status == 200
    name = 'aliaport_http_connections{listener="public"} '
    page = slow.get("/metrics").text
    (open_now,) = [line.removeprefix(name) for line in page.split("\n") if line.startswith(name)]
    assert float(open_now) < 50


def test_without_room_new_connections_are_refused_on_that_listener_only(
    small: Service, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    internal = small.internal_port
    wait_for_room(small)
    before = reached(small, internal).get("connections.full", 0)
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(connect(small.port))
            client.sendall(request(f"/reading/wait?until={done}", "Expect: 100-continue"))
            assert statuses(client.recv(4_096)) == [100]
        refused = [deliver(small.port, [data]) for data in (b"", *[request()] * 4)]
        assert [statuses(received) for received in refused] == [[503]] * 5
        assert b'"code":"too_many_connections"' in refused[0]
        assert small.get("/health", port=internal).status == 200
        assert reached(small, internal)["connections.full"] == before + 5
        page = small.get("/metrics", port=internal).text
        assert 'aliaport_http_connections{listener="public"} 20.0' in page
        assert 'aliaport_http_connections_max{listener="internal"} 10.0' in page
        done.touch()
    small.wait_for(lambda: small.get("/health").status == 200, "there is room again")
    # The tests below reach the limit, too, but only the first time is logged.
    (event,) = small.wait_events("connections.full")
    assert (event["listener"], event["connections"]) == ("public", 20)
    assert (event["client.ip"], event["client_connections"]) == ("127.0.0.1", 20)


def evictions(service: Service) -> int:
    return reached(service, service.internal_port).get("connections.evicted", 0)


def test_silent_clients_make_room_for_others(small: Service) -> None:
    with ExitStack() as stack:
        for data in [b"", b"GET /hea", request(), TOO_LARGE] * 30:
            stack.enter_context(connect(small.port)).sendall(data)
        small.wait_for(
            lambda: all(small.get("/ready").status == 200 for _ in range(30)), "there is room"
        )
    assert evictions(small) > 0
    small.wait_events("connections.evicted")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("/reading/large"), 200),
        (UPLOAD[:-2] + b"Expect: 100-continue\r\n\r\n", 100),
        (request("/nothing", "Content-Length: 9", method="POST"), 404),
    ],
    ids=["response", "body that is read", "body that is not read"],
)
def test_clients_that_the_service_waits_for_make_room_for_others(
    small: Service, data: bytes, status: int
) -> None:
    wait_for_room(small)
    before = evictions(small)
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(connect(small.port))
            client.sendall(data)
            assert statuses(client.recv(4_096)) == [status]
        small.wait_for(lambda: small.get("/health").status == 200, "there is room")
    assert evictions(small) > before


def test_new_clients_get_time_for_their_requests(small: Service) -> None:
    wait_for_room(small)
    ages: list[float] = []
    with ExitStack() as stack:
        opened: deque[tuple[float, socket.socket]] = deque()
        while len(ages) < 30:
            opened.append((time.monotonic(), stack.enter_context(connect(small.port))))
            while opened and select.select([opened[0][1]], [], [], 0.005)[0]:
                since, client = opened.popleft()
                with suppress(ConnectionResetError):
                    if client.recv(4_096):
                        continue  # refused
                ages.append(time.monotonic() - since)
    assert min(ages) >= MIN_SILENCE


def test_the_limit_of_open_files_is_raised_and_lowers_the_number_of_connections(
    launch: Launch,
) -> None:
    service = launch(prefix=("prlimit", "--nofile=100:400"))
    page = service.get("/metrics").text
    (line,) = [
        line for line in page.splitlines() if line.startswith("aliaport_http_connections_max{")
    ]
    assert 200 < float(line.split()[-1]) < 400 - 128
    with ExitStack() as stack:
        for _ in range(350):
            stack.enter_context(connect(service.port))
        service.wait_for(lambda: service.get("/health").status == 200, "there is room")
    assert service.get("/status/disk_root").json["data"]["status"] != "unhealthy"


def test_too_few_open_files_are_a_start_error(tmp_path: Path) -> None:
    done = subprocess.run(
        ["prlimit", "--nofile=140:140", sys.executable, "-m", "aliaport", "serve"],
        cwd=tmp_path,
        env={"ALIAPORT_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "ulimit -n" in done.stderr


def test_clients_in_the_queue_of_the_kernel_are_served_at_the_end(launch: Launch) -> None:
    service = launch()
    service.signal(signal.SIGSTOP)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(service.port)) for _ in range(50)]
        for client in clients[:25]:
            client.sendall(request())
        service.signal(signal.SIGTERM)
        service.signal(signal.SIGCONT)
        for client in clients[25:]:
            client.sendall(request())
        assert [statuses(read_to_end(client)) for client in clients] == [[200]] * 50
    assert service.wait_ended() == 0


def test_a_body_that_has_begun_may_arrive_after_the_listeners_have_closed(launch: Launch) -> None:
    service = launch(
        apps={"patient": "aliaport_rogues.mounted:patient"},
        environ={"ALIAPORT_END_TIMEOUT": str(2 * PATIENCE)},
    )
    head = request("/patient/body", "Content-Length: 9", method="POST")
    with connect(service.port) as client:
        client.sendall(head + b"half")
        assert service.get("/health").status == 200  # it has read what came before
        service.signal(signal.SIGTERM)
        service.wait_for(lambda: refuses(service.port), "the listeners close")
        client.sendall(b" done")
        response = read_to_end(client)
    assert statuses(response) == [200]
    assert response.endswith(b"9")
    assert service.wait_ended() == 0


def refuses(port: int) -> bool:
    try:
        with connect(port):
            return False
    except ConnectionRefusedError:
        return True
