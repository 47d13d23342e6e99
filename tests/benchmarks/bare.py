"""The rival: a bare aiohttp handler on uvloop that returns the same bytes."""

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


async def main(port: int) -> None:
    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    import asyncio

    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
