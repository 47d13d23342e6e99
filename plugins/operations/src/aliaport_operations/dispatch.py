"""Turns an aiohttp request into an API response, in the same way for all routes."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from aliaport.apps import Refusal, client_address, data_response
from aliaport.errors import AuditError
from aliaport.plugin import Counter, Logger
from aliaport.postgres import Connection
from aliaport_operations.config import ApiConfig
from aliaport_operations.database import Database
from aliaport_operations.idempotency import HEADER, parse_key, request_hash, run_once
from aliaport_operations.parsing import (
    parse_body,
    parse_id,
    parse_query,
    read_body,
    unexpected_query,
)
from aliaport_operations.routing import ApiRequest, ApiResponse, Handler, Route
from aliaport_operations.sessions import Caller, Sessions, forbidden
from aliaport_operations.users import Role

WebHandler = Callable[[web.Request], Awaitable[web.Response]]


class Dispatcher:
    """Builds aiohttp handlers from routes.

    The body is read before a connection is acquired, so that a slow caller does not hold one.
    Faults of the body are reported only to callers that may send it.
    """

    def __init__(
        self,
        options: ApiConfig,
        database: Database,
        sessions: Sessions,
        replayed: Counter,
        log: Logger,
    ) -> None:
        self._options = options
        self._database = database
        self._sessions = sessions
        self._replayed = replayed
        self._log = log

    def web_handler(self, route: Route, handler: Handler) -> WebHandler:
        """Return the aiohttp handler of one route."""

        async def handle(request: web.Request) -> web.Response:
            body = await self._read_body(route, request)
            if route.role is None:
                parsed = _parse(route, request, body)
                response = await self._run(route, handler, parsed)
            elif route.detached:
                async with self._database.connection() as connection:
                    parsed = await self._authorized(route, route.role, request, body, connection)
                response = await self._run(route, handler, parsed)
            else:
                async with self._database.connection() as connection:
                    parsed = await self._authorized(route, route.role, request, body, connection)
                    parsed.connection = connection
                    response = await self._run(route, handler, parsed)
            response.on_commit()
            return data_response(
                response.json_data, status=response.status, headers=response.headers
            )

        return handle

    async def _read_body(self, route: Route, request: web.Request) -> bytes | Refusal:
        if route.body is None:
            return b""
        try:
            return await read_body(request, self._options.body_timeout)
        except Refusal as refusal:
            return refusal

    async def _authorized(
        self,
        route: Route,
        role: Role,
        request: web.Request,
        body: bytes | Refusal,
        connection: Connection,
    ) -> ApiRequest:
        caller = await self._sessions.caller(connection, request.headers.get("Authorization", ""))
        if not caller.role.covers(role):
            self._log_forbidden(route, caller)
            text = f"this requires at least the role {role}; your role is {caller.role}"
            raise forbidden(text)
        parsed = _parse(route, request, body)
        parsed.caller = caller
        return parsed

    async def _run(self, route: Route, handler: Handler, request: ApiRequest) -> ApiResponse:
        try:
            if route.idempotent:
                return await run_once(request, handler, self._replayed)
            return await handler(request)
        except AuditError:
            raise Refusal(
                503,
                "audit_unavailable",
                "nothing was changed, because the audit log cannot be written; try again",
                headers={"Retry-After": "5"},
            ) from None
        except Refusal as refusal:
            if refusal.code == "forbidden":
                self._log_forbidden(route, request.caller)
            raise

    def _log_forbidden(self, route: Route, caller: Caller) -> None:
        self._log.warning(
            "user.forbidden",
            user=caller.name,
            role=str(caller.role),
            **{"http.request.method": route.method, "aliaport.endpoint": route.path},
        )


def _parse(route: Route, request: web.Request, body: bytes | Refusal) -> ApiRequest:
    if isinstance(body, Refusal):
        raise body
    # Header bytes that are not UTF-8 could neither be stored nor logged.
    parsed = ApiRequest(address=client_address(request).encode(errors="replace").decode())
    if "id" in request.match_info:
        parsed.id = parse_id(request)
    if route.idempotent:
        parsed.idempotency_key = parse_key(request.headers.getall(HEADER, []))
        parsed.request_hash = request_hash(request.method, request.path, body)
    if route.query is not None:
        parsed.query = parse_query(route.query, request.query)
    elif request.query:
        raise unexpected_query(request.query)
    if route.body is not None:
        parsed.body = parse_body(route.body, body)
    return parsed
