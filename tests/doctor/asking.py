"""Runs doctor: as the command, or one line of it against a stand-in."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from aliaport.doctor.checks import Run
from aliaport.doctor.findings import Finding
from aliaport.doctor.http import open_session, tls_context
from aliaport.doctor.running import CHECKS, line_of
from aliaport.doctor.targets import Targets
from tests.support import commands

PASS, FAIL, NOT_CHECKED = "pass", "fail", "not_checked"


@dataclass(frozen=True)
class Outcome:
    """What the command did; `lines` are those of its JSON by their ids."""

    code: int
    output: str
    errors: str
    url: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.output)

    @property
    def lines(self) -> dict[str, dict[str, str]]:
        return {line["id"]: line for line in self.json["lines"]}

    def not_passed(self) -> list[str]:
        """What a failing test has to show."""
        return [f"{i}: {line['seen']}" for i, line in self.lines.items() if line["result"] == FAIL]

    def results(self, prefix: str = "") -> dict[str, str]:
        return {i: line["result"] for i, line in self.lines.items() if i.startswith(prefix)}


def doctor(folder: Path, *arguments: object, **environ: str) -> Outcome:
    """Run `aliaport doctor` in `folder` with nothing else in its environment."""
    done = commands.aliaport(folder, "doctor", *map(str, arguments), environ=environ)
    assert "Traceback" not in done.err, done.err
    return Outcome(done.code, done.out, done.err)


async def found(check_id: str, targets: Targets) -> Finding:
    """What one check finds."""
    (check,) = (check for check in CHECKS if check.id == check_id)
    context = tls_context(targets.ca_file)
    async with open_session(context, targets.timeout) as session:
        return (await line_of(check, Run(targets, session, context))).finding


async def started(routes: dict[str, Any], **options: Any) -> TestServer:
    """A web server on loopback: for each path a handler, or the JSON that it answers."""
    app = web.Application()
    for path, answer in routes.items():
        app.router.add_route("*", path, _handler(answer))
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(**options)
    return server


def _handler(answer: Any) -> Any:
    if not callable(answer):
        return answering(answer)
    if asyncio.iscoroutinefunction(answer):
        return answer

    async def called(request: web.Request) -> web.StreamResponse:
        response: web.StreamResponse = answer(request)
        return response

    return called


def answering(body: Any, status: int = 200) -> Any:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return answer


def address(server: TestServer) -> str:
    return str(server.make_url("")).rstrip("/")
