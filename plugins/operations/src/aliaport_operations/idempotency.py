"""Repeated requests: the first answer is stored in the transaction of what it tells of."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aliaport.apps import Refusal
from aliaport.plugin import Counter
from aliaport_operations.calls import Call, Outcome
from aliaport_operations.reading import wrong_field

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

# A second request waits here for the first one's commit, since both want the same row.
_CLAIM = """
INSERT INTO aliaport_operations_idempotency_keys (user_id, key, request_hash) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING true"""
_FIND = """
SELECT request_hash, status, answer FROM aliaport_operations_idempotency_keys
WHERE user_id = $1 AND key = $2"""
_KEEP = """
UPDATE aliaport_operations_idempotency_keys SET status = $3, answer = $4
WHERE user_id = $1 AND key = $2"""


def key_of(given: list[str]) -> str | None:
    """The key in the header's lines, if there is one. Raises Refusal (422)."""
    if not given:
        return None
    key = given[0]
    if len(given) > 1 or not (0 < len(key) <= 100 and key.isascii() and key.isprintable()):
        raise wrong_field(f"header.{HEADER}", "send one, of 1 to 100 printable ASCII characters")
    return key


def request_hash(method: str, path: str, body: bytes) -> bytes:
    """By which another request with the same key is noticed."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()


async def once(call: Call, write: Callable[[], Awaitable[Outcome]], replayed: Counter) -> Outcome:
    """Run `write` in a transaction, or return what the first request with the same key got.

    A first request that failed has left nothing behind, its key included. Raises Refusal (422)
    where the key was used for something else.
    """
    connection = call.connection
    async with connection.transaction():
        if call.idempotency_key is None:
            return await write()
        name = (call.caller.id, call.idempotency_key)
        if await connection.fetchval(_CLAIM, *name, call.request_hash):
            outcome = await write()
            await connection.execute(_KEEP, *name, outcome.status, _stored(outcome))
            return outcome
        row = await connection.fetchrow(_FIND, *name)
    if row is None:
        raise Refusal(409, "conflict", "the key was just forgotten; send the request again")
    if row["request_hash"] != call.request_hash:
        raise wrong_field(
            f"header.{HEADER}", "was used for another request; choose a new one for each"
        )
    answer: dict[str, Any] = json.loads(row["answer"])
    headers = {**answer["headers"], REPLAYED: "true"}
    return Outcome(answer["data"], row["status"], headers, replayed.inc)


def _stored(outcome: Outcome) -> str:
    return json.dumps({"data": outcome.plain, "headers": dict(outcome.headers)})
