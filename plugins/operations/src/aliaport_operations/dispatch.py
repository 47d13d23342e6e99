"""Takes a request through what all routes have in common, and makes its answer."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from aliaport.apps import Refusal, client_address, data_answer
from aliaport.errors import AuditError
from aliaport.postgres import Connection
from aliaport_operations.calls import Call, Outcome, Route
from aliaport_operations.config import ApiConfig
from aliaport_operations.database import Database
from aliaport_operations.idempotency import HEADER, key_of, request_hash
from aliaport_operations.reading import body_as, number_of, query_as, read_body
from aliaport_operations.sessions import Sessions

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Dispatch:
    """Makes aiohttp's handlers out of routes.

    The body is read before a connection is lent, so that a slow caller holds none; who calls is
    known before anything is said about the body.
    """

    def __init__(self, options: ApiConfig, database: Database, sessions: Sessions) -> None:
        self._options = options
        self._database = database
        self._sessions = sessions

    def handler(self, route: Route) -> Handler:
        """The handler of one route."""

        async def handle(request: web.Request) -> web.Response:
            raw = b""
            unread: Refusal | None = None
            if route.body is not None:
                try:
                    raw = await read_body(request, self._options.body_timeout)
                except Refusal as refusal:
                    unread = refusal
            if route.role is None:
                call = _read(route, request, raw, unread)
                outcome = await _run(route, call)
            elif route.detached:
                async with self._database.connection() as connection:
                    call = await self._call(route, request, connection, raw, unread)
                call.lent = None
                outcome = await _run(route, call)
            else:
                async with self._database.connection() as connection:
                    call = await self._call(route, request, connection, raw, unread)
                    outcome = await _run(route, call)
            outcome.counted()
            return data_answer(outcome.plain, status=outcome.status, headers=outcome.headers)

        return handle

    async def _call(
        self,
        route: Route,
        request: web.Request,
        connection: Connection,
        raw: bytes,
        unread: Refusal | None,
    ) -> Call:
        caller = await self._sessions.caller(connection, request.headers.get("Authorization", ""))
        assert route.role is not None
        if not caller.role.covers(route.role):
            raise Refusal(
                403, "forbidden", f"a {caller.role} may not do this; it takes a {route.role}"
            )
        call = _read(route, request, raw, unread)
        call.lent, call.known = connection, caller
        return call


def _read(route: Route, request: web.Request, raw: bytes, unread: Refusal | None) -> Call:
    if unread is not None:
        raise unread
    # A header's bytes that are no UTF-8 could be neither stored nor logged.
    call = Call(address=client_address(request).encode(errors="replace").decode())
    if "id" in request.match_info:
        call.number = number_of(request)
    if route.idempotent:
        call.idempotency_key = key_of(request.headers.getall(HEADER, []))
        call.request_hash = request_hash(request.method, request.path, raw)
    if route.query is not None:
        call.query = query_as(route.query, request.query)
    elif request.query:
        raise Refusal(422, "invalid", "this path has no query parameters")
    if route.body is not None:
        call.body = body_as(route.body, raw)
    return call


async def _run(route: Route, call: Call) -> Outcome:
    try:
        return await route.handler(call)
    except AuditError:
        raise Refusal(
            503,
            "audit_unavailable",
            "nothing was done, since it could not be recorded; try again",
            headers={"Retry-After": "5"},
        ) from None
