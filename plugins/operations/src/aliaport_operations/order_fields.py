"""The fields of work orders, in requests and in responses."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from aliaport_operations.paging import DEFAULT_LIMIT, After, Limit
from aliaport_operations.parsing import Fields
from aliaport_operations.text import Day, Description, Id, Reason, Title, Version


class OrderStatus(StrEnum):
    """Status of a work order."""

    DRAFT = "draft"
    PLANNED = "planned"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    CANCELLED = "cancelled"


TRANSITIONS = (
    (OrderStatus.DRAFT, OrderStatus.PLANNED),
    (OrderStatus.DRAFT, OrderStatus.CANCELLED),
    (OrderStatus.PLANNED, OrderStatus.IN_PROGRESS),
    (OrderStatus.PLANNED, OrderStatus.CANCELLED),
    (OrderStatus.IN_PROGRESS, OrderStatus.DONE),
    (OrderStatus.IN_PROGRESS, OrderStatus.CANCELLED),
)
"""Allowed pairs of old and new status; the database enforces the same ones."""

FIRST = (OrderStatus.DRAFT, OrderStatus.PLANNED)
CHANGEABLE = (OrderStatus.DRAFT, OrderStatus.PLANNED, OrderStatus.IN_PROGRESS)
"""Statuses in which the content can be changed."""


class OrderContent(Fields):
    """The content of a work order."""

    title: Title
    description: Description = ""
    planned_for: Day | None = None


class NewOrder(OrderContent):
    """A new work order for an account."""

    account_id: Id
    status: Literal["draft", "planned"] = "draft"


class ChangedOrder(OrderContent):
    """The complete new content of a work order; omitted fields get their defaults."""

    version: Version


class OrderMove(Fields):
    """The new status of a work order, and the reason for it."""

    status: OrderStatus
    reason: Reason = ""
    version: Version


class OrdersQuery(Fields):
    """Filters and page of the list of work orders."""

    account_id: Id | None = None
    status: OrderStatus | None = None
    limit: Limit = DEFAULT_LIMIT
    after: After | None = None


class OrderAccount(BaseModel):
    """The account of a work order."""

    id: int
    code: str
    title: str


class Order(BaseModel):
    """A work order; `next_statuses` are the statuses that it can change to."""

    id: int
    account: OrderAccount
    title: str
    description: str
    planned_for: date | None
    status: OrderStatus
    next_statuses: list[OrderStatus]
    version: int
    created_by: str
    created_at: datetime
    changed_by: str
    changed_at: datetime


class OrderPage(BaseModel):
    """One page of work orders; `next` is null on the last page."""

    items: list[Order]
    next: str | None


class OrderChange(BaseModel):
    """One change of a work order's status."""

    version: int
    from_status: OrderStatus
    to_status: OrderStatus
    reason: str
    changed_by: str
    changed_at: datetime


class OrderHistory(BaseModel):
    """All changes of a work order's status, oldest first."""

    items: list[OrderChange]
