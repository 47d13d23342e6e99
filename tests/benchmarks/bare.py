"""The rival: bare aiohttp handlers on uvloop. /health returns the same bytes, /ready runs ten checks."""

import asyncio
import sys

import orjson
import uvloop
from aiohttp import web

BODY = orjson.dumps(
    {
        "status": "healthy",
        "service": "aliaport-api",
        "version": "3.1.0",
        "timestamp": "2025-11-23T10:30:00Z",
    }
)


async def health(_request: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="application/json")


async def check() -> bool:
    return True


async def ready(_request: web.Request) -> web.Response:
    passed = await asyncio.gather(*(asyncio.wait_for(check(), 1.0) for _ in range(10)))
    body = orjson.dumps({"success": all(passed), "data": {"status": "ready"}})
    return web.Response(body=body, content_type="application/json")


async def main(port: int) -> None:
    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_get("/ready", ready)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
