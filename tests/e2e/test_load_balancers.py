"""Two replicas behind the load balancers of the documentation, with its configurations.

The balancers share the replicas, so that a stop, a kill and a frozen database are waited for once.
"""

import http.client
import itertools
import json
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.support import balancers
from tests.support.balancers import Balancer
from tests.support.distributions import install
from tests.support.ports import free_port
from tests.support.postgres import TcpPostgres
from tests.support.service import ROGUES, Service, patient, start
from tests.support.waiting import wait_until

# The fixture waits for everything that happens.
pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]

PATH = "/counted/replica"
CLIENTS = ("GET", "GET", "POST", "POST", "POST")
"""The methods of the clients of each balancer; each sends one request after the other."""

PAUSE = 0.06
"""Seconds between two requests of a client: the machine must have time left for the checks."""

SETTLED = 25
"""Requests in a row, of one balancer, that must agree."""

DRAIN = 5.0
OUT_WITHIN = 3.0
"""Seconds: interval x failed checks + timeout of the page's configurations."""

SLACK = 10.0
"""Seconds that a busy machine may add."""

NAMES = tuple(balancers.PROGRAMS)
CHECKING = ("HAProxy", "Varnish", "Apache")
NEEDS = {"HAProxy": "haproxy", "nginx": "nginx", "Varnish": "varnish", "Apache": "apache"}


def each(names: tuple[str, ...]) -> pytest.MarkDecorator:
    """Run a test for each of these balancers that is installed."""
    marked = [pytest.param(name, marks=pytest.mark.needs(NEEDS[name])) for name in names]
    return pytest.mark.parametrize("name", marked)


@dataclass(frozen=True)
class Call:
    """A request through a balancer; `replica` is empty if it failed."""

    balancer: str
    method: str
    body: str
    sent: float
    done: float
    outcome: str
    replica: str

    @property
    def failed(self) -> bool:
        return self.outcome != "200"


@dataclass
class Traffic:
    """Clients that send requests through balancers until they are stopped."""

    calls: list[Call] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self, balancer: Balancer) -> None:
        for method in CLIENTS:
            thread = threading.Thread(target=self._client, args=(balancer, method), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def of(self, name: str, since: float = 0.0) -> list[Call]:
        """Return the calls through this balancer that were sent since then."""
        return [call for call in self.calls if call.balancer == name and call.sent >= since]

    def _client(self, balancer: Balancer, method: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=60)
        while not self._stopped.wait(PAUSE):
            body = str(next(self._numbers)) if method == "POST" else ""
            sent = time.monotonic()
            try:
                outcome, replica = _request(connection, method, body)
            except (OSError, http.client.HTTPException) as error:
                outcome, replica = repr(error), ""
            if method == "POST" or outcome != "200":
                # A balancer that reloads closes idle connections; only a GET can be sent again.
                connection.close()
            self.calls.append(
                Call(balancer.name, method, body, sent, time.monotonic(), outcome, replica)
            )


def _request(connection: http.client.HTTPConnection, method: str, body: str) -> tuple[str, str]:
    reused = connection.sock is not None
    try:
        connection.request(method, PATH, body)
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        if not reused:
            raise
        return _request(connection, method, body)
    return str(response.status), json.loads(text)["data"] if response.status == 200 else ""


@dataclass
class Replicas:
    """The replicas `a`, with a database that can be frozen, and `b`, without one."""

    folder: Path
    database_url: str
    ports: dict[str, int]
    running: dict[str, Service] = field(default_factory=dict)

    def start(self, name: str) -> Service:
        service = start(
            self.folder / f"{name}-{time.monotonic_ns()}",
            allow=("db" if name == "a" else "good", "counted"),
            path=(self.folder / "site", ROGUES),
            # A busy machine must not make both replicas unready.
            config=patient("good") if name == "b" else "",
            environ={
                "ALIAPORT_PORT": str(self.ports[name]),
                "ALIAPORT_DRAIN_SECONDS": str(DRAIN),
                "ALIAPORT_APPS__COUNTED__REPLICA": name,
                "DATABASE_URL": self.database_url,
            },
        )
        service.port = self.ports[name]
        self.running[name] = service
        service.wait_started()
        service.wait_for(lambda: service.get("/ready").status == 200, "the replica is ready")
        return service

    def end(self, name: str, number: signal.Signals) -> None:
        service = self.running[name]
        service.signal(number)
        assert service.wait_ended() == (0 if number == signal.SIGTERM else -number)

    def executed(self) -> Counter[str]:
        """Return how often each POST was executed, by its body."""
        files = self.folder.glob("*/posts")
        return Counter(number for file in files for number in file.read_text().split())


@dataclass(frozen=True, repr=False)
class History:
    """All calls, when each scenario began and ended, and how often each POST was executed."""

    traffic: Traffic
    began: dict[str, float]
    ended: dict[str, float]
    executed: Counter[str]

    def calls(self, name: str, scenario: str) -> list[Call]:
        """Return the calls that ended in this scenario."""
        began, ended = self.began[scenario], self.ended[scenario]
        return [call for call in self.traffic.of(name) if began <= call.done < ended]

    def failed(self, name: str, scenario: str) -> list[Call]:
        return [call for call in self.calls(name, scenario) if call.failed]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, own_server: TcpPostgres) -> Iterator[History]:
    """Stop, kill and restart a replica, and freeze its database, under traffic."""
    folder = tmp_path_factory.mktemp("balancers")
    good, counted = "aliaport_rogues.good:Good", "aliaport_rogues.counted:app"
    install(folder / "site", "aliaport-rogues", {"good": good}, {"counted": counted})
    replicas = Replicas(folder, own_server.dsn(), {"a": free_port(), "b": free_port()})
    installed = [name for name, program in balancers.PROGRAMS.items() if shutil.which(program)]
    running: list[Balancer] = []
    traffic = Traffic()
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    try:
        for name in replicas.ports:
            replicas.start(name)
        for name in installed:
            balancer = balancers.start(name, folder / name, list(replicas.ports.values()))
            running.append(balancer)
        for balancer in running:
            wait_until(partial(_serves, balancer), f"{balancer.name} serves")
            traffic.begin(balancer)
        _wait_used(traffic, running, "a")
        checking = [balancer for balancer in running if balancer.name in CHECKING]
        began["stop"] = time.monotonic()
        replicas.end("a", signal.SIGTERM)
        _wait_only_b(traffic, running)
        _restart(replicas, traffic, running)
        ended["stop"] = began["kill"] = time.monotonic()
        replicas.end("a", signal.SIGKILL)
        _wait_only_b(traffic, running)
        _restart(replicas, traffic, running)
        ended["kill"] = began["freeze"] = time.monotonic()
        own_server.freeze()
        _wait_only_b(traffic, checking)
        ended["freeze"] = time.monotonic()
        own_server.thaw()
        _wait_used(traffic, running, "a")
        traffic.stop()
        yield History(traffic, began, ended, replicas.executed())
    finally:
        own_server.thaw()
        traffic.stop()
        for balancer in running:
            balancer.stop()
        for service in replicas.running.values():
            service.kill()


def _serves(balancer: Balancer) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=60)
    try:
        return _request(connection, "GET", "")[0] == "200"
    finally:
        connection.close()


def _wait_used(traffic: Traffic, running: list[Balancer], replica: str) -> None:
    """Wait until each balancer sends requests to this replica."""
    since = time.monotonic()
    for balancer in running:

        def used(name: str = balancer.name) -> bool:
            return any(call.replica == replica for call in traffic.of(name, since))

        wait_until(used, f"{balancer.name} uses {replica}")


def _restart(replicas: Replicas, traffic: Traffic, running: list[Balancer]) -> None:
    """Start replica `a` again; nginx does not notice that it is not ready yet."""
    nginx = [balancer for balancer in running if balancer.name == "nginx"]
    for balancer in nginx:
        balancer.run_step(0)
    replicas.start("a")
    for balancer in nginx:
        balancer.run_step(1)
    _wait_used(traffic, running, "a")


def _wait_only_b(traffic: Traffic, running: list[Balancer]) -> None:
    """Wait until each balancer has used only the other replica for a while, without an error."""
    since = time.monotonic()
    for balancer in running:

        def settled(name: str = balancer.name) -> bool:
            last = traffic.of(name, since)[-SETTLED:]
            return len(last) == SETTLED and all(call.replica == "b" for call in last)

        wait_until(settled, f"{balancer.name} uses only the other replica")


@each(NAMES)
def test_a_replica_that_stops_and_starts_again_fails_no_request(
    history: History, name: str
) -> None:
    calls = history.calls(name, "stop")
    methods = Counter(call.method for call in calls)
    assert min(methods["GET"], methods["POST"]) > SETTLED, methods
    assert history.failed(name, "stop") == []


@each(NAMES)
def test_a_killed_replica_fails_requests_until_it_is_out(history: History, name: str) -> None:
    killed = history.began["kill"]
    late = [
        call for call in history.failed(name, "kill") if call.sent > killed + OUT_WITHIN + SLACK
    ]
    assert late == []


@each(NAMES)
def test_no_post_is_lost_or_repeated(history: History, name: str) -> None:
    posts = [call for call in history.traffic.of(name) if call.method == "POST"]
    succeeded = {call.body for call in posts if not call.failed}
    assert [body for body in succeeded if history.executed[body] == 0] == []
    assert [call for call in posts if history.executed[call.body] > 1] == []


@each(CHECKING)
def test_a_replica_without_its_database_is_out_in_time(history: History, name: str) -> None:
    assert history.failed(name, "freeze") == []
    used = [call.sent for call in history.calls(name, "freeze") if call.replica == "a"]
    assert max(used, default=0.0) < history.began["freeze"] + OUT_WITHIN + SLACK
