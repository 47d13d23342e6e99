"""Work orders: `/api/work-order`."""

from functools import partial

import asyncpg

from aliaport.apps import Context, Refusal
from aliaport.plugin import WORK_ORDERS
from aliaport_operations.families import TRANSITIONS
from aliaport_operations.order_fields import (
    CHANGEABLE,
    FIRST,
    ChangedOrder,
    NewOrder,
    Order,
    OrderAccount,
    OrderChange,
    OrderHistory,
    OrderMove,
    OrderPage,
    OrdersQuery,
    OrderStatus,
)
from aliaport_operations.order_fields import TRANSITIONS as ALLOWED
from aliaport_operations.paging import Conditions, read_cursor, split_page
from aliaport_operations.responses import invalid_field, not_found, version_conflict
from aliaport_operations.routing import ApiRequest, ApiResponse, route
from aliaport_operations.users import Role

PATH = "/api/work-order"
_ITEM = f"{PATH}/{{id}}"

_SELECT = """
SELECT o.id, o.account_id, o.title, o.description, o.planned_for, o.first_status, o.status,
       o.version, o.created_by, o.created_at, o.changed_by, o.changed_at,
       a.code AS account_code, a.title AS account_title,
       c.name AS created_by_name, m.name AS changed_by_name
FROM aliaport_operations_work_orders o
JOIN aliaport_operations_accounts a ON a.id = o.account_id
JOIN aliaport_operations_users c ON c.id = o.created_by
JOIN aliaport_operations_users m ON m.id = o.changed_by"""
# Serializes with deactivating the account: whichever transaction is second sees the first.
_ACCOUNT = """
SELECT deactivated_at IS NULL AS active FROM aliaport_operations_accounts
WHERE id = $1 FOR SHARE"""
_INSERT = """
INSERT INTO aliaport_operations_work_orders
    (account_id, title, description, planned_for, first_status, status, created_by, changed_by)
VALUES ($1, $2, $3, $4, $5, $5, $6, $6) RETURNING id"""
_UPDATE = """
UPDATE aliaport_operations_work_orders SET
    title = $3, description = $4, planned_for = $5,
    version = version + 1, changed_by = $6, changed_at = now()
WHERE id = $1 AND version = $2 AND status = ANY($7)"""
_MOVE = """
UPDATE aliaport_operations_work_orders SET
    status = $4, version = version + 1, changed_by = $5, changed_at = now()
WHERE id = $1 AND version = $2 AND status = $3"""
_RECORD_CHANGE = """
INSERT INTO aliaport_operations_work_order_changes
    (work_order_id, version, from_status, to_status, reason, changed_by)
VALUES ($1, $2, $3, $4, $5, $6)"""
_HISTORY = """
SELECT h.work_order_id, h.version, h.from_status, h.to_status, h.reason, h.changed_at,
       h.changed_by, u.name AS changed_by_name
FROM aliaport_operations_work_order_changes h
JOIN aliaport_operations_users u ON u.id = h.changed_by
WHERE h.work_order_id = $1 ORDER BY h.version"""


class WorkOrders:
    """The routes of work orders."""

    def __init__(self, context: Context) -> None:
        self._created = context.counter(WORK_ORDERS)
        for status in FIRST:
            self._created.inc(0, status=status)
        self._moved = context.counter(TRANSITIONS)
        for before, after in ALLOWED:
            self._moved.inc(0, from_status=before, to_status=after)

    @route(
        "GET",
        PATH,
        "List work orders, newest first",
        role=Role.VIEWER,
        query=OrdersQuery,
        response=OrderPage,
    )
    async def list(self, request: ApiRequest) -> ApiResponse:
        """Return one page of the work orders that match the query."""
        query: OrdersQuery = request.query
        conditions = Conditions()
        conditions.equals("o.account_id", query.account_id)
        conditions.equals("o.status", query.status)
        if query.after is not None:
            conditions.add("o.id < {}", *read_cursor(query.after, "newest", (int,)))
        rows = await request.connection.fetch(
            f"{_SELECT} {conditions.where} ORDER BY o.id DESC LIMIT {query.limit + 1}",
            *conditions.arguments,
        )
        page, following = split_page(rows, query.limit, "newest", lambda last: [last["id"]])
        return ApiResponse(OrderPage(items=[_order(row) for row in page], next=following))

    @route(
        "POST",
        PATH,
        "Create a work order",
        role=Role.CLERK,
        body=NewOrder,
        response=Order,
        status=201,
        errors=(409,),
        idempotent=True,
    )
    async def create(self, request: ApiRequest) -> ApiResponse:
        """Store a new work order of an active account."""
        body: NewOrder = request.body
        account = await request.connection.fetchrow(_ACCOUNT, body.account_id)
        if account is None:
            raise invalid_field("body.account_id", "there is no account with this ID")
        if not account["active"]:
            text = "the account is deactivated; it gets no new work orders until it is activated"
            raise Refusal(409, "account_deactivated", text)
        order_id = await request.connection.fetchval(
            _INSERT,
            *(body.account_id, body.title, body.description, body.planned_for, body.status),
            request.caller.id,
        )
        order = await _find(request, order_id)
        count = partial(self._created.inc, status=order.status)
        return ApiResponse(order, 201, {"Location": f"{PATH}/{order_id}"}, count)

    @route("GET", _ITEM, "Read a work order", role=Role.VIEWER, response=Order)
    async def read(self, request: ApiRequest) -> ApiResponse:
        """Return one work order."""
        return ApiResponse(await _find(request, request.id))

    @route(
        "PUT",
        _ITEM,
        "Change the content of a work order",
        role=Role.CLERK,
        body=ChangedOrder,
        response=Order,
        errors=(409,),
    )
    async def change(self, request: ApiRequest) -> ApiResponse:
        """Replace the content of the version that the caller read, unless the order has ended."""
        body: ChangedOrder = request.body
        # One transaction, so that the response does not show a later change by somebody else.
        async with request.connection.transaction():
            done = await request.connection.execute(
                _UPDATE,
                *(request.id, body.version, body.title, body.description, body.planned_for),
                *(request.caller.id, list(CHANGEABLE)),
            )
            order = await _find(request, request.id)
        if done == "UPDATE 0":
            if order.version == body.version:
                text = f"a work order that is {order.status} can no longer be changed"
                raise Refusal(409, "work_order_ended", text)
            raise version_conflict("work order", order)
        return ApiResponse(order)

    @route(
        "POST",
        f"{_ITEM}/status",
        "Change the status of a work order",
        role=Role.CLERK,
        body=OrderMove,
        response=Order,
        errors=(409,),
    )
    async def move(self, request: ApiRequest) -> ApiResponse:
        """Change the status by an allowed transition, and record it in the history."""
        body: OrderMove = request.body
        async with request.connection.transaction():
            before = await _find(request, request.id)
            if before.version != body.version:
                raise version_conflict("work order", before)
            if (before.status, body.status) not in ALLOWED:
                raise _transition_not_allowed(before)
            done = await request.connection.execute(
                _MOVE, request.id, body.version, before.status, body.status, request.caller.id
            )
            after = await _find(request, request.id)
            if done == "UPDATE 0":
                raise version_conflict("work order", after)
            await request.connection.execute(
                _RECORD_CHANGE,
                *(request.id, after.version, before.status, body.status, body.reason),
                request.caller.id,
            )
        count = partial(self._moved.inc, from_status=before.status, to_status=body.status)
        return ApiResponse(after, on_commit=count)

    @route(
        "GET",
        f"{_ITEM}/history",
        "Read the status history of a work order",
        role=Role.VIEWER,
        response=OrderHistory,
    )
    async def history(self, request: ApiRequest) -> ApiResponse:
        """Return all changes of the status, oldest first."""
        await _find(request, request.id)
        rows = await request.connection.fetch(_HISTORY, request.id)
        changes = [OrderChange(**{**row, "changed_by": row["changed_by_name"]}) for row in rows]
        return ApiResponse(OrderHistory(items=changes))


def _transition_not_allowed(order: Order) -> Refusal:
    noun = "draft" if order.status is OrderStatus.DRAFT else f"work order that is {order.status}"
    allowed = " or ".join(order.next_statuses)
    text = (
        f"a {noun} can only become {allowed}" if allowed else f"a {noun} cannot change its status"
    )
    return Refusal(409, "transition_not_allowed", text, next_statuses=order.next_statuses)


async def _find(request: ApiRequest, order_id: int) -> Order:
    row = await request.connection.fetchrow(f"{_SELECT} WHERE o.id = $1", order_id)
    if row is None:
        raise not_found("work order")
    return _order(row)


def _order(row: asyncpg.Record) -> Order:
    status = OrderStatus(row["status"])
    return Order(
        id=row["id"],
        account=OrderAccount(
            id=row["account_id"], code=row["account_code"], title=row["account_title"]
        ),
        title=row["title"],
        description=row["description"],
        planned_for=row["planned_for"],
        status=status,
        next_statuses=[after for before, after in ALLOWED if before is status],
        version=row["version"],
        created_by=row["created_by_name"],
        created_at=row["created_at"],
        changed_by=row["changed_by_name"],
        changed_at=row["changed_at"],
    )
