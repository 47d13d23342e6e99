"""A stand-in for Elasticsearch and Kibana: real HTTP on the loopback, as strict as `setup` needs it.

It answers in the spelling of the real ones (defaults added, numbers as text, times of creation), and
refuses what they refuse: unknown users, templates without their parts, streams without a template,
a second document with the same id. It runs the pipeline by the model in `ingest` and knows no mapping.
"""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from fnmatch import fnmatch
from typing import Any, Self

from aiohttp import web

from tests.elk.ingest import processed
from tests.elk.stand_in_kibana import Kibana

USER, PASSWORD = "elastic", "correct-horse-Ğ"
ADMIN_KEY = "admin-id:admin-key"
NOW = "2026-11-25T04:01:23.000Z"
KINDS = {
    "_component_template": "component_template",
    "_index_template": "index_template",
    "_ingest/pipeline": "",
    "_security/role": "",
}


def refused(status: int, kind: str, text: str) -> web.Response:
    """An error in the words of Elasticsearch."""
    return web.json_response(
        {"error": {"type": kind, "reason": text}, "status": status}, status=status
    )


def spelled(body: Any) -> Any:
    """A stored object as the server gives it back."""
    if isinstance(body, dict):
        told = {key: spelled(value) for key, value in body.items()}
        if "data_retention" in told:
            told |= {"enabled": True, "effective_retention": told["data_retention"]}
            told["retention_determined_by"] = "data_stream_configuration"
        if "limit" in told:
            told["limit"] = str(told["limit"])
        if "index_patterns" in told:
            told["data_stream"] = {"hidden": False, "allow_custom_routing": False}
            told["created_date_millis"] = 1764043200000
        if "names" in told:
            told["allow_restricted_indices"] = False
        return told
    return [spelled(each) for each in body] if isinstance(body, list) else body


class StandIn:
    """`with StandIn() as server`: both servers under `server.url` and `server.kibana_url`."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.version = "9.5.1"
        self.objects: dict[str, dict[str, Any]] = {}
        self.streams: dict[str, dict[str, Any]] = {}
        self.documents: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = dict([ADMIN_KEY.split(":")])
        self.requests: list[str] = []
        self.hanging = False
        self.forbidden = ""
        self.kibana = Kibana()
        self.port = 0
        self._context = context
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30), "the stand-in did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the stand-in did not stop"
        self._loop.close()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    @property
    def kibana_url(self) -> str:
        return f"{self.url}/kibana"

    def changes(self) -> list[str]:
        """The requests that could have changed something."""
        return [r for r in self.requests if not r.startswith("GET ") and "_export" not in r]

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._root)
        for path in KINDS:
            app.router.add_get(f"/{path}/{{name}}", self._get)
            app.router.add_put(f"/{path}/{{name}}", self._put)
        app.router.add_post("/_security/api_key", self._api_key)
        app.router.add_get("/_data_stream/{name}", self._get_stream)
        app.router.add_put("/_data_stream/{name}", self._put_stream)
        app.router.add_put("/_data_stream/{name}/_lifecycle", self._put_lifecycle)
        app.router.add_put("/_data_stream/{name}/_options", self._put_options)
        app.router.add_get("/{name}/_alias", self._get_alias)
        app.router.add_post("/_aliases", self._post_aliases)
        app.router.add_post("/{name}/_rollover", self._rollover)
        app.router.add_post("/_bulk", self._bulk)
        self.kibana.add_routes(app)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        if self.hanging:
            await self._stop.wait()
        kind, _, told = request.headers.get("Authorization", "").partition(" ")
        allowed = {
            "Basic": [f"{USER}:{PASSWORD}"],
            "ApiKey": [":".join(k) for k in self.keys.items()],
        }
        if base64.b64decode(told or "").decode() not in allowed.get(kind, []):
            return refused(401, "security_exception", "unable to authenticate user")
        if self.forbidden and request.path.startswith(self.forbidden):
            return refused(403, "security_exception", f"action [{request.path}] is unauthorized")
        return await handler(request)

    async def _root(self, request: web.Request) -> web.Response:
        return web.json_response({"version": {"number": self.version}})

    async def _get(self, request: web.Request) -> web.Response:
        path, name = request.path.strip("/"), request.match_info["name"]
        if path not in self.objects:
            return web.json_response({}, status=404)
        body = spelled(self.objects[path])
        kind = KINDS[path.rpartition("/")[0]]
        if kind:
            return web.json_response({f"{kind}s": [{"name": name, kind: body}]})
        if path.startswith("_security"):
            body |= {"run_as": [], "metadata": {}, "transient_metadata": {"enabled": True}}
            body.setdefault("applications", [])
        return web.json_response({name: body})

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.json()
        for part in body.get("composed_of", []):
            if f"_component_template/{part}" not in self.objects:
                return refused(400, "illegal_argument_exception", f"no component template [{part}]")
        self.objects[request.path.strip("/")] = body
        return web.json_response({"acknowledged": True})

    async def _api_key(self, request: web.Request) -> web.Response:
        body = await request.json()
        if request.headers["Authorization"].startswith("ApiKey") and body["role_descriptors"]:
            return refused(400, "illegal_argument_exception", "derived keys have no privileges")
        key = f"key-{len(self.keys)}"
        self.keys[key] = "never-show-this"
        return web.json_response({"id": key, "name": body["name"], "api_key": self.keys[key]})

    def _template_of(self, stream: str) -> str | None:
        found = [
            (body["priority"], path)
            for path, body in self.objects.items()
            if "data_stream" in body and any(fnmatch(stream, p) for p in body["index_patterns"])
        ]
        return max(found)[1] if found else None

    async def _get_stream(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.streams:
            return refused(404, "index_not_found_exception", f"no such index [{name}]")
        stream = self.streams[name]
        told = {
            "name": name,
            "lifecycle": spelled(stream["lifecycle"]),
            "failure_store": {"enabled": stream["failure_store"], "indices": []},
        }
        return web.json_response({"data_streams": [told]})

    async def _put_stream(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
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
        return web.json_response({"acknowledged": True})

    async def _put_lifecycle(self, request: web.Request) -> web.Response:
        self.streams[request.match_info["name"]]["lifecycle"] = await request.json()
        return web.json_response({"acknowledged": True})

    async def _put_options(self, request: web.Request) -> web.Response:
        options = await request.json()
        self.streams[request.match_info["name"]]["failure_store"] = options["failure_store"][
            "enabled"
        ]
        return web.json_response({"acknowledged": True})

    async def _get_alias(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.json_response({name: {"aliases": self.streams[name]["aliases"]}})

    async def _post_aliases(self, request: web.Request) -> web.Response:
        for action in (await request.json())["actions"]:
            self.streams[action["add"]["index"]]["aliases"][action["add"]["alias"]] = {}
        return web.json_response({"acknowledged": True})

    async def _rollover(self, request: web.Request) -> web.Response:
        self.streams[request.match_info["name"]]["rollovers"] += 1
        return web.json_response({"acknowledged": True})

    async def _bulk(self, request: web.Request) -> web.Response:
        lines = [json.loads(line) for line in (await request.text()).splitlines()]
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
        return web.json_response(
            {"errors": any(i["create"]["status"] > 299 for i in items), "items": items}
        )
