"""Work orders: `/api/work-order`."""

from collections.abc import Sequence
from functools import partial

import asyncpg

from aliaport.apps import Context, Refusal
from aliaport.plugin import WORK_ORDERS
from aliaport_operations.calls import Call, Outcome, Route, missing
from aliaport_operations.conflicts import version_conflict
from aliaport_operations.families import REPLAYED, TRANSITIONS
from aliaport_operations.idempotency import once
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
from aliaport_operations.paging import Conditions, read_cursor, write_cursor
from aliaport_operations.reading import wrong_field
from aliaport_operations.roles import Role

PATH = "/api/work-order"

_SELECT = """
SELECT o.*, a.code AS account_code, a.title AS account_title,
       c.name AS created_by_name, m.name AS changed_by_name
FROM aliaport_operations_work_orders o
JOIN aliaport_operations_accounts a ON a.id = o.account_id
JOIN aliaport_operations_users c ON c.id = o.created_by
JOIN aliaport_operations_users m ON m.id = o.changed_by"""
# Whoever deactivates the account waits for this transaction, or this one sees it deactivated.
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
_NOTE = """
INSERT INTO aliaport_operations_work_order_changes
    (work_order_id, version, from_status, to_status, reason, changed_by)
VALUES ($1, $2, $3, $4, $5, $6)"""
_HISTORY = """
SELECT h.*, u.name AS changed_by_name FROM aliaport_operations_work_order_changes h
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
        self._replayed = context.counter(REPLAYED)

    def routes(self) -> Sequence[Route]:
        """The routes, with the roles that may call them."""
        item = f"{PATH}/{{id}}"
        return [
            Route(
                method="GET",
                path=PATH,
                summary="List work orders",
                handler=self.list,
                role=Role.VIEWER,
                query=OrdersQuery,
                answer=OrderPage,
            ),
            Route(
                method="POST",
                path=PATH,
                summary="Create a work order",
                handler=self.create,
                role=Role.CLERK,
                body=NewOrder,
                answer=Order,
                status=201,
                errors=(409,),
                idempotent=True,
            ),
            Route(
                method="GET",
                path=item,
                summary="Read a work order",
                handler=self.read,
                role=Role.VIEWER,
                answer=Order,
            ),
            Route(
                method="PUT",
                path=item,
                summary="Change what a work order says",
                handler=self.change,
                role=Role.CLERK,
                body=ChangedOrder,
                answer=Order,
                errors=(409,),
            ),
            Route(
                method="POST",
                path=f"{item}/status",
                summary="Move a work order to its next status",
                handler=self.move,
                role=Role.CLERK,
                body=OrderMove,
                answer=Order,
                errors=(409,),
            ),
            Route(
                method="GET",
                path=f"{item}/history",
                summary="Read the changes of a work order's status",
                handler=self.history,
                role=Role.VIEWER,
                answer=OrderHistory,
            ),
        ]

    async def list(self, call: Call) -> Outcome:
        """`GET /api/work-order`."""
        query: OrdersQuery = call.query
        conditions = Conditions()
        if query.account_id is not None:
            conditions.add("o.account_id = {}", query.account_id)
        if query.status is not None:
            conditions.add("o.status = {}", query.status)
        if query.after is not None:
            conditions.add("o.id < {}", *read_cursor(query.after, "newest", (int,)))
        rows = await call.connection.fetch(
            f"{_SELECT} {conditions.where} ORDER BY o.id DESC LIMIT {query.limit + 1}",
            *conditions.arguments,
        )
        page = rows[: query.limit]
        more = len(rows) > query.limit
        following = write_cursor("newest", [page[-1]["id"]]) if more else None
        return Outcome(OrderPage(items=[_shown(row) for row in page], next=following))

    async def create(self, call: Call) -> Outcome:
        """`POST /api/work-order`."""

        async def write() -> Outcome:
            body: NewOrder = call.body
            account = await call.connection.fetchrow(_ACCOUNT, body.account_id)
            if account is None:
                raise wrong_field("body.account_id", "there is no account of this number")
            if not account["active"]:
                text = "the account is deactivated and gets no more work orders"
                raise Refusal(409, "account_deactivated", text)
            number = await call.connection.fetchval(
                _INSERT,
                *(body.account_id, body.title, body.description, body.planned_for, body.status),
                call.caller.id,
            )
            order = await _find(call, number)
            counted = partial(self._created.inc, status=order.status)
            return Outcome(order, 201, {"Location": f"{PATH}/{number}"}, counted)

        return await once(call, write, self._replayed)

    async def read(self, call: Call) -> Outcome:
        """`GET /api/work-order/{id}`."""
        return Outcome(await _find(call, call.number))

    async def change(self, call: Call) -> Outcome:
        """`PUT /api/work-order/{id}`."""
        body: ChangedOrder = call.body
        # In one transaction, so that the answer does not show a later change of somebody else.
        async with call.connection.transaction():
            done = await call.connection.execute(
                _UPDATE,
                *(call.number, body.version, body.title, body.description, body.planned_for),
                *(call.caller.id, list(CHANGEABLE)),
            )
            order = await _find(call, call.number)
        if done == "UPDATE 0":
            if order.version == body.version:
                text = f"a work order that is {order.status} is not changed any more"
                raise Refusal(409, "work_order_ended", text)
            raise version_conflict("work order", order)
        return Outcome(order)

    async def move(self, call: Call) -> Outcome:
        """`POST /api/work-order/{id}/status`."""
        body: OrderMove = call.body
        async with call.connection.transaction():
            before = await _find(call, call.number)
            if before.version != body.version:
                raise version_conflict("work order", before)
            if (before.status, body.status) not in ALLOWED:
                choice = ", ".join(before.next_statuses) or "nothing any more"
                raise Refusal(
                    409,
                    "transition_not_allowed",
                    f"from {before.status} it goes to: {choice}",
                    next_statuses=before.next_statuses,
                )
            done = await call.connection.execute(
                _MOVE, call.number, body.version, before.status, body.status, call.caller.id
            )
            after = await _find(call, call.number)
            if done == "UPDATE 0":
                raise version_conflict("work order", after)
            await call.connection.execute(
                _NOTE,
                *(call.number, after.version, before.status, body.status, body.reason),
                call.caller.id,
            )
        counted = partial(self._moved.inc, from_status=before.status, to_status=body.status)
        return Outcome(after, counted=counted)

    async def history(self, call: Call) -> Outcome:
        """`GET /api/work-order/{id}/history`."""
        await _find(call, call.number)
        rows = await call.connection.fetch(_HISTORY, call.number)
        changes = [OrderChange(**{**row, "changed_by": row["changed_by_name"]}) for row in rows]
        return Outcome(OrderHistory(items=changes))


async def _find(call: Call, number: int) -> Order:
    row = await call.connection.fetchrow(f"{_SELECT} WHERE o.id = $1", number)
    if row is None:
        raise missing("work order")
    return _shown(row)


def _shown(row: asyncpg.Record) -> Order:
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
