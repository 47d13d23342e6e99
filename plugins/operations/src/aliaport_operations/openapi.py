"""The OpenAPI 3.1 document, generated from the routes and the models that validate them."""

import re
from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from aliaport import __version__
from aliaport_operations.idempotency import HEADER, REPLAYED
from aliaport_operations.routing import Route
from aliaport_operations.users import Role

PATH = "/api/openapi.json"

_REF = "#/components/schemas/{model}"
_PHRASES = {
    200: "Done",
    201: "Created",
    400: "The body is no JSON",
    401: "Nobody is signed in, or the credentials are wrong",
    403: "The role does not allow it, or the current password is wrong",
    404: "There is no such row",
    408: "The body came too slowly",
    409: "It does not fit to the state now; `code` says why",
    413: "The body is too large",
    415: "The body is not called JSON",
    422: "A field is wrong; `fields` says which and why",
    429: "Too many failed sign-ins; `Retry-After` says how long to wait",
    503: "Too busy, or the database does not answer; `Retry-After` says how long to wait",
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
    503: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
}
_ERROR = {
    "type": "object",
    "required": ["success", "error"],
    "properties": {
        "success": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "A constant word for programs."},
                "message": {"type": "string", "description": "A sentence for people."},
                "request_id": {"type": "string"},
                "trace_id": {"type": "string"},
                "version": {"type": "integer", "description": "What it is now (409)."},
                "changed_by": {"type": "string", "description": "Who was faster (409)."},
                "changed_at": {"type": "string", "format": "date-time"},
                "next_statuses": {
                    "type": "array",
                    "items": {"$ref": _REF.format(model="OrderStatus")},
                    "description": "What is allowed instead (409).",
                },
                "fields": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["path", "message"],
                        "properties": {
                            "path": {
                                "type": "string",
                                "description": "Such as body.contact.email.",
                            },
                            "message": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
}
_OWN = {
    "operationId": "get_api_openapi_json",
    "summary": "Read this document",
    "description": "For everybody.",
    "responses": {
        "200": {
            "description": "Done",
            "content": {
                "application/json": {"schema": {"type": "object", "required": ["openapi"]}}
            },
        }
    },
}


def describe(routes: Sequence[Route]) -> bytes:
    """Return the document as JSON."""
    inputs: set[type[BaseModel]] = {route.body for route in routes if route.body is not None}
    outputs = {route.response for route in routes}
    _, found = models_json_schema(
        [
            *((model, "validation") for model in sorted(inputs, key=_name)),
            *((model, "serialization") for model in sorted(outputs, key=_name)),
        ],
        ref_template=_REF,
    )
    schemas: dict[str, Any] = {"Error": _ERROR, **found["$defs"]}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    paths[PATH] = {"get": _OWN}
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Aliaport operations",
            "version": __version__,
            "description": "Accounts, work orders and gate logs of a port operator.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = []
    errors = {*route.errors, 422, 503}
    if "{id}" in route.path:
        errors.add(404)
        parameters.append(
            {
                "name": "id",
                "in": "path",
                "required": True,
                "schema": {"type": "integer", "minimum": 1, "maximum": 2**53 - 1},
            }
        )
    if route.query is not None:
        parameters += _query_parameters(route, schemas)
    if route.idempotent:
        parameters.append(
            {
                "name": HEADER,
                "in": "header",
                "description": "A repeated request with the same key gets the first one's answer.",
                "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,98}[!-~])?$"},
            }
        )
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^A-Za-z]+", "_", f"{route.method}{route.path}").strip("_").lower(),
        "summary": route.summary,
        "description": f"For {route.role}s and above." if route.role else "For everybody.",
        "parameters": parameters,
    }
    if route.body is not None:
        errors |= {400, 408, 413, 415}
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    if route.role is not None:
        errors.add(401)
        if route.role is not Role.VIEWER:
            errors.add(403)
        operation["security"] = [{"token": []}]
    success = {
        "type": "object",
        "required": ["success", "data"],
        "properties": {"success": {"const": True}, "data": _ref(route.response)},
    }
    responses = {str(route.status): _response(route.status, success)}
    for status in sorted(errors):
        responses[str(status)] = _response(status, {"$ref": _REF.format(model="Error")})
    if route.status == 201:
        responses["201"]["headers"] = {
            "Location": {"required": True, "schema": {"type": "string", "format": "uri-reference"}},
        }
        if route.idempotent:
            responses["201"]["headers"][REPLAYED] = {"schema": {"const": "true"}}
    operation["responses"] = responses
    return operation


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=_name(model))}


def _response(status: int, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": _PHRASES[status],
        "headers": _HEADERS.get(status, {}),
        "content": {"application/json": {"schema": schema}},
    }


def _query_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    assert route.query is not None
    schema = route.query.model_json_schema(ref_template=_REF)
    schemas.update(schema.get("$defs", {}))
    parameters = []
    for name, field in schema["properties"].items():
        # A query says None by leaving the parameter out.
        kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
        shown = dict(kinds[0]) | {
            key: value for key, value in field.items() if key in ("default", "format")
        }
        if shown.get("default", "") is None:
            del shown["default"]
        shown.pop("title", None)
        shown.pop("description", None)
        parameter = {"name": name, "in": "query", "schema": shown}
        if text := field.get("description") or kinds[0].get("description"):
            parameter["description"] = text
        parameters.append(parameter)
    return parameters
