"""The part of the stand-in that is Kibana: saved objects, imported and exported."""

import json
from typing import Any

from aiohttp import BodyPartReader, web


class Kibana:
    """Keeps saved objects; `answer` stands for what a real one says when it fails."""

    def __init__(self) -> None:
        self.version = "9.5.1"
        self.saved: dict[tuple[str, str], dict[str, Any]] = {}
        self.answer: dict[str, Any] | None = None

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/kibana/api/status", self._status)
        app.router.add_post("/kibana/api/saved_objects/_export", self._export)
        app.router.add_post("/kibana/api/saved_objects/_import", self._import)

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response({"version": {"number": self.version}})

    async def _export(self, request: web.Request) -> web.Response:
        types = (await request.json())["type"]
        found = [each for each in self.saved.values() if each["type"] in types]
        return web.Response(
            text="\n".join(json.dumps(each) for each in found), content_type="application/ndjson"
        )

    async def _import(self, request: web.Request) -> web.Response:
        if "kbn-xsrf" not in request.headers:
            return web.json_response(
                {"message": "Request must contain a kbn-xsrf header"}, status=400
            )
        if self.answer is not None:
            return web.json_response(self.answer)
        part = await (await request.multipart()).next()
        assert isinstance(part, BodyPartReader)
        assert part.name == "file"
        objects = [json.loads(line) for line in (await part.text()).splitlines() if line]
        known = {*self.saved, *((each["type"], each["id"]) for each in objects)}
        overwrite = request.query.get("overwrite") == "true"
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
        return web.json_response({**answer, **({"errors": errors} if errors else {})})
