"""The rival of the rates endpoint: a bare aiohttp handler that reads each response from the pool."""

import asyncio
import sys
from datetime import date

import asyncpg
import orjson
import uvloop
from aiohttp import web

QUERY = """
SELECT r.* FROM aliaport_currency_rates r WHERE (day, revision) = (
    SELECT day, revision FROM aliaport_currency_bulletins WHERE day <= $1
    ORDER BY day DESC, revision DESC LIMIT 1)"""


async def main(port: int, dsn: str) -> None:
    pool = await asyncpg.create_pool(dsn, min_size=4, max_size=4)

    async def rates(request: web.Request) -> web.Response:
        day = date.fromisoformat(request.query["date"])
        async with pool.acquire() as connection:
            rows = await connection.fetch(QUERY, day)
        body = orjson.dumps({"rates": [dict(row) for row in rows]}, default=str)
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/rates", rates)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
