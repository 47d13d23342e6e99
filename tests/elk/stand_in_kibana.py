"""The part of the stand-in that is Kibana: saved objects, imported and exported."""

import json
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs

from tests.support.stand_in import Reply, Request


class Kibana:
    """A store of saved objects; `failure`, if set, is the response to an import."""

    def __init__(self) -> None:
        self.version = "9.5.1"
        self.saved: dict[tuple[str, str], dict[str, Any]] = {}
        self.failure: dict[str, Any] | None = None

    def status(self, request: Request) -> Reply:
        return Reply.json({"version": {"number": self.version}})

    def export_objects(self, request: Request) -> Reply:
        types = request.json()["type"]
        found = [item for item in self.saved.values() if item["type"] in types]
        body = "\n".join(json.dumps(item) for item in found).encode()
        return Reply(body=body, headers={"Content-Type": "application/ndjson"})

    def import_objects(self, request: Request) -> Reply:
        if "kbn-xsrf" not in request.headers:
            return Reply.json({"message": "Request must contain a kbn-xsrf header"}, 400)
        if self.failure is not None:
            return Reply.json(self.failure)
        objects = [json.loads(line) for line in _uploaded(request).splitlines() if line]
        known = {*self.saved, *((item["type"], item["id"]) for item in objects)}
        overwrite = parse_qs(request.url.query).get("overwrite") == ["true"]
        errors = [
            {"type": item["type"], "id": item["id"], "error": {"type": "conflict"}}
            for item in objects
            if (item["type"], item["id"]) in self.saved and not overwrite
        ] or [
            {"type": item["type"], "id": item["id"], "error": {"type": "missing_references"}}
            for item in objects
            if any((to["type"], to["id"]) not in known for to in item["references"])
        ]
        if not errors:
            for item in objects:
                attributes = {**item["attributes"], "addedByKibana": ["something"]}
                self.saved[item["type"], item["id"]] = {**item, "attributes": attributes}
        count = len(objects) - len(errors)
        result = {"success": not errors, "successCount": count, "warnings": []}
        return Reply.json({**result, **({"errors": errors} if errors else {})})


def _uploaded(request: Request) -> bytes:
    """Return the file in a form of type multipart/form-data."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n"
    form = BytesParser().parsebytes(head.encode() + request.body)
    (part,) = (node for node in form.walk() if not node.is_multipart())
    assert part.get_param("name", header="Content-Disposition") == "file"
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content
