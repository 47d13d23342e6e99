"""A rolling restart behind HAProxy with its default check, without one failed request.

With checks of /ready: test_load_balancers.py.
"""

import http.client
import shutil
import socket
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.support.fixtures import Launch
from tests.support.service import free_port
from tests.support.waiting import wait_until

CONFIG = """
global
    stats socket {folder}/admin.sock mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
    # Without it a check must complete within its interval, which a busy machine does not manage.
    timeout check 10s
frontend front
    bind 127.0.0.1:{front}
    default_backend replicas
frontend front_of_literal
    bind 127.0.0.1:{literal}
    default_backend literal
backend literal
    # The example of the manual, which sends no Host.
    option httpchk OPTIONS * HTTP/1.1
    default-server inter 200ms fall 1 rise 1
    server a 127.0.0.1:{a} check
    server b 127.0.0.1:{b} check
backend replicas
    option httpchk
    option redispatch
    retries 3
    default-server inter 200ms fall 2 rise 2
    server a 127.0.0.1:{a} check
    server b 127.0.0.1:{b} check
"""


@pytest.mark.needs("haproxy")
def test_a_rolling_restart_fails_no_request(launch: Launch, tmp_path: Path) -> None:
    good = {"good": "aliaport_rogues.good:Good"}
    environ = {"ALIAPORT_DRAIN_SECONDS": "2"}
    a = launch(good, folder="a", environ=environ)
    b = launch(good, folder="b", environ=environ)
    front, literal = free_port(), free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        CONFIG.format(folder=tmp_path, front=front, literal=literal, a=a.port, b=b.port)
    )
    proxy = subprocess.Popen([str(shutil.which("haproxy")), "-db", "-f", str(config)])
    counts: Counter[str] = Counter()
    ended = threading.Event()

    def request_status(port: int = front) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/health")
            return str(connection.getresponse().status)
        except OSError as error:
            return type(error).__name__
        finally:
            connection.close()

    def traffic() -> None:
        while not ended.is_set():
            counts[request_status()] += 1

    try:
        wait_until(lambda: request_status() == "200", "HAProxy serves")
        wait_until(lambda: _up(tmp_path, "a", "literal"), "the manual's check succeeds")
        threads = [threading.Thread(target=traffic) for _ in range(4)]
        for thread in threads:
            thread.start()
        for old, folder in ((a, "a"), (b, "b")):
            old.signal()
            assert old.wait_ended() == 0
            port = str(old.port)
            new = launch(good, folder=folder, environ={**environ, "ALIAPORT_PORT": port}, wait="")
            new.port = old.port
            new.wait_listening()
            new.wait_started()
            served = counts["200"]
            # HAProxy needs two good checks, 200 ms apart, before it sends anything to the new one.
            new.wait_for(lambda: _up(tmp_path, folder), "HAProxy has noticed the new replica")
            new.wait_for(lambda: counts["200"] > served + 50, "traffic continues")
        ended.set()
        for thread in threads:
            thread.join()
    finally:
        ended.set()
        proxy.terminate()
        proxy.wait(10)
    assert set(counts) == {"200"}, counts
    assert counts["200"] > 200, counts


def _up(folder: Path, server: str, backend: str = "replicas") -> bool:
    """Return True if the server is up, by a check that it has passed."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.settimeout(5)
        admin.connect(str(folder / "admin.sock"))
        admin.sendall(b"show stat\n")
        text = b""
        while chunk := admin.recv(65536):
            text += chunk
    rows = [line.split(",") for line in text.decode().splitlines()]
    head = rows[0]
    (row,) = (dict(zip(head, row, strict=False)) for row in rows if row[:2] == [backend, server])
    return row["status"] == "UP" and row["check_status"] == "L7OK"
