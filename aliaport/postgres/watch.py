"""Watches the statements of a component, to see in time who holds the lock that one waits for.

When a statement has timed out it waits no longer, and the server has forgotten for whom it did. So
the look-up is made while it still waits, over another connection.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from aliaport.postgres.delays import MAX_NAMED, Delay, Holder, keep_delay, statement_name
from aliaport.postgres.faults import FAULTS

LOOK_AFTER = 1.0
"""Seconds after which a statement is looked at first, or a third of its timeout if that is less.
The time doubles with each further look."""

LOOK_PAUSE = 1.0
"""Seconds between two look-ups of this process."""

LOOK_TIMEOUT = 1.0
"""Seconds for a look-up, connecting included."""

_EDGES = """
WITH RECURSIVE waiting AS (
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND usename = session_user AND wait_event_type = 'Lock'
    ORDER BY pid = $1 DESC NULLS LAST, application_name = $2 DESC NULLS LAST LIMIT 50
), edges AS (
    SELECT waiting.pid AS blocked, blocker.pid AS blocker, 1 AS depth
    FROM waiting CROSS JOIN unnest(pg_blocking_pids(waiting.pid)) AS blocker(pid)
    UNION
    SELECT edges.blocker, blocker.pid, depth + 1
    FROM edges CROSS JOIN unnest(pg_blocking_pids(edges.blocker)) AS blocker(pid) WHERE depth < 4
)
SELECT DISTINCT blocked, blocker,
       (SELECT application_name FROM pg_stat_activity WHERE pid = blocked) AS blocked_name,
       (SELECT relation::regclass::text FROM pg_locks
        WHERE pid = blocked AND NOT granted AND locktype = 'relation') AS relation,
       holder.application_name, holder.state,
       extract(epoch FROM clock_timestamp() - holder.xact_start)::float AS seconds
FROM edges LEFT JOIN pg_stat_activity holder ON holder.pid = edges.blocker LIMIT 500"""

_TIMEOUTS = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, TimeoutError)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Sessions and those in their way at one time, on the server of one URL."""

    url: object
    began: float
    edges: Mapping[int, tuple[Holder, ...]]
    names: Mapping[str, int]
    tables: Mapping[int, str]

    def session(self, pid: int | None, name: str) -> int | None:
        """Return a waiting session: `pid`, or if that is None, behind a pooler, one of the name."""
        return self.names.get(name) if pid is None else pid

    def holders(self, start: int | None) -> tuple[Holder, ...]:
        """Return who is in the way of a session."""
        found: dict[int, Holder] = {}
        queue = [start] if start is not None else []
        while queue:
            for holder in self.edges.get(queue.pop(), ()):
                if holder.pid != start and holder.pid not in found:
                    found[holder.pid] = holder
                    queue.append(holder.pid)
        return tuple(sorted(found.values(), key=lambda holder: holder.waits)[:MAX_NAMED])


class _Lookups:
    """The look-ups of this process: at most one in LOOK_PAUSE; all statements share the result."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # each plugin has its own thread
        self._next = 0.0
        self._latest: _Snapshot | None = None

    def reserve(self) -> float:
        """Return 0 if the caller may look now, or the seconds until somebody may."""
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return self._next - now
            self._next = now + LOOK_PAUSE
            return 0.0

    def latest(self, url: object, since: float) -> _Snapshot | None:
        """Return the last snapshot of the URL if it was taken after `since`."""
        snapshot = self._latest
        if snapshot is None or snapshot.url != url or snapshot.began < since:
            return None
        return snapshot

    def keep(self, snapshot: _Snapshot) -> None:
        """Share a new snapshot."""
        self._latest = snapshot


_LOOKUPS = _Lookups()


@dataclass(eq=False, slots=True)
class Watch:
    """Watches the statements of one session, which run one by one.

    `pid` is its process in the server, or None behind a pooler; `dial` opens another connection to
    the same server, whose URL is `url`.
    """

    url: object
    pid: int | None
    application_name: str
    statement_timeout: float
    dial: Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]
    _query: str = field(init=False, default="")
    _began: float = field(init=False, default=0.0)
    _holders: tuple[Holder, ...] = field(init=False, default=())
    _table: str = field(init=False, default="")
    _examined: bool = field(init=False, default=False)
    _looking: "asyncio.Task[None] | None" = field(init=False, default=None)

    @contextmanager
    def running(self, query: str) -> Iterator[None]:
        """Watch one statement; an error of its timeout gets the delay."""
        self._query, self._began = query, time.monotonic()
        self._holders, self._table, self._examined = (), "", False
        first = min(LOOK_AFTER, self.statement_timeout / 3)
        timer = asyncio.get_running_loop().call_later(first, self._look_from, first)
        try:
            yield
        except _TIMEOUTS as error:
            keep_delay(error, self.delay())
            raise
        finally:
            timer.cancel()
            if self._looking is not None:
                self._looking.cancel()
                self._looking = None

    def delay(self) -> Delay:
        """Return what is known of the running or last statement."""
        seconds = time.monotonic() - self._began
        name = statement_name(self._query)
        return Delay(name, seconds, self._holders, self._table, self._examined)

    def _look_from(self, pause: float) -> None:
        self._looking = asyncio.ensure_future(self._look(pause))

    async def _look(self, pause: float) -> None:
        """Look until a holder is found; whoever waits in vain for long is looked at more rarely."""
        since = self._began
        while not self._holders:
            snapshot = _LOOKUPS.latest(self.url, since) or await self._snapshot()
            if snapshot is not None:
                since = time.monotonic()
                pid = snapshot.session(self.pid, self.application_name)
                self._holders = snapshot.holders(pid)
                self._table = snapshot.tables.get(pid, "") if pid is not None else ""
                self._examined = True
            await asyncio.sleep(pause)
            pause *= 2

    async def _snapshot(self) -> _Snapshot | None:
        while wait := _LOOKUPS.reserve():
            await asyncio.sleep(wait)
            shared = _LOOKUPS.latest(self.url, self._began)
            if shared is not None:
                return shared
        began = time.monotonic()
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                rows = await self._ask()
        except FAULTS:
            return None
        names = {row["blocked_name"]: row["blocked"] for row in rows if row["blocked_name"]}
        tables = {row["blocked"]: row["relation"] for row in rows if row["relation"]}
        snapshot = _Snapshot(self.url, began, _edges(rows), names, tables)
        _LOOKUPS.keep(snapshot)
        return snapshot

    async def _ask(self) -> list[Any]:
        connection = await self.dial()
        try:
            return list(await connection.fetch(_EDGES, self.pid, self.application_name))
        finally:
            connection.terminate()


def _edges(rows: list[Any]) -> dict[int, tuple[Holder, ...]]:
    blocked = {row["blocked"] for row in rows}
    edges: dict[int, tuple[Holder, ...]] = {}
    for row in rows:
        holder = Holder(
            row["blocker"],
            row["application_name"] or "",
            row["state"],
            row["seconds"],
            row["blocker"] in blocked,
        )
        edges[row["blocked"]] = (*edges.get(row["blocked"], ()), holder)
    return edges
