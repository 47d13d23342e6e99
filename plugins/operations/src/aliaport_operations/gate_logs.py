"""Gate logs, which are only ever added: `/api/gate-log`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg

from aliaport.apps import Context, Refusal
from aliaport.plugin import GATE_LOGS
from aliaport_operations.calls import Call, Outcome, Route, missing
from aliaport_operations.families import REPLAYED
from aliaport_operations.gate_fields import (
    EARLIEST,
    LATEST,
    Direction,
    GateLog,
    GateLogPage,
    GateLogsQuery,
    NewGateLog,
)
from aliaport_operations.idempotency import once
from aliaport_operations.masking import masked, sees_personal_data
from aliaport_operations.paging import Conditions, read_cursor, write_cursor
from aliaport_operations.reading import wrong_field
from aliaport_operations.roles import Role

PATH = "/api/gate-log"

_SELECT = """
SELECT g.*, f.id AS corrected_by, u.name AS created_by_name
FROM aliaport_operations_gate_logs g
LEFT JOIN aliaport_operations_gate_logs f ON f.corrects = g.id
JOIN aliaport_operations_users u ON u.id = g.created_by"""
_ORDER = "SELECT status FROM aliaport_operations_work_orders WHERE id = $1 FOR KEY SHARE"
_IS_FUTURE = "SELECT $1::timestamptz > now() + interval '5 minutes'"
_INSERT = """
INSERT INTO aliaport_operations_gate_logs
    (direction, plate, driver, passed_at, work_order_id, corrects, created_by)
VALUES ($1, $2, $3, coalesce($4, now()), $5, $6, $7) RETURNING id"""


class GateLogs:
    """The routes of gate logs."""

    def __init__(self, context: Context) -> None:
        self._written = context.counter(GATE_LOGS)
        for direction in Direction:
            self._written.inc(0, direction=direction)
        self._replayed = context.counter(REPLAYED)

    def routes(self) -> Sequence[Route]:
        """The routes, with the roles that may call them."""
        return [
            Route(
                method="GET",
                path=PATH,
                summary="List gate logs",
                handler=self.list,
                role=Role.VIEWER,
                query=GateLogsQuery,
                answer=GateLogPage,
                errors=(403,),
            ),
            Route(
                method="POST",
                path=PATH,
                summary="Add a gate log, or the correction of one",
                handler=self.create,
                role=Role.CLERK,
                body=NewGateLog,
                answer=GateLog,
                status=201,
                errors=(409,),
                idempotent=True,
            ),
            Route(
                method="GET",
                path=f"{PATH}/{{id}}",
                summary="Read a gate log",
                handler=self.read,
                role=Role.VIEWER,
                answer=GateLog,
            ),
        ]

    async def list(self, call: Call) -> Outcome:
        """`GET /api/gate-log`."""
        query: GateLogsQuery = call.query
        conditions = Conditions()
        if query.direction is not None:
            conditions.add("g.direction = {}", query.direction)
        if query.plate is not None:
            if not sees_personal_data(call.caller):
                raise Refusal(403, "forbidden", "viewers cannot search by plate")
            conditions.add("g.plate = {}", query.plate)
        if query.work_order_id is not None:
            conditions.add("g.work_order_id = {}", query.work_order_id)
        if query.since is not None:
            conditions.add("g.passed_at >= {}", query.since)
        if query.until is not None:
            conditions.add("g.passed_at < {}", query.until)
        if query.corrected is not None:
            there = "NOT NULL" if query.corrected == "true" else "NULL"
            conditions.add(f"f.id IS {there}")
        if query.after is not None:
            micros, number = read_cursor(query.after, "latest", (int, int))
            conditions.add("(g.passed_at, g.id) < ({}, {})", _moment(micros), number)
        rows = await call.connection.fetch(
            f"{_SELECT} {conditions.where} "
            f"ORDER BY g.passed_at DESC, g.id DESC LIMIT {query.limit + 1}",
            *conditions.arguments,
        )
        page = rows[: query.limit]
        following = None
        if len(rows) > query.limit:
            last = page[-1]
            following = write_cursor("latest", [_micros(last["passed_at"]), last["id"]])
        return Outcome(GateLogPage(items=[_shown(row, call) for row in page], next=following))

    async def create(self, call: Call) -> Outcome:
        """`POST /api/gate-log`."""

        async def write() -> Outcome:
            body: NewGateLog = call.body
            connection = call.connection
            if body.passed_at is not None and (
                not EARLIEST <= body.passed_at < LATEST
                or await connection.fetchval(_IS_FUTURE, body.passed_at)
            ):
                raise wrong_field("body.passed_at", "must be since 2000 and not in the future")
            if body.work_order_id is not None:
                status = await connection.fetchval(_ORDER, body.work_order_id)
                if status is None:
                    raise wrong_field("body.work_order_id", "there is no such work order")
            try:
                async with connection.transaction():
                    number = await connection.fetchval(
                        _INSERT,
                        *(body.direction, body.plate, body.driver, body.passed_at),
                        *(body.work_order_id, body.corrects, call.caller.id),
                    )
            except asyncpg.UniqueViolationError:
                text = "this entry is corrected already; correct the correction"
                raise Refusal(409, "already_corrected", text) from None
            except (asyncpg.ForeignKeyViolationError, asyncpg.CheckViolationError) as error:
                if "corrects" not in (error.constraint_name or ""):
                    raise
                raise wrong_field("body.corrects", "there is no such gate log") from None
            entry = await _find(call, number)
            counted = partial(self._written.inc, direction=entry.direction)
            return Outcome(entry, 201, {"Location": f"{PATH}/{number}"}, counted)

        return await once(call, write, self._replayed)

    async def read(self, call: Call) -> Outcome:
        """`GET /api/gate-log/{id}`."""
        return Outcome(await _find(call, call.number))


async def _find(call: Call, number: int) -> GateLog:
    row = await call.connection.fetchrow(f"{_SELECT} WHERE g.id = $1", number)
    if row is None:
        raise missing("gate log")
    return _shown(row, call)


def _shown(row: asyncpg.Record, call: Call) -> GateLog:
    plate, driver = row["plate"], row["driver"]
    if not sees_personal_data(call.caller):
        plate, driver = masked(plate, first=2), masked(driver, first=1)
    return GateLog(
        id=row["id"],
        direction=row["direction"],
        plate=plate,
        driver=driver,
        passed_at=row["passed_at"],
        work_order_id=row["work_order_id"],
        corrects=row["corrects"],
        corrected_by=row["corrected_by"],
        created_by=row["created_by_name"],
        created_at=row["created_at"],
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(moment: datetime) -> int:
    passed = moment - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def _moment(micros: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        raise wrong_field("query.after", "send `next` of the page before as it came") from None
