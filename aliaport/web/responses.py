"""How answers are written: JSON that nobody stores, and the one shape of errors."""

from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from aliaport.correlation import REQUEST
from aliaport.host import report

NO_STORE = {"Cache-Control": "no-store"}


def json_response(
    body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A JSON answer."""
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        headers={**NO_STORE, **(headers or {})},
        content_type="application/json",
    )


def text_response(
    text: str, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A plain text answer."""
    return web.Response(text=text, status=status, headers={**NO_STORE, **(headers or {})})


def error_response(
    status: int,
    code: str,
    message: str,
    headers: dict[str, str] | None = None,
    details: dict[str, Any] | None = None,
) -> web.Response:
    """An error in the one shape that all have; `details` are further keys beside the message.

    The identity of the request stands there too, so that who reports an error can name it.
    """
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": "1", **(headers or {})}
    body = report.error(code, message, {**(details or {}), **request_ids()})
    return json_response(body, status, headers)


def request_ids() -> dict[str, str]:
    """What an error body says of the request, so that the log lines about it are found."""
    identity = REQUEST.get()
    if identity is None:
        return {}
    return {"request_id": identity.request_id, "trace_id": identity.trace_id}
