"""Gate logs, which can be added but never changed: `/api/gate-log`."""

from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg

from aliaport.apps import Context, Refusal
from aliaport.plugin import GATE_LOGS
from aliaport_operations.gate_fields import (
    EARLIEST,
    LATEST,
    Direction,
    GateLog,
    GateLogPage,
    GateLogsQuery,
    NewGateLog,
)
from aliaport_operations.paging import Conditions, read_cursor, split_page
from aliaport_operations.responses import invalid_field, not_found
from aliaport_operations.routing import ApiRequest, ApiResponse, route
from aliaport_operations.sessions import Caller
from aliaport_operations.text import masked
from aliaport_operations.users import Role

PATH = "/api/gate-log"

_SELECT = """
SELECT g.id, g.direction, g.plate, g.driver, g.passed_at, g.work_order_id, g.corrects,
       g.created_by, g.created_at, g.purged_at,
       f.id AS corrected_by, u.name AS created_by_name
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

    @route(
        "GET",
        PATH,
        "List gate logs, latest passage first",
        role=Role.VIEWER,
        query=GateLogsQuery,
        response=GateLogPage,
        errors=(403,),
    )
    async def list(self, request: ApiRequest) -> ApiResponse:
        """Return one page of the gate logs that match the query."""
        query: GateLogsQuery = request.query
        conditions = Conditions()
        conditions.equals("g.direction", query.direction)
        if query.plate is not None:
            request.caller.check_search_by("plate")
            conditions.equals("g.plate", query.plate)
        conditions.equals("g.work_order_id", query.work_order_id)
        if query.since is not None:
            conditions.add("g.passed_at >= {}", query.since)
        if query.until is not None:
            conditions.add("g.passed_at < {}", query.until)
        if query.corrected is not None:
            conditions.is_null("f.id", null=query.corrected == "false")
        if query.after is not None:
            micros, log_id = read_cursor(query.after, "latest", (int, int))
            conditions.add("(g.passed_at, g.id) < ({}, {})", _moment(micros), log_id)
        rows = await request.connection.fetch(
            f"{_SELECT} {conditions.where} "
            f"ORDER BY g.passed_at DESC, g.id DESC LIMIT {query.limit + 1}",
            *conditions.arguments,
        )
        page, following = split_page(
            rows, query.limit, "latest", lambda last: [_micros(last["passed_at"]), last["id"]]
        )
        items = [_gate_log(row, request.caller) for row in page]
        return ApiResponse(GateLogPage(items=items, next=following))

    @route(
        "POST",
        PATH,
        "Add a gate log, or a correction of one",
        role=Role.CLERK,
        body=NewGateLog,
        response=GateLog,
        status=201,
        errors=(409,),
        idempotent=True,
    )
    async def create(self, request: ApiRequest) -> ApiResponse:
        """Store a new gate log."""
        body: NewGateLog = request.body
        connection = request.connection
        if body.passed_at is not None and (
            not EARLIEST <= body.passed_at < LATEST
            or await connection.fetchval(_IS_FUTURE, body.passed_at)
        ):
            raise invalid_field(
                "body.passed_at", "must be 2000-01-01 or later, and not in the future"
            )
        if body.work_order_id is not None:
            status = await connection.fetchval(_ORDER, body.work_order_id)
            if status is None:
                raise invalid_field("body.work_order_id", "there is no work order with this ID")
        try:
            async with connection.transaction():
                log_id = await connection.fetchval(
                    _INSERT,
                    *(body.direction, body.plate, body.driver, body.passed_at),
                    *(body.work_order_id, body.corrects, request.caller.id),
                )
        except asyncpg.UniqueViolationError:
            text = "this gate log has already been corrected; correct the correction instead"
            raise Refusal(409, "already_corrected", text) from None
        except (asyncpg.ForeignKeyViolationError, asyncpg.CheckViolationError) as error:
            if "corrects" not in (error.constraint_name or ""):
                raise
            raise invalid_field("body.corrects", "there is no gate log with this ID") from None
        entry = await _find(request, log_id)
        count = partial(self._written.inc, direction=entry.direction)
        return ApiResponse(entry, 201, {"Location": f"{PATH}/{log_id}"}, count)

    @route("GET", f"{PATH}/{{id}}", "Read a gate log", role=Role.VIEWER, response=GateLog)
    async def read(self, request: ApiRequest) -> ApiResponse:
        """Return one gate log."""
        return ApiResponse(await _find(request, request.id))


async def _find(request: ApiRequest, log_id: int) -> GateLog:
    row = await request.connection.fetchrow(f"{_SELECT} WHERE g.id = $1", log_id)
    if row is None:
        raise not_found("gate log")
    return _gate_log(row, request.caller)


def _gate_log(row: asyncpg.Record, caller: Caller) -> GateLog:
    plate, driver = row["plate"], row["driver"]
    if not caller.sees_personal_data:
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
        raise invalid_field(
            "query.after", "must be `next` of the previous page, unchanged"
        ) from None
