"""Clerks who write without a pause, and what the database must contain whatever happens."""

import http.client
import random
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aliaport_operations.order_fields import TRANSITIONS

from tests.support.operations import GATE, ORDER, Operations
from tests.support.service import PATIENCE, Response
from tests.support.waiting import wait_until

LOST = (OSError, http.client.HTTPException)
"""Errors of a request without a response."""

GIVES_UP = 0.2
"""The probability that a clerk does not repeat a creation without a response."""

BROKEN_HISTORIES = """
SELECT o.id, o.version, o.first_status, o.status, h.froms, h.tos
FROM aliaport_operations_work_orders o CROSS JOIN LATERAL (
    SELECT count(*) AS n, max(version) AS newest,
           string_agg(from_status, ' ' ORDER BY version) AS froms,
           string_agg(to_status, ' ' ORDER BY version) AS tos
    FROM aliaport_operations_work_order_changes WHERE work_order_id = o.id) h
WHERE concat_ws(' ', h.froms, o.status) <> concat_ws(' ', o.first_status, h.tos)
   OR o.version < 1 + h.n OR o.version < h.newest"""
"""Orders whose changes do not lead from the first status to the current one."""

_KEYS_WITHOUT_ROWS = """
WITH stored AS (
    SELECT answer -> 'headers' ->> 'Location' AS place, status, count(*) AS n
    FROM aliaport_operations_idempotency_keys GROUP BY 1, 2),
made AS (
    SELECT '/api/work-order/' || id AS place FROM aliaport_operations_work_orders
    UNION ALL SELECT '/api/gate-log/' || id FROM aliaport_operations_gate_logs)
SELECT stored.*, made.* FROM stored FULL JOIN made ON stored.place = made.place
WHERE stored.place IS NULL OR made.place IS NULL OR status <> 201 OR n <> 1"""
_DOUBLES = """
SELECT title FROM aliaport_operations_work_orders GROUP BY 1 HAVING count(*) > 1
UNION ALL SELECT driver FROM aliaport_operations_gate_logs GROUP BY 1 HAVING count(*) > 1"""
_ORDERS = """
SELECT o.id, title, description, status, o.version,
       (SELECT count(*) FROM aliaport_operations_work_order_changes WHERE work_order_id = o.id)
FROM aliaport_operations_work_orders o"""
_GATE_LOGS = "SELECT id, driver FROM aliaport_operations_gate_logs"


@dataclass
class KeptOrder:
    """An order as its clerk knows it from the responses."""

    id: int
    title: str
    status: str
    version: int = 1
    moves: int = 0
    description: str = ""


@dataclass
class Clerks:
    """Threads that call any of `replicas`; each has its own orders.

    A request without a response, or with 503, is repeated: with the same key if it has one.
    `responded` are the first responses of each process, by the series that counts them. A process
    is identified by its port, since the kernel reuses the PID of a killed one.
    """

    seed: int
    account: int
    replicas: Sequence[Operations]
    orders: dict[int, KeptOrder] = field(default_factory=dict)
    gate_logs: dict[int, str] = field(default_factory=dict)
    responded: dict[int, "Counter[str]"] = field(default_factory=dict)
    lost: int = 0
    shed: int = 0
    replayed: int = 0
    given_up: int = 0
    responses: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _dismissed: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _work: "list[Future[None]]" = field(default_factory=list)

    @contextmanager
    def at_work(self, number: int = 4) -> Iterator[None]:
        """Let the clerks write within the block, which ends with `finish`."""
        with ThreadPoolExecutor(number) as threads:
            self._work = [
                threads.submit(self._write, random.Random(f"{self.seed} {clerk}"))
                for clerk in range(number)
            ]
            try:
                yield
            finally:
                self._stop.set()
                self._dismissed.set()

    def finish(self) -> None:
        """Let each clerk receive the response that it waits for, and send nothing more."""
        self._stop.set()
        for work in self._work:
            work.result(PATIENCE)

    def wait_for_responses(self, number: int) -> None:
        """Wait until the clerks have received this many more responses."""
        wanted = self.responses + number

        def reached() -> bool:
            for work in self._work:
                if work.done():
                    work.result()
            return self.responses >= wanted

        wait_until(reached, f"{number} more responses")

    def first_responses(self, api: Operations) -> "Counter[str]":
        """Return the number of first responses of this process, by the series that counts them."""
        with self._lock:
            return Counter(self.responded.get(api.service.port, Counter()))

    def _write(self, chance: random.Random) -> None:
        corrects: int | None = None
        while not self._stop.is_set():
            order = self._create_order(chance)
            for _ in range(chance.randrange(4)):
                if order is not None:
                    self._go_on(chance, order)
            made = self._create_gate_log(chance, order, corrects)
            # An entry can be corrected only once, and whether an abandoned correction was made is unknown.
            corrects = made if chance.random() < 0.3 else None

    def _create_order(self, chance: random.Random) -> KeptOrder | None:
        title, status = f"Deneme {_unique(chance)}", chance.choice(("draft", "planned"))
        body = {"account_id": self.account, "title": title, "status": status}
        series = f'aliaport_work_orders_total{{status="{status}"}}'
        data = self._create(chance, ORDER, body, series)
        if data is None:
            return None
        order = KeptOrder(data["id"], title, status)
        with self._lock:
            assert order.id not in self.orders, "two orders got one number"
            self.orders[order.id] = order
        return order

    def _create_gate_log(
        self, chance: random.Random, order: KeptOrder | None, corrects: int | None
    ) -> int | None:
        driver, direction = f"Deneme {_unique(chance)}", chance.choice(("in", "out"))
        body: dict[str, Any] = {"direction": direction, "plate": "34 ABC 123", "driver": driver}
        body |= {"work_order_id": order.id} if order else {}
        body |= {"corrects": corrects} if corrects else {}
        series = f'aliaport_gate_logs_total{{direction="{direction}"}}'
        data = self._create(chance, GATE, body, series)
        if data is None:
            return None
        with self._lock:
            self.gate_logs[data["id"]] = driver
        number: int = data["id"]
        return number

    def _create(self, chance: random.Random, path: str, body: Any, series: str) -> Any:
        headers = {"Idempotency-Key": _unique(chance)}
        while True:
            found = self._call("POST", path, body, headers)
            if found is not None:
                response, process = found
                assert response.status == 201, response.text
                if "Idempotent-Replayed" in response.headers:
                    self.replayed += 1
                else:
                    self._count(process, series)
                return response.json["data"]
            if chance.random() < GIVES_UP:
                self.given_up += 1
                return None

    def _go_on(self, chance: random.Random, order: KeptOrder) -> None:
        choice = [str(after) for before, after in TRANSITIONS if before == order.status]
        if not choice:
            return
        path = f"{ORDER}/{order.id}"
        if chance.random() < 0.3:
            order.description = _unique(chance)
            body = {"title": order.title, "description": order.description}
            self._raise_version("PUT", path, order, body)
        else:
            before, order.status = order.status, chance.choice(choice)
            series = (
                "aliaport_operations_transitions_total"
                f'{{from_status="{before}",to_status="{order.status}"}}'
            )
            self._raise_version("POST", f"{path}/status", order, {"status": order.status}, series)
            order.moves += 1

    def _raise_version(
        self, method: str, path: str, order: KeptOrder, body: Any, series: str = ""
    ) -> None:
        repeated = False
        while (found := self._call(method, path, {**body, "version": order.version})) is None:
            repeated = True
        response, process = found
        order.version += 1
        if response.status == 409 and repeated:
            # The request without a response was carried out.
            error = response.json["error"]
            assert (error["code"], error["version"]) == ("version_conflict", order.version), error
            return
        assert response.status == 200, response.text
        assert response.json["data"]["version"] == order.version, response.text
        if series:
            self._count(process, series)

    def _call(
        self, method: str, path: str, body: Any, headers: dict[str, str] | None = None
    ) -> tuple[Response, int] | None:
        """Return a response that says what was done, and the process that sent it."""
        while True:
            replica = random.choice(self.replicas)
            try:
                response = replica.call(method, path, body, headers=headers)
                break
            except ConnectionRefusedError:  # no process has received it
                self._pause()
            except LOST:
                self.lost += 1
                return None
        self.responses += 1
        if response.status == 503:
            self.shed += 1
            self._pause()
            return None
        return response, replica.service.port

    def _pause(self) -> None:
        if self._dismissed.wait(0.02):
            raise RuntimeError("the test has ended before this clerk received its response")

    def _count(self, process: int, series: str) -> None:
        with self._lock:
            self.responded.setdefault(process, Counter())[series] += 1

    def check(self, api: Operations) -> None:
        """Check that everything confirmed is in the database, once, and nothing is incomplete."""
        for statement in (BROKEN_HISTORIES, _KEYS_WITHOUT_ROWS, _DOUBLES):
            assert api.sql(statement) == "", statement
        rows = {row[0]: row for row in _rows(api, _ORDERS)}
        for order in self.orders.values():
            wanted = (order.id, order.title, order.description, order.status, order.version)
            assert rows.pop(str(order.id)) == [*map(str, wanted), str(order.moves)]
        assert len(rows) <= self.given_up, rows
        for _, _, _, _, version, moves in rows.values():
            assert (version, moves) == ("1", "0"), "nobody has changed this order"
        drivers = {int(number): driver for number, driver in _rows(api, _GATE_LOGS)}
        assert drivers | self.gate_logs == drivers, "confirmed, but not in the database"
        check_gauges(api)


def check_gauges(api: Operations) -> None:
    """Check that the gauges have the values that SQL counts."""
    for family, table, label, column in (
        ("work_orders", "work_orders", "status", "status"),
        ("work_orders_created", "work_orders", "status", "first_status"),
        ("gate_logs", "gate_logs", "direction", "direction"),
    ):
        name = f"aliaport_operations_{family}"
        counted = f"SELECT {column}, count(*) FROM aliaport_operations_{table} GROUP BY 1"
        wanted = {f'{name}{{{label}="{value}"}}': float(n) for value, n in _rows(api, counted)}
        shown = {series: n for series, n in series_of(api, name).items() if n}
        assert shown == wanted


def series_of(api: Operations, *families: str) -> dict[str, float]:
    """Return all series of these families, from one scrape."""
    lines = api.service.get("/metrics").text.splitlines()
    pairs = (line.rpartition(" ")[::2] for line in lines if not line.startswith("#"))
    return {name: float(n) for name, n in pairs if name.partition("{")[0] in families}


def committed_since(api: Operations, moment: str) -> "Counter[str]":
    """Return the rows since a moment of the database's clock, by the series that counts them."""
    series = {
        "aliaport_work_orders_total": (
            "SELECT first_status, count(*) FROM aliaport_operations_work_orders "
            f"WHERE created_at >= '{moment}' GROUP BY 1"
        ),
        "aliaport_gate_logs_total": (
            "SELECT direction, count(*) FROM aliaport_operations_gate_logs "
            f"WHERE created_at >= '{moment}' GROUP BY 1"
        ),
        "aliaport_operations_transitions_total": (
            "SELECT from_status, to_status, count(*) FROM aliaport_operations_work_order_changes "
            f"WHERE changed_at >= '{moment}' GROUP BY 1, 2"
        ),
    }
    labels = {1: ("status",), 2: ("from_status", "to_status")}
    found: Counter[str] = Counter()
    for family, statement in series.items():
        for *values, n in _rows(api, statement):
            names = ("direction",) if "gate" in family else labels[len(values)]
            inner = ",".join(f'{name}="{value}"' for name, value in zip(names, values, strict=True))
            found[f"{family}{{{inner}}}"] = int(n)
    return found


def _rows(api: Operations, statement: str) -> list[list[str]]:
    return [line.split("|") for line in api.sql(statement).splitlines()]


def _unique(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128)))
