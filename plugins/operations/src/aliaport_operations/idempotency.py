"""Repeated requests: the first response is stored in the same transaction as its changes."""

import hashlib
import json
from typing import Any

from aliaport.apps import Refusal
from aliaport.plugin import Counter
from aliaport_operations.responses import invalid_field
from aliaport_operations.routing import ApiRequest, ApiResponse, Handler

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

# A second request waits here for the commit of the first, since both insert the same row.
_CLAIM = """
INSERT INTO aliaport_operations_idempotency_keys (user_id, key, request_hash) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING true"""
_FIND = """
SELECT request_hash, status, answer FROM aliaport_operations_idempotency_keys
WHERE user_id = $1 AND key = $2"""
_KEEP = """
UPDATE aliaport_operations_idempotency_keys SET status = $3, answer = $4
WHERE user_id = $1 AND key = $2"""


def parse_key(values: list[str]) -> str | None:
    """Return the key in the header's values, or None. Raises Refusal (422)."""
    if not values:
        return None
    key = values[0]
    if len(values) > 1 or not (0 < len(key) <= 100 and key.isascii() and key.isprintable()):
        raise invalid_field(
            f"header.{HEADER}", "must be a single key of 1 to 100 printable ASCII characters"
        )
    return key


def request_hash(method: str, path: str, body: bytes) -> bytes:
    """Return a hash that distinguishes different requests with the same key."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()


async def run_once(request: ApiRequest, handler: Handler, replayed: Counter) -> ApiResponse:
    """Run `handler` in a transaction, or return the response to the first request with this key.

    A request that fails leaves nothing behind, not even its key. Raises Refusal (422) if the key
    was used for another request.
    """
    connection = request.connection
    async with connection.transaction():
        if request.idempotency_key is None:
            return await handler(request)
        key = (request.caller.id, request.idempotency_key)
        if await connection.fetchval(_CLAIM, *key, request.request_hash):
            response = await handler(request)
            await connection.execute(_KEEP, *key, response.status, _stored(response))
            return response
        row = await connection.fetchrow(_FIND, *key)
    if row is None:
        raise Refusal(
            409, "conflict", "the idempotency key has just expired; send the request again"
        )
    if row["request_hash"] != request.request_hash:
        raise invalid_field(
            f"header.{HEADER}",
            "was already used for another request; use a new key for each request",
        )
    stored: dict[str, Any] = json.loads(row["answer"])
    headers = {**stored["headers"], REPLAYED: "true"}
    return ApiResponse(stored["data"], row["status"], headers, replayed.inc)


def _stored(response: ApiResponse) -> str:
    return json.dumps({"data": response.json_data, "headers": dict(response.headers)})
