"""What a handler gets and gives, and how a route is declared."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from aliaport.apps import Refusal
from aliaport.postgres import Connection
from aliaport_operations.reading import Fields
from aliaport_operations.roles import Role
from aliaport_operations.sessions import Caller


@dataclass(slots=True, kw_only=True)
class Call:
    """One request of somebody who may make it. `number` is that of the row in the path."""

    address: str
    number: int = 0
    query: Any = None
    body: Any = None
    idempotency_key: str | None = None
    request_hash: bytes = b""
    lent: "Connection | None" = None
    known: Caller | None = None

    @property
    def connection(self) -> Connection:
        """The request's connection, which a detached route has not."""
        assert self.lent is not None
        return self.lent

    @property
    def caller(self) -> Caller:
        """Who calls, which a route for everybody does not know."""
        assert self.known is not None
        return self.known


@dataclass(slots=True)
class Outcome:
    """What is answered; `counted` is called after the commit of what was done."""

    data: BaseModel | Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    counted: Callable[[], None] = lambda: None

    @property
    def plain(self) -> Mapping[str, Any]:
        """The data as JSON has them."""
        if isinstance(self.data, BaseModel):
            return self.data.model_dump(mode="json")
        return self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route: who may call it (`role`, or everybody), with what, and what it answers.

    `errors` are the statuses beyond those that follow from the other fields. `idempotent` tells
    whether the header Idempotency-Key counts, `detached` that no connection is held meanwhile.
    """

    method: str
    path: str
    summary: str
    handler: Callable[[Call], Awaitable[Outcome]]
    role: Role | None
    answer: type[BaseModel]
    query: type[Fields] | None = None
    body: type[Fields] | None = None
    status: int = 200
    errors: tuple[int, ...] = ()
    idempotent: bool = False
    detached: bool = False


def missing(what: str) -> Refusal:
    """There is no such row."""
    return Refusal(404, "not_found", f"there is no {what} of this number")
