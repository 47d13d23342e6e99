"""Builds responses: JSON that must not be stored, and the common error format."""

from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from aliaport.correlation import REQUEST
from aliaport.host import report
from aliaport.web.headers import HEADERS

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
JSON_HEADERS = CIMultiDictProxy(CIMultiDict(HEADERS, **{"Content-Type": JSON}))
"""aiohttp copies them for each response."""


def json_response(
    body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return a JSON response."""
    given = {**JSON_HEADERS, **headers} if headers else JSON_HEADERS
    return web.Response(body=orjson.dumps(body), status=status, headers=given)


def body_response(body: bytes, content_type: str) -> web.Response:
    """Return a response with a body that is rendered already."""
    return web.Response(body=body, headers={**HEADERS, "Content-Type": content_type})


def text_response(
    text: str, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return a plain text response."""
    return web.Response(text=text, status=status, headers={**HEADERS, **(headers or {})})


def error_response(
    status: int,
    code: str,
    message: str,
    headers: dict[str, str] | None = None,
    details: dict[str, Any] | None = None,
) -> web.Response:
    """Return an error in the common format; `details` are further keys beside the message.

    It includes the request's IDs, so that whoever reports the error can name it.
    """
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": "1", **(headers or {})}
    body = report.error(code, message, {**(details or {}), **request_ids()})
    return json_response(body, status, headers)


def request_ids() -> dict[str, str]:
    """Return the request's IDs for an error body, so that its log lines can be found."""
    identity = REQUEST.get()
    if identity is None:
        return {}
    return {"request_id": identity.request_id, "trace_id": identity.trace_id}
