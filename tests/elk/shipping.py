"""Turns a line into a document and sends it to `_bulk`, as Filebeat does with filebeat.yml."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import aiohttp


def expanded(flat: dict[str, Any]) -> dict[str, Any]:
    """Turn dotted keys into objects, as `expand_keys` does."""
    document: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        here = document
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return document


def action(line: bytes, dataset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the two lines of `_bulk` for one line of a file."""
    target: dict[str, Any] = {"_index": f"logs-aliaport.{dataset}-default"}
    try:
        fields = json.loads(line)
    except ValueError as error:
        fields = {
            "@timestamp": "2026-11-25T00:00:00.000Z",
            "message": line.decode(errors="replace"),
            "error.type": "json",
            "error.message": f"Error decoding JSON: {error}",
        }
    else:
        target["_id"] = fields.pop("event.id")
    fields["data_stream.type"] = "logs"
    fields["data_stream.dataset"] = f"aliaport.{dataset}"
    fields["data_stream.namespace"] = "default"
    return {"create": target}, expanded(fields)


async def ship(lines: Iterable[bytes], dataset: str, url: str, key: str) -> Counter[int]:
    """Post all lines at once, and return the number of lines by status."""
    pairs = [part for line in lines for part in action(line, dataset)]
    body = "".join(json.dumps(part, ensure_ascii=False) + "\n" for part in pairs)
    headers = {"Authorization": f"ApiKey {key}", "Content-Type": "application/x-ndjson"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
        session.post(f"{url}/_bulk", data=body.encode()) as response,
    ):
        response.raise_for_status()
        items = (await response.json())["items"]
    return Counter(item["create"]["status"] for item in items)
