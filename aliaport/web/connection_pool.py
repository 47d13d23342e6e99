"""The open connections of one listener: how many there may be, and which must go."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from aliaport.host.limits import Limit, LimitLog
from aliaport.settings import HttpSettings
from aliaport.web.connection import (
    BODY_TIMEOUT,
    CLOSE_TIMEOUT,
    HEAD_TIMEOUT,
    WRITE_TIMEOUT,
    Connection,
)
from aliaport.web.malformed import MALFORMED
from aliaport.web.request_reader import HEAD_TOO_LARGE, PIPELINED_TOO_FAR
from aliaport.web.responses import error_response

FULL = Limit(
    "connections.full",
    "new connections are refused; raise [http] max_connections and the limit of open files, or "
    "find out why client.address holds so many",
)
EVICTED = Limit(
    "connections.evicted",
    "connections that wait for their clients are closed to make room; raise [http] max_connections "
    "and the limit of open files, or find out why client.address holds so many",
)
LIMITS = (
    *(FULL, EVICTED, HEAD_TIMEOUT, BODY_TIMEOUT, WRITE_TIMEOUT, CLOSE_TIMEOUT),
    *(MALFORMED, HEAD_TOO_LARGE, PIPELINED_TOO_FAR),
)

MAX_SWEEP_INTERVAL = 1.0
"""Seconds between two looks at all connections: the precision of the timeouts."""

MIN_SCAN_INTERVAL = 0.1
"""Seconds between two looks at all connections for one that can make room."""


def _render_refusal() -> bytes:
    response = error_response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too_many_connections",
        "the service has too many open connections; try again later",
    )
    body = cast("bytes", response.body)
    headers = {**response.headers, "Connection": "close", "Content-Length": len(body)}
    lines = ["HTTP/1.1 503 Service Unavailable", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body


_REFUSAL = _render_refusal()


class ConnectionPool:
    """The connections of one listener, at most `capacity`. Use it on the HTTP loop only.

    `now` counts seconds, but not those in which the loop stalled: then clients may have sent what
    nobody has read yet. `stalled` is the sum of these.
    """

    def __init__(
        self,
        listener: str,
        capacity: int,
        settings: HttpSettings,
        limits: LimitLog,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.listener = listener
        self.capacity = capacity
        self._limits = limits
        self._loop = loop
        self._interval = min(
            MAX_SWEEP_INTERVAL,
            *(settings.head_timeout / 4, settings.body_timeout / 4, settings.write_timeout / 4),
        )
        self._max_gap = 2 * self._interval
        self._connections: set[Connection] = set()
        self._evictable: deque[Connection] = deque()
        self.stalled = 0.0
        self._scanned_at = loop.time()
        self._waiting_for_turn: deque[Connection] = deque()
        self._refused: set[_RefusedConnection] = set()
        self._max_refused = settings.spare_descriptors // 4
        self._close_timeout = settings.close_timeout
        self._timer: asyncio.TimerHandle | None = None
        limits.declare(LIMITS)

    def __len__(self) -> int:
        return len(self._connections)

    def open(self, create: Callable[[], Connection]) -> asyncio.BaseProtocol:
        """Return a new connection, or one that refuses the client if there is no room.

        A connection that waits for its client makes room for a new one.
        """
        if len(self._connections) >= self.capacity and not self._evict():
            self._limits.record(FULL, self._find_largest_client, listener=self.listener)
            return self._refuse()
        connection = create()
        self._connections.add(connection)
        if self._timer is None:
            self._scanned_at = self._loop.time()
            self._timer = self._loop.call_later(self._interval, self._sweep)
        return connection

    def _refuse(self) -> "_RefusedConnection":
        """Return a connection that refuses the client.

        It has the descriptor for a moment, so that a client which sends gets the response. Only a
        part of the spare ones is used for that.
        """
        if len(self._refused) >= self._max_refused:
            return _RefusedConnection()
        refused = _RefusedConnection(self._refused.discard)
        self._refused.add(refused)
        self._loop.call_later(self._close_timeout, refused.close)
        return refused

    def remove(self, connection: Connection) -> None:
        """Forget a connection that was closed."""
        self._connections.discard(connection)

    def has_new(self) -> bool:
        """Return True if a client connected or sent within the last second, but no request yet."""
        now = self.now()
        return any(
            not connection.has_served and now - connection.quiet_since < MAX_SWEEP_INTERVAL
            for connection in self._connections
        )

    def has_open_body(self) -> bool:
        """Return True if the body of a request has not arrived completely."""
        return any(connection.in_body for connection in self._connections)

    def now(self) -> float:
        """Return the time: seconds, without those in which the loop stalled."""
        return self._loop.time() - self.stalled

    def request_turn(self, connection: Connection) -> None:
        """Call the connection's `take_turn` soon.

        One connection has its turn each time the loop turns. If all did, the requests of many that
        pipeline would delay all other responses.
        """
        self._waiting_for_turn.append(connection)
        if len(self._waiting_for_turn) == 1:
            self._loop.call_soon(self._give_turn)

    def _give_turn(self) -> None:
        connection = self._waiting_for_turn.popleft()
        if self._waiting_for_turn:
            self._loop.call_soon(self._give_turn)
        connection.take_turn()

    def _evict(self) -> bool:
        """Close the connection that has waited longest for its client, if there is one."""
        since = self._loop.time() - self._scanned_at
        if since > self._max_gap or (not self._evictable and since >= MIN_SCAN_INTERVAL):
            self._scan()
        now = self.now()
        while self._evictable:
            connection = self._evictable.popleft()
            if connection in self._connections and connection.can_make_room(now):
                self._limits.record(EVICTED, self._find_largest_client, listener=self.listener)
                self._end(connection)
                return True
        return False

    def _sweep(self) -> None:
        """Look at all connections, and again after a while as long as there are any."""
        self._scan()
        self._timer = (
            self._loop.call_later(self._interval, self._sweep) if self._connections else None
        )

    def _scan(self) -> None:
        """Close connections whose clients are too slow, and find those that can make room."""
        read_at = self._loop.time()
        self.stalled += max(0.0, read_at - self._scanned_at - self._max_gap)
        self._scanned_at = read_at
        now = self.now()
        waiting = []
        for connection in tuple(self._connections):
            exceeded = connection.check(now)
            if exceeded is not None:
                self._limits.record(exceeded, listener=self.listener)
                self._end(connection)
            elif connection.can_make_room(now):
                waiting.append(connection)
        # Whoever never sent a request goes first, then the one that has been silent longest.
        waiting.sort(key=lambda connection: (connection.has_served, connection.quiet_since))
        self._evictable = deque(waiting)

    def _find_largest_client(self) -> dict[str, Any]:
        """Return fields of a log line: the client with the most connections, and their number."""
        addresses = (connection.address for connection in self._connections)
        clients = Counter(address for address in addresses if address)
        [(address, number)] = clients.most_common(1) or [("", 0)]
        return {
            "connections": self.capacity,
            "client.address": address,
            "client_connections": number,
        }

    def _end(self, connection: Connection) -> None:
        self._connections.discard(connection)
        connection.abort()


class _RefusedConnection(asyncio.Protocol):
    """A connection that gets a response without being read.

    With `on_lost`, it waits until its client or `close` closes it: see `lingering`.
    """

    def __init__(self, on_lost: Callable[["_RefusedConnection"], None] | None = None) -> None:
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_REFUSAL)
        if self._on_lost is None:
            self._transport.close()
        else:
            self._transport.write_eof()

    def connection_lost(self, _exc: BaseException | None) -> None:
        self._transport = None
        if self._on_lost is not None:
            self._on_lost(self)

    def close(self) -> None:
        """Close it now."""
        if self._transport is not None:
            self._transport.abort()
        elif self._on_lost is not None:  # it never opened
            self._on_lost(self)
