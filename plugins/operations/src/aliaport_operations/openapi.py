"""The description for OpenAPI, generated from the routes and the models that validate them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from aliaport.apps import ERROR_SCHEMA, ApiDescription
from aliaport_operations.idempotency import HEADER, REPLAYED
from aliaport_operations.parsing import MAX_BODY_BYTES
from aliaport_operations.routing import Route
from aliaport_operations.users import Role

_ROLE_TEXTS = {
    None: "Requires no sign-in.",
    Role.VIEWER: "Requires the role viewer, clerk or admin.",
    Role.CLERK: "Requires the role clerk or admin.",
    Role.ADMIN: "Requires the role admin.",
}
_REF = "#/components/schemas/{model}"
_STATUS_TEXTS = {
    200: "Success",
    201: "Created",
    400: "The request body is not valid JSON",
    401: "The token is missing, invalid or expired",
    403: "The role does not allow this, or the current password is wrong",
    404: "Not found",
    408: "The request body did not arrive in time",
    409: "The request conflicts with the current state; see `code`",
    413: f"The request body has more than {MAX_BODY_BYTES:,} bytes",
    415: "The request body must be sent as `application/json`, in UTF-8 and uncompressed",
    422: "A field or parameter is invalid; see `fields`",
    429: "Too many failed sign-ins; try again after `Retry-After` seconds",
    503: "Overloaded, or a dependency is not available; try again after `Retry-After` seconds",
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
    503: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
}
_ERROR_CODES = {
    400: ("malformed",),
    401: ("not_signed_in", "wrong_credentials"),
    403: ("forbidden", "wrong_password"),
    404: ("not_found",),
    408: ("timeout",),
    409: (
        *("version_conflict", "code_taken", "already", "account_deactivated", "work_order_ended"),
        *("transition_not_allowed", "already_corrected", "conflict"),
    ),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    429: ("too_many_attempts",),
    503: ("overloaded", "database_unavailable", "statement_timeout", "audit_unavailable"),
}
_ERROR_DETAILS = {
    "version": {
        "type": "integer",
        "description": "The current version (`version_conflict`).",
    },
    "changed_by": {
        "type": "string",
        "description": "The user who saved the current version (`version_conflict`).",
    },
    "changed_at": {
        "type": "string",
        "format": "date-time",
        "description": "When the current version was saved (`version_conflict`).",
    },
    "next_statuses": {
        "type": "array",
        "items": {"$ref": _REF.format(model="OrderStatus")},
        "description": "The allowed statuses (`transition_not_allowed`).",
    },
}
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "The `token` of `POST /auth/login`.",
}


def describe(routes: Sequence[Route]) -> ApiDescription:
    """Return the description of the routes."""
    inputs: set[type[BaseModel]] = {route.body for route in routes if route.body is not None}
    outputs = {route.response for route in routes}
    _, generated = models_json_schema(
        [
            *((model, "validation") for model in sorted(inputs, key=_name)),
            *((model, "serialization") for model in sorted(outputs, key=_name)),
        ],
        ref_template=_REF,
    )
    schemas: dict[str, Any] = dict(generated["$defs"])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return ApiDescription(
        summary="Accounts, work orders and gate logs of a port operator: sign in with "
        "`POST /auth/login`, then send `Authorization: Bearer <token>` with each request.",
        paths=paths,
        schemas=schemas,
        security_schemes={"token": _TOKEN},
        error_codes=_ERROR_CODES,
        error_details=_ERROR_DETAILS,
    )


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
                "description": "Repeat a request with the same key to get the stored response "
                "to the first one instead of a second row.",
                "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,98}[!-~])?$"},
            }
        )
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^A-Za-z]+", "_", f"{route.method}{route.path}").strip("_").lower(),
        "summary": route.summary,
        "description": _ROLE_TEXTS[route.role],
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
        responses[str(status)] = _response(status, ERROR_SCHEMA)
    if route.status == 201:
        responses["201"]["headers"] = {
            "Location": {"required": True, "schema": {"type": "string", "format": "uri-reference"}},
        }
        if route.idempotent:
            responses["201"]["headers"][REPLAYED] = {"schema": {"const": "true"}}
    if route.role is None and 401 in errors:
        responses["401"]["description"] = "The user name or the password is wrong"
    operation["responses"] = responses
    return operation


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=_name(model))}


def _response(status: int, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "description": _STATUS_TEXTS[status],
        "headers": _HEADERS.get(status, {}),
        "content": {"application/json": {"schema": schema}},
    }


def _query_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    assert route.query is not None
    schema = route.query.model_json_schema(ref_template=_REF)
    schemas.update(schema.get("$defs", {}))
    parameters = []
    for name, field in schema["properties"].items():
        # A query expresses None by omitting the parameter.
        kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
        plain = dict(kinds[0]) | {
            key: value for key, value in field.items() if key in ("default", "format")
        }
        if plain.get("default", "") is None:
            del plain["default"]
        plain.pop("title", None)
        plain.pop("description", None)
        parameter = {"name": name, "in": "query", "schema": plain}
        if text := field.get("description") or kinds[0].get("description"):
            parameter["description"] = text
        parameters.append(parameter)
    return parameters
