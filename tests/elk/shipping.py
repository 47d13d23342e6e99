"""How Filebeat, as filebeat.yml sets it, makes a document of a line and hands it to `_bulk`."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import aiohttp


def expanded(flat: dict[str, Any]) -> dict[str, Any]:
    """`expand_keys`: dotted keys become objects."""
    document: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        here = document
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return document


def action(line: bytes, dataset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two lines of `_bulk` for one line of a file."""
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
    """Post all lines at once; how many got which status."""
    pairs = [part for line in lines for part in action(line, dataset)]
    body = "".join(json.dumps(part, ensure_ascii=False) + "\n" for part in pairs)
    headers = {"Authorization": f"ApiKey {key}", "Content-Type": "application/x-ndjson"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
        session.post(f"{url}/_bulk", data=body.encode()) as answer,
    ):
        answer.raise_for_status()
        items = (await answer.json())["items"]
    return Counter(item["create"]["status"] for item in items)
