"""A stand-in for Elasticsearch and Kibana: real HTTP on the loopback, as strict as `setup` needs it.

It responds in the format of the real ones (defaults added, numbers as text, creation times), and
refuses what they refuse: unknown users, templates without their parts, streams without a template,
a second document with the same ID. It runs the pipeline with the model in `ingest` and ignores mappings.
"""

import base64
import json
import re
import ssl
import threading
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

from tests.elk.ingest import processed
from tests.elk.stand_in_kibana import Kibana
from tests.support import stand_in
from tests.support.stand_in import Reply, Request

USER, PASSWORD = "elastic", "correct-horse-Ğ"
ADMIN_KEY = "admin-id:admin-key"
NOW = "2026-11-25T04:01:23.000Z"
KINDS = {
    "_component_template": "component_template",
    "_index_template": "index_template",
    "_ingest/pipeline": "",
    "_security/role": "",
}


def refused(status: int, kind: str, text: str) -> Reply:
    """Return an error in Elasticsearch's format."""
    return Reply.json({"error": {"type": kind, "reason": text}, "status": status}, status)


def spelled(body: Any) -> Any:
    """Return a stored object as the server returns it."""
    if isinstance(body, dict):
        shown = {key: spelled(value) for key, value in body.items()}
        if "data_retention" in shown:
            shown |= {"enabled": True, "effective_retention": shown["data_retention"]}
            shown["retention_determined_by"] = "data_stream_configuration"
        if "limit" in shown:
            shown["limit"] = str(shown["limit"])
        if "index_patterns" in shown:
            shown["data_stream"] = {"hidden": False, "allow_custom_routing": False}
            shown["created_date_millis"] = 1764043200000
        if "names" in shown:
            shown["allow_restricted_indices"] = False
        return shown
    return [spelled(item) for item in body] if isinstance(body, list) else body


class StandIn(stand_in.StandIn):
    """Both servers: `with StandIn() as server`, at `server.url` and `server.kibana_url`."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.version = "9.5.1"
        self.objects: dict[str, dict[str, Any]] = {}
        self.streams: dict[str, dict[str, Any]] = {}
        self.documents: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = dict([ADMIN_KEY.split(":")])
        self.hanging = False
        self.forbidden = ""
        self.kibana = Kibana()
        self._stopped = threading.Event()
        self._routes: list[tuple[str, str, Callable[..., Reply]]] = [
            ("GET", "/", self._root),
            *(("GET", f"/{path}/([^/]+)", self._get) for path in KINDS),
            *(("PUT", f"/{path}/[^/]+", self._put) for path in KINDS),
            ("POST", "/_security/api_key", self._api_key),
            ("GET", "/_data_stream/([^/]+)", self._get_stream),
            ("PUT", "/_data_stream/([^/]+)", self._put_stream),
            ("PUT", "/_data_stream/([^/]+)/_lifecycle", self._put_lifecycle),
            ("PUT", "/_data_stream/([^/]+)/_options", self._put_options),
            ("GET", "/([^/]+)/_alias", self._get_alias),
            ("POST", "/_aliases", self._post_aliases),
            ("POST", "/([^/]+)/_rollover", self._rollover),
            ("POST", "/_bulk", self._bulk),
            ("GET", "/kibana/api/status", self.kibana.status),
            ("POST", "/kibana/api/saved_objects/_export", self.kibana.export_objects),
            ("POST", "/kibana/api/saved_objects/_import", self.kibana.import_objects),
        ]
        super().__init__(context)

    def stop(self) -> None:
        self._stopped.set()
        super().stop()

    @property
    def kibana_url(self) -> str:
        return f"{self.url}/kibana"

    def changes(self) -> list[str]:
        """Return the requests that could have changed something."""
        sent = [f"{request.method} {request.target}" for request in self.requests]
        return [entry for entry in sent if not entry.startswith("GET ") and "_export" not in entry]

    def reply_to(self, request: Request) -> Reply:
        if self.hanging:
            self._stopped.wait()
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        allowed = {
            "Basic": [f"{USER}:{PASSWORD}"],
            "ApiKey": [":".join(k) for k in self.keys.items()],
        }
        if base64.b64decode(secret or "").decode() not in allowed.get(kind, []):
            return refused(401, "security_exception", "unable to authenticate user")
        path = request.url.path
        if self.forbidden and path.startswith(self.forbidden):
            return refused(403, "security_exception", f"action [{path}] is unauthorized")
        for method, pattern, respond in self._routes:
            if method == request.method and (found := re.fullmatch(pattern, path)):
                return respond(request, *found.groups())
        return refused(405, "method_not_allowed", f"no handler for {request.method} {path}")

    def _root(self, request: Request) -> Reply:
        return Reply.json({"version": {"number": self.version}})

    def _get(self, request: Request, name: str) -> Reply:
        path = request.url.path.strip("/")
        if path not in self.objects:
            return Reply.json({}, 404)
        body = spelled(self.objects[path])
        kind = KINDS[path.rpartition("/")[0]]
        if kind:
            return Reply.json({f"{kind}s": [{"name": name, kind: body}]})
        if path.startswith("_security"):
            body |= {"run_as": [], "metadata": {}, "transient_metadata": {"enabled": True}}
            body.setdefault("applications", [])
        return Reply.json({name: body})

    def _put(self, request: Request) -> Reply:
        body = request.json()
        for part in body.get("composed_of", []):
            if f"_component_template/{part}" not in self.objects:
                return refused(400, "illegal_argument_exception", f"no component template [{part}]")
        self.objects[request.url.path.strip("/")] = body
        return Reply.json({"acknowledged": True})

    def _api_key(self, request: Request) -> Reply:
        body = request.json()
        if request.headers["Authorization"].startswith("ApiKey") and body["role_descriptors"]:
            return refused(400, "illegal_argument_exception", "derived keys have no privileges")
        key = f"key-{len(self.keys)}"
        self.keys[key] = "never-show-this"
        return Reply.json({"id": key, "name": body["name"], "api_key": self.keys[key]})

    def _template_of(self, stream: str) -> str | None:
        found = [
            (body["priority"], path)
            for path, body in self.objects.items()
            if "data_stream" in body and any(fnmatch(stream, p) for p in body["index_patterns"])
        ]
        return max(found)[1] if found else None

    def _get_stream(self, request: Request, name: str) -> Reply:
        if name not in self.streams:
            return refused(404, "index_not_found_exception", f"no such index [{name}]")
        stream = self.streams[name]
        shown = {
            "name": name,
            "lifecycle": spelled(stream["lifecycle"]),
            "failure_store": {"enabled": stream["failure_store"], "indices": []},
        }
        return Reply.json({"data_streams": [shown]})

    def _put_stream(self, request: Request, name: str) -> Reply:
        path = self._template_of(name)
        if path is None:
            return refused(400, "illegal_argument_exception", f"no template for [{name}]")
        template = self.objects[path]["template"]
        self.streams[name] = {
            "lifecycle": dict(template["lifecycle"]),
            "aliases": dict(template["aliases"]),
            "failure_store": template["data_stream_options"]["failure_store"]["enabled"],
            "rollovers": 0,
        }
        return Reply.json({"acknowledged": True})

    def _put_lifecycle(self, request: Request, name: str) -> Reply:
        self.streams[name]["lifecycle"] = request.json()
        return Reply.json({"acknowledged": True})

    def _put_options(self, request: Request, name: str) -> Reply:
        options = request.json()
        self.streams[name]["failure_store"] = options["failure_store"]["enabled"]
        return Reply.json({"acknowledged": True})

    def _get_alias(self, request: Request, name: str) -> Reply:
        return Reply.json({name: {"aliases": self.streams[name]["aliases"]}})

    def _post_aliases(self, request: Request) -> Reply:
        for action in request.json()["actions"]:
            self.streams[action["add"]["index"]]["aliases"][action["add"]["alias"]] = {}
        return Reply.json({"acknowledged": True})

    def _rollover(self, request: Request, name: str) -> Reply:
        self.streams[name]["rollovers"] += 1
        return Reply.json({"acknowledged": True})

    def _bulk(self, request: Request) -> Reply:
        lines = [json.loads(line) for line in request.body.splitlines()]
        items = []
        for head, document in zip(lines[::2], lines[1::2], strict=True):
            target = head["create"]
            store = self.documents.setdefault(target["_index"], {})
            key = target.get("_id", f"automatic-{len(store)}")
            known = target["_index"] in self.streams
            status = 404 if not known else 409 if key in store else 201
            if status == 201:
                pipeline = self.objects["_ingest/pipeline/aliaport-logs"]
                store[key] = processed(pipeline, document, target.get("_id"), NOW)
            items.append({"create": {"_index": target["_index"], "_id": key, "status": status}})
        return Reply.json(
            {"errors": any(i["create"]["status"] > 299 for i in items), "items": items}
        )
