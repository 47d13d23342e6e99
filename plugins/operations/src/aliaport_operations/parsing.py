"""Parsing of requests: a body of bounded size and time, validated fields, the ID in the path."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from aliaport.apps import Refusal, invalid_fields
from aliaport_operations.text import HINTS

MAX_BODY_BYTES = 65_536

_MESSAGES = {"extra_forbidden": "is unknown", "missing": "is missing"}


class Fields(BaseModel):
    """Base of all bodies and queries. Unknown fields are refused, and so are numbers for text."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


FieldsT = TypeVar("FieldsT", bound=Fields)


async def read_body(request: web.Request, timeout: float) -> bytes:
    """Read the body, which must be declared as JSON. Raises Refusal (400, 408, 413, 415)."""
    if (
        request.content_type != "application/json"
        or (request.charset or "utf-8").lower() != "utf-8"
    ):
        text = "the request body must be UTF-8 JSON, sent as `application/json`"
        raise Refusal(415, "unsupported_media_type", text)
    if "Content-Encoding" in request.headers:
        text = "the request body must not be compressed; remove the Content-Encoding header"
        raise Refusal(415, "unsupported_media_type", text)
    too_large = Refusal(
        413, "too_large", f"the request body must have at most {MAX_BODY_BYTES} bytes"
    )
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(timeout):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise too_large
    except (web.RequestPayloadError, ConnectionError):
        raise Refusal(400, "malformed", "the request body is incomplete") from None
    except TimeoutError:
        text = f"the request body did not arrive within {timeout:g} s"
        raise Refusal(408, "timeout", text, headers={"Connection": "close"}) from None
    return bytes(body)


def parse_body(model: type[FieldsT], body: bytes) -> FieldsT:
    """Validate the body. Raises Refusal (400, 422)."""
    try:
        data = json.loads(
            body.decode(),
            object_pairs_hook=_unique_names,
            parse_constant=_reject_constant,
            parse_float=_parse_number,
        )
    except (ValueError, RecursionError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:200]
        raise Refusal(400, "malformed", f"the request body is not valid JSON: {reason}") from None
    try:
        return model.model_validate_json(_encoded(data), strict=True)
    except ValidationError as error:
        raise _invalid("body", error) from None


def parse_query(model: type[FieldsT], query: MultiMapping[str]) -> FieldsT:
    """Validate the query. Raises Refusal (422)."""
    for name in query:
        if len(query.getall(name)) > 1:
            fault = {"path": f"query.{name[:40]}", "message": "is given more than once"}
            raise invalid_fields([fault])
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise _invalid("query", error) from None


def unexpected_query(query: MultiMapping[str]) -> Refusal:
    """Return the error for a query of a path that takes none."""
    message = "this path takes no query parameters"
    return invalid_fields(
        [{"path": f"query.{name[:40]}", "message": message} for name in dict.fromkeys(query)]
    )


def parse_id(request: web.Request) -> int:
    """Return the ID in the path. Raises Refusal (404) if no row can have it."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 16):
        raise Refusal(404, "not_found", "not found: IDs consist of at most 16 digits")
    return int(text)


def _invalid(where: str, error: ValidationError) -> Refusal:
    faults = [
        {"path": ".".join((where, *map(_path_part, fault["loc"]))), "message": _message(fault)}
        for fault in error.errors(include_url=False, include_input=False)
    ]
    return invalid_fields(faults)


def _path_part(part: int | str) -> str:
    return str(part)[:40]


def _message(fault: ErrorDetails) -> str:
    if fault["type"] == "string_pattern_mismatch":
        return HINTS.get(fault["ctx"]["pattern"], fault["msg"])
    return _MESSAGES.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")


def _unique_names(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("duplicate name in an object")
    return found


def _reject_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _parse_number(text: str) -> float | int:
    number = float(text)
    # JSON does not distinguish 5.0 from 5.
    return int(number) if number.is_integer() else number


def _encoded(data: Any) -> bytes:
    try:
        return json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refusal(400, "malformed", "the request body contains an unpaired surrogate") from None
