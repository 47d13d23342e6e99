"""Generates any number of test rows, reproducible by seed, without real people or companies."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

from stdnum.tr import tckimlik, vkn

from aliaport.errors import AliaportError
from aliaport.plugin import Context
from aliaport.postgres import Connection
from aliaport_operations import folding
from aliaport_operations.account_fields import CURRENCIES, Kind
from aliaport_operations.gate_fields import Direction
from aliaport_operations.order_fields import TRANSITIONS, OrderStatus

BATCH = 5_000
"""Rows per COPY."""

BEGIN = datetime(2025, 1, 6, 6, tzinfo=UTC)
"""Date of the first order; fixed, so that the same seed gives the same rows."""

SPAN = timedelta(days=50)
"""Time between the first and the last order; none is in the future or after a deactivation."""

SEEDER = "seed"
"""Name of the user who creates the rows; disabled, so that nobody can sign in with it."""

_TOWNS = (
    "İskenderun", "Mersin", "Aliağa", "Gemlik", "Ambarlı", "Iğdır", "Ordu", "Trabzon", "Samsun",
    "Zonguldak", "Çanakkale", "Tekirdağ", "Kocaeli", "Isparta", "Şırnak", "Güllük", "Antalya",
)  # fmt: skip
_TRADES = (
    "Nakliyat", "Lojistik", "Denizcilik", "Gümrük Müşavirliği", "Dış Ticaret", "Liman Hizmetleri",
    "Gıda", "Çelik", "Tekstil", "Kimya", "İnşaat", "Mermer", "Tarım Ürünleri", "Akaryakıt",
)  # fmt: skip
_FORMS = ("A.Ş.", "Ltd. Şti.")
_WORK = (
    "Konteyner tahliyesi", "Konteyner yüklemesi", "Dökme yük tahliyesi", "Tam tespit",
    "İç dolum", "Ardiye", "Tartım", "Soğutmalı konteyner takibi", "Saha aktarması",
)  # fmt: skip
_LETTERS = "ABCDEFGHJKLMNPRSTUVYZ"
_FINAL_STATUSES = {
    OrderStatus.DRAFT: 5, OrderStatus.PLANNED: 10, OrderStatus.IN_PROGRESS: 10,
    OrderStatus.DONE: 70, OrderStatus.CANCELLED: 5,
}  # fmt: skip

_SET_SEQUENCES = """
SELECT setval(pg_get_serial_sequence('aliaport_operations_accounts', 'id'), max(id))
FROM aliaport_operations_accounts HAVING max(id) > 0;
SELECT setval(pg_get_serial_sequence('aliaport_operations_work_orders', 'id'), max(id))
FROM aliaport_operations_work_orders HAVING max(id) > 0;
SELECT setval(pg_get_serial_sequence('aliaport_operations_gate_logs', 'id'), max(id))
FROM aliaport_operations_gate_logs HAVING max(id) > 0"""
_MOVE = """
UPDATE aliaport_operations_work_orders o
SET status = h.to_status, version = h.version, changed_at = h.changed_at
FROM aliaport_operations_work_order_changes h WHERE h.work_order_id = o.id AND h.version = $1"""
_VACUUM = """
VACUUM (ANALYZE) aliaport_operations_accounts, aliaport_operations_work_orders,
        aliaport_operations_work_order_changes, aliaport_operations_gate_logs"""
_LANDING = """
CREATE TEMPORARY TABLE landing AS
SELECT a.*, NULL::text[] AS landed FROM aliaport_operations_accounts a WITH NO DATA;
ALTER TABLE landing DROP words;
ALTER TABLE landing RENAME landed TO words"""

Show = Callable[[str, int, int], None]
"""Called with the table, the rows written so far, and the total."""


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of rows."""

    accounts: int
    orders: int
    gate_logs: int

    @property
    def rows(self) -> int:
        """The total number of rows."""
        return self.accounts + self.orders + self.gate_logs


async def seed_database(
    context: Context, connection: Connection, size: Size, seed: int, show: Show
) -> None:
    """Fill the empty tables in one transaction.

    Raises AliaportError in production, and if the database already has accounts.
    """
    if context.environment == "production":
        raise AliaportError(
            "seed writes test data and is refused in production; nothing was changed"
        )
    async with connection.transaction():
        await connection.execute("LOCK aliaport_operations_accounts IN SHARE ROW EXCLUSIVE MODE")
        if await connection.fetchval("SELECT EXISTS (SELECT FROM aliaport_operations_accounts)"):
            raise AliaportError("the database already has accounts; use seed on an empty database")
        writer = _Writer(connection, await _seeder(connection), show)
        rows = _Rows(random.Random(seed), size)  # noqa: S311
        await writer.write("accounts", rows.accounts(), size.accounts)
        await writer.write("work_orders", rows.orders(), size.orders)
        await writer.write("work_order_changes", rows.changes(), len(rows.moves))
        for version in range(2, 2 + len(OrderStatus)):
            await connection.execute(_MOVE, version)
        await writer.write("gate_logs", rows.passages(), size.gate_logs)
        await connection.execute(_SET_SEQUENCES)
        await context.audit.arecord("data.seeded", seed=seed, rows=size.rows)
    await connection.execute(_VACUUM)


class _Rows:
    """Generates rows from random numbers that depend only on the seed."""

    def __init__(self, rng: random.Random, size: Size) -> None:
        self._rng = rng
        self._size = size
        self.moves: list[tuple[Any, ...]] = []

    def accounts(self) -> Iterator[dict[str, Any]]:
        rng = self._rng
        for number in range(1, self._size.accounts + 1):
            title = f"{rng.choice(_TOWNS)} {rng.choice(_TRADES)} {number} {rng.choice(_FORMS)}"
            code = f"{rng.choice('MT')}-{number:07}"
            created = BEGIN - timedelta(minutes=rng.randrange(60 * 24 * 30))
            deactivated = created + timedelta(days=90) if rng.random() < 0.05 else None
            person = rng.random() < 0.1
            yield {
                "id": number,
                "code": code,
                "title": title,
                "title_key": folding.sort_key(title),
                "words": folding.words(code, title),
                "kind": str(rng.choice(list(Kind))),
                "tax_number": _identity_number(rng) if person else _tax_number(rng),
                "currency": rng.choice(CURRENCIES[:3]),
                "contact_person": f"Yetkili {number}",
                "contact_phone": f"+90 500 {rng.randrange(10**7):07}",
                "contact_email": f"hesap{number}@example.com",
                "deactivated_at": deactivated,
                "version": 1 if deactivated is None else 2,
                "created_at": created,
                "changed_at": deactivated or created,
            }

    def orders(self) -> Iterator[dict[str, Any]]:
        rng = self._rng
        statuses, weights = list(_FINAL_STATUSES), list(_FINAL_STATUSES.values())
        for number in range(1, self._size.orders + 1):
            status = rng.choices(statuses, weights)[0]
            first = OrderStatus.DRAFT if status == OrderStatus.DRAFT else _first(rng)
            path = _path(first, status)
            created = BEGIN + SPAN * ((number - rng.random()) / self._size.orders)
            for step, (before, after) in enumerate(path):
                moment = created + timedelta(hours=step + 1)
                self.moves.append((number, step + 2, str(before), str(after), moment))
            yield {
                "id": number,
                "account_id": rng.randrange(1, self._size.accounts + 1),
                "title": f"{rng.choice(_WORK)} {number}",
                "description": "",
                "planned_for": (created + timedelta(days=rng.randrange(1, 15))).date(),
                "first_status": str(first),
                "status": str(first),
                "created_at": created,
                "changed_at": created,
            }

    def changes(self) -> Iterator[dict[str, Any]]:
        for number, version, before, after, moment in self.moves:
            yield {
                "work_order_id": number,
                "version": version,
                "from_status": before,
                "to_status": after,
                "changed_at": moment,
            }

    def passages(self) -> Iterator[dict[str, Any]]:
        rng = self._rng
        for number in range(1, self._size.gate_logs + 1):
            letters = "".join(rng.choices(_LETTERS, k=3))
            passed = BEGIN + SPAN * ((number - rng.random()) / self._size.gate_logs)
            # Only orders that were created before the passage.
            newest = (number - 1) * self._size.orders // self._size.gate_logs
            order = rng.randrange(1, newest + 1) if newest else None
            yield {
                "id": number,
                "direction": str(Direction.IN if number % 2 else Direction.OUT),
                "plate": f"{rng.randrange(1, 82):02}{letters}{rng.randrange(100, 1000)}",
                "driver": f"Sürücü {rng.randrange(1, 5000)}",
                "passed_at": passed,
                "work_order_id": order if rng.random() < 0.8 else None,
                "created_at": passed,
            }


class _Writer:
    def __init__(self, connection: Connection, user: int, show: Show) -> None:
        self._connection = connection
        self._user = user
        self._show = show

    async def write(self, table: str, rows: Iterable[dict[str, Any]], total: int) -> None:
        rows = iter(rows)
        done = 0
        self._show(table, done, total)
        while batch := list(islice(rows, BATCH)):
            await self._copy(f"aliaport_operations_{table}", batch)
            done += len(batch)
            self._show(table, done, total)

    async def _copy(self, table: str, batch: Sequence[dict[str, Any]]) -> None:
        user_columns = ["changed_by"] if table.endswith("changes") else ["created_by"]
        if table.endswith(("accounts", "work_orders")):
            user_columns.append("changed_by")
        columns = [*batch[0], *user_columns]
        users = [self._user] * len(user_columns)
        records = [(*row.values(), *users) for row in batch]
        if "words" not in columns:
            await self._connection.copy_records_to_table(table, columns=columns, records=records)
            return
        # COPY cannot call a function on its input.
        await self._connection.execute(_LANDING)
        await self._connection.copy_records_to_table("landing", columns=columns, records=records)
        target = ", ".join(columns)
        source = target.replace("words", "array_to_tsvector(words)")
        await self._connection.execute(
            f"INSERT INTO {table} ({target}) "  # noqa: S608 - the names are fixed
            f"OVERRIDING SYSTEM VALUE SELECT {source} FROM landing"
        )
        await self._connection.execute("DROP TABLE landing")


async def _seeder(connection: Connection) -> int:
    number: int = await connection.fetchval(
        "INSERT INTO aliaport_operations_users (name, role, password_hash, disabled_at) "
        "VALUES ($1, 'viewer', '', now()) "
        "ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
        SEEDER,
    )
    return number


def _first(rng: random.Random) -> OrderStatus:
    return rng.choice((OrderStatus.DRAFT, OrderStatus.PLANNED))


def _path(first: OrderStatus, last: OrderStatus) -> list[tuple[OrderStatus, OrderStatus]]:
    """Return the transitions on the shortest path from one status to the other."""
    straight = [OrderStatus.DRAFT, OrderStatus.PLANNED, OrderStatus.IN_PROGRESS, OrderStatus.DONE]
    if last == OrderStatus.CANCELLED:
        return [(first, last)]
    steps = straight[straight.index(first) : straight.index(last) + 1]
    path = list(pairwise(steps))
    assert set(path) <= set(TRANSITIONS)
    return path


def _tax_number(rng: random.Random) -> str:
    digits = f"{rng.randrange(10**9):09}"
    return digits + str(vkn.calc_check_digit(digits))


def _identity_number(rng: random.Random) -> str:
    digits = f"{rng.randrange(10**8, 10**9)}"
    return digits + str(tckimlik.calc_check_digits(digits))
