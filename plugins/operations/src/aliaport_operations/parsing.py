"""Reads a request: its body in time and bounded, its fields validated, its path's number."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from aliaport.apps import Refusal
from aliaport_operations.text import HINTS

MOST_BODY = 65_536
"""Bytes."""

_MOST_FAULTS = 20
_WORDS = {"extra_forbidden": "is unknown", "missing": "is missing"}


class Fields(BaseModel):
    """Base of all bodies and queries: unknown fields are refused, numbers are not read as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


FieldsT = TypeVar("FieldsT", bound=Fields)


async def read_body(request: web.Request, timeout: float) -> bytes:
    """The body, which must be JSON by its name. Raises Refusal (400, 408, 413, 415)."""
    if (
        request.content_type != "application/json"
        or (request.charset or "utf-8").lower() != "utf-8"
    ):
        raise Refusal(
            415, "unsupported_media_type", "send JSON in UTF-8: Content-Type: application/json"
        )
    if "Content-Encoding" in request.headers:
        raise Refusal(415, "unsupported_media_type", "send the body as it is, not compressed")
    too_large = Refusal(413, "too_large", f"a body has at most {MOST_BODY} bytes")
    if request.content_length is not None and request.content_length > MOST_BODY:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(timeout):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MOST_BODY:
                    raise too_large
    except (web.RequestPayloadError, ConnectionError):
        raise Refusal(400, "malformed", "the body did not arrive whole") from None
    except TimeoutError:
        text = f"the body did not arrive within {timeout:g} s"
        raise Refusal(408, "timeout", text, headers={"Connection": "close"}) from None
    return bytes(body)


def body_as(model: type[FieldsT], body: bytes) -> FieldsT:
    """The validated body. Raises Refusal (400, 422)."""
    try:
        data = json.loads(
            body.decode(),
            object_pairs_hook=_without_doubles,
            parse_constant=_no,
            parse_float=_number,
        )
    except (ValueError, RecursionError) as error:
        reason = "no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:200]
        raise Refusal(400, "malformed", f"the body is no valid JSON: {reason}") from None
    try:
        return model.model_validate_json(_encoded(data), strict=True)
    except ValidationError as error:
        raise _invalid("body", error) from None


def query_as(model: type[FieldsT], query: MultiMapping[str]) -> FieldsT:
    """The validated query. Raises Refusal (422)."""
    for name in query:
        if len(query.getall(name)) > 1:
            fault = {"path": f"query.{name[:40]}", "message": "stands more than once"}
            raise _refusal([fault])
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise _invalid("query", error) from None


def number_of(request: web.Request) -> int:
    """The row's number in the path. Raises Refusal (404) where there can be no such row."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 16):
        raise Refusal(404, "not_found", "there is nothing of this number; it has digits only")
    return int(text)


def wrong_field(path: str, message: str) -> Refusal:
    """The refusal of one field, such as `body.account_id`."""
    return _refusal([{"path": path, "message": message}])


def _invalid(where: str, error: ValidationError) -> Refusal:
    faults = [
        {"path": ".".join((where, *map(_step, each["loc"]))), "message": _told(each)}
        for each in error.errors(include_url=False, include_input=False)
    ]
    return _refusal(faults)


def _refusal(faults: list[dict[str, str]]) -> Refusal:
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    text = f"{first['path']}: {first['message']}{more}"
    return Refusal(422, "invalid", text, fields=faults[:_MOST_FAULTS])


def _step(part: int | str) -> str:
    return str(part)[:40]


def _told(fault: ErrorDetails) -> str:
    if fault["type"] == "string_pattern_mismatch":
        return HINTS.get(fault["ctx"]["pattern"], fault["msg"])
    return _WORDS.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")


def _without_doubles(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _number(text: str) -> float | int:
    number = float(text)
    # To JSON 5.0 is an integer as 5 is.
    return int(number) if number.is_integer() else number


def _encoded(data: Any) -> bytes:
    try:
        return json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refusal(400, "malformed", "the body has half of a surrogate pair") from None
