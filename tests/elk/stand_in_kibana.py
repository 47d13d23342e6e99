"""The part of the stand-in that is Kibana: saved objects, imported and exported."""

import json
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs

from tests.support.stand_in import Reply, Request


class Kibana:
    """Keeps saved objects; `answer` stands for what a real one says when it fails."""

    def __init__(self) -> None:
        self.version = "9.5.1"
        self.saved: dict[tuple[str, str], dict[str, Any]] = {}
        self.answer: dict[str, Any] | None = None

    def status(self, request: Request) -> Reply:
        return Reply.json({"version": {"number": self.version}})

    def export_objects(self, request: Request) -> Reply:
        types = request.json()["type"]
        found = [each for each in self.saved.values() if each["type"] in types]
        body = "\n".join(json.dumps(each) for each in found).encode()
        return Reply(body=body, headers={"Content-Type": "application/ndjson"})

    def import_objects(self, request: Request) -> Reply:
        if "kbn-xsrf" not in request.headers:
            return Reply.json({"message": "Request must contain a kbn-xsrf header"}, 400)
        if self.answer is not None:
            return Reply.json(self.answer)
        objects = [json.loads(line) for line in _uploaded(request).splitlines() if line]
        known = {*self.saved, *((each["type"], each["id"]) for each in objects)}
        overwrite = parse_qs(request.url.query).get("overwrite") == ["true"]
        errors = [
            {"type": each["type"], "id": each["id"], "error": {"type": "conflict"}}
            for each in objects
            if (each["type"], each["id"]) in self.saved and not overwrite
        ] or [
            {"type": each["type"], "id": each["id"], "error": {"type": "missing_references"}}
            for each in objects
            if any((to["type"], to["id"]) not in known for to in each["references"])
        ]
        if not errors:
            for each in objects:
                attributes = {**each["attributes"], "addedByKibana": ["something"]}
                self.saved[each["type"], each["id"]] = {**each, "attributes": attributes}
        count = len(objects) - len(errors)
        answer = {"success": not errors, "successCount": count, "warnings": []}
        return Reply.json({**answer, **({"errors": errors} if errors else {})})


def _uploaded(request: Request) -> bytes:
    """Return the file that a form of type multipart/form-data holds."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n"
    form = BytesParser().parsebytes(head.encode() + request.body)
    (part,) = (each for each in form.walk() if not each.is_multipart())
    assert part.get_param("name", header="Content-Disposition") == "file"
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content
