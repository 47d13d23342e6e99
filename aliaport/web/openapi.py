"""The OpenAPI document of all applications, served at /api/openapi.json."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web

from aliaport import __version__
from aliaport.apps import ApiDescription, App
from aliaport.host.discovery import RejectedError
from aliaport.plugin import Logger

PATH = "/api/openapi.json"

_ERROR_CODES: Mapping[int, tuple[str, ...]] = {
    404: ("not_found",),
    405: ("method_not_allowed",),
    422: ("invalid",),
    500: ("internal_error",),
    503: ("service_unavailable",),
}
"""Codes that every application can return: those of the service, and of `invalid_fields`."""

_FAULT = {
    "type": "object",
    "required": ["path", "message"],
    "properties": {
        "path": {
            "type": "string",
            "description": "Path of the field or parameter.",
            "examples": ["body.contact.email", "query.date"],
        },
        "message": {"type": "string", "description": "What is wrong with it."},
    },
}
_ERROR_KEYS: Mapping[str, Any] = {
    "message": {
        "type": "string",
        "description": "Explanation for people. Its wording can change.",
    },
    "request_id": {
        "type": "string",
        "description": "ID of this request in the service's logs.",
    },
    "trace_id": {
        "type": "string",
        "description": "ID of the trace that this request belongs to.",
    },
    "fields": {
        "type": "array",
        "description": "Up to 20 invalid fields or parameters (`invalid`).",
        "items": _FAULT,
    },
}
_DOCUMENT_OPERATION = {
    "operationId": "get_api_openapi_json",
    "summary": "Read this OpenAPI document",
    "description": "Requires no sign-in.",
    "responses": {
        "200": {
            "description": "Success",
            "content": {
                "application/json": {"schema": {"type": "object", "required": ["openapi"]}}
            },
        }
    },
}


def description_of(app: App) -> ApiDescription | None:
    """Return the application's description, if it has one. Raises RejectedError."""
    if app.describe is None:
        return None
    described: object = app.describe()
    if not isinstance(described, ApiDescription):
        reason = f"describe() returned {type(described).__name__}, not an ApiDescription"
        raise RejectedError("declare", reason, "return an aliaport.apps.ApiDescription")
    for path in described.paths:
        if not app.root_of(path):
            raise RejectedError(
                "declare",
                f"describe() returned the path {path}, which the application does not declare",
                f"describe paths below {', '.join(app.roots)} only",
            )
    try:
        _document([described])
    except TypeError as error:
        reason = f"describe() returned what JSON cannot express: {error}"
        raise RejectedError("declare", reason, "use dicts, lists, texts and numbers") from None
    return described


class OpenApi:
    """`GET /api/openapi.json`: one document for all applications that describe themselves."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._described: tuple[tuple[str, ApiDescription], ...] | None = None
        self._body = b""

    def document(self, described: Iterable[tuple[str, ApiDescription]]) -> bytes:
        """Return the document of these applications by name; built again if they change."""
        current = tuple(described)
        if current != self._described:
            self._described, self._body = current, _document(self._compatible(current))
        return self._body

    def _compatible(self, described: Iterable[tuple[str, ApiDescription]]) -> list[ApiDescription]:
        """Leave out a description that gives a name of an earlier one another meaning."""
        kept: list[ApiDescription] = []
        for name, description in described:
            conflicts = sorted(
                {
                    key
                    for earlier in kept
                    for ours, theirs in zip(_named(description), _named(earlier), strict=True)
                    for key in ours.keys() & theirs.keys()
                    if ours[key] != theirs[key]
                }
            )
            if conflicts:
                names = ", ".join(conflicts)
                reason = f"another application describes these names differently: {names}"
                self._log.warning("app.not_described", app=name, reason=reason)
            else:
                kept.append(description)
        return kept


def respond_with(document: bytes) -> web.Response:
    """Return the response with the document, which may be cached for a minute."""
    return web.Response(
        body=document,
        content_type="application/json",
        headers={"Cache-Control": "public, max-age=60"},
    )


def _named(description: ApiDescription) -> tuple[Mapping[str, Any], ...]:
    return (
        description.paths,
        description.schemas,
        description.security_schemes,
        description.error_details,
    )


def _document(descriptions: list[ApiDescription]) -> bytes:
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Error": _error(descriptions)}
    security_schemes: dict[str, Any] = {}
    for description in descriptions:
        paths |= description.paths
        schemas |= description.schemas
        security_schemes |= description.security_schemes
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Aliaport",
            "version": __version__,
            "description": "\n\n".join(description.summary for description in descriptions),
        },
        "paths": {**paths, PATH: {"get": _DOCUMENT_OPERATION}},
        "components": {"schemas": schemas, "securitySchemes": security_schemes},
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _error(descriptions: list[ApiDescription]) -> dict[str, Any]:
    codes = {status: list(known) for status, known in _ERROR_CODES.items()}
    details: dict[str, Any] = {}
    for description in descriptions:
        details |= description.error_details
        for status, added in description.error_codes.items():
            known = codes.setdefault(status, [])
            known += [code for code in added if code not in known]
    listed = " ".join(
        f"{status}: {', '.join(f'`{code}`' for code in found)}."
        for status, found in sorted(codes.items())
    )
    code = {"type": "string", "description": f"Stable code for programs. {listed}"}
    error = {
        "type": "object",
        "required": ["code", "message"],
        "properties": {**details, "code": code, **_ERROR_KEYS},
    }
    return {
        "description": "The body of every error response.",
        "type": "object",
        "required": ["success", "error"],
        "properties": {"success": {"const": False}, "error": error},
    }
