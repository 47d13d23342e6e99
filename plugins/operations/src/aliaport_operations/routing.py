"""Requests and responses as handlers see them, and the decorator that declares a route."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from aliaport.postgres import Connection
from aliaport_operations.parsing import Fields
from aliaport_operations.sessions import Caller
from aliaport_operations.users import Role


@dataclass(slots=True, kw_only=True)
class ApiRequest:
    """A parsed and authorized request. `id` is the ID in the path.

    `caller` is set only on routes with a role, and `connection` only on those of them that are
    not detached; reading it elsewhere raises AttributeError.
    """

    address: str
    id: int = 0
    query: Any = None
    body: Any = None
    idempotency_key: str | None = None
    request_hash: bytes = b""
    caller: Caller = field(init=False, repr=False)
    connection: Connection = field(init=False, repr=False)


@dataclass(slots=True)
class ApiResponse:
    """A successful response. `on_commit` is called after its changes are committed."""

    data: BaseModel | Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    on_commit: Callable[[], None] = lambda: None

    @property
    def json_data(self) -> Mapping[str, Any]:
        """The data as JSON values."""
        if isinstance(self.data, BaseModel):
            return self.data.model_dump(mode="json")
        return self.data


Handler = Callable[[ApiRequest], Awaitable[ApiResponse]]
HandlerT = TypeVar("HandlerT", bound=Callable[[Any, ApiRequest], Awaitable[ApiResponse]])

_DECLARED = "declared_route"


@dataclass(frozen=True, slots=True)
class Route:
    """A route, used as a decorator of its handler: `@route(…)`.

    `role` is the lowest role that may call it; None needs no sign-in. `errors` are the error
    statuses that do not follow from the other fields. An `idempotent` route runs in a transaction
    and accepts the header Idempotency-Key; a `detached` one holds no database connection.
    """

    method: str
    path: str
    summary: str
    _: KW_ONLY
    role: Role | None
    response: type[BaseModel]
    query: type[Fields] | None = None
    body: type[Fields] | None = None
    status: int = 200
    errors: tuple[int, ...] = ()
    idempotent: bool = False
    detached: bool = False

    def __call__(self, handler: HandlerT) -> HandlerT:
        """Declare that `handler` serves this route."""
        setattr(handler, _DECLARED, self)
        return handler


route = Route


def routes_of(owner: object) -> list[tuple[Route, Handler]]:
    """Return the routes that the methods of `owner` declare, in source order."""
    return [(declared, getattr(owner, name)) for name, declared in _declared_by(type(owner))]


def routes_in(owners: Iterable[type]) -> list[Route]:
    """Return the routes that the methods of these classes declare, in source order."""
    return [declared for owner in owners for _, declared in _declared_by(owner)]


def _declared_by(owner: type) -> list[tuple[str, Route]]:
    return [
        (name, declared)
        for name, method in vars(owner).items()
        if (declared := getattr(method, _DECLARED, None)) is not None
    ]
