"""The rival of the list of accounts: a bare aiohttp handler that reads the same rows from the pool."""

import asyncio
import sys

import asyncpg
import orjson
import uvloop
from aiohttp import web

QUERY = """
SELECT id, code, title, kind, tax_number, currency, contact_person, contact_phone, contact_email,
       deactivated_at, version, created_by, created_at, changed_by, changed_at
FROM aliaport_operations_accounts ORDER BY code LIMIT 50"""


async def main(port: int, dsn: str) -> None:
    pool = await asyncpg.create_pool(dsn, min_size=10, max_size=10)

    async def accounts(_: web.Request) -> web.Response:
        async with pool.acquire() as connection:
            rows = await connection.fetch(QUERY)
        body = orjson.dumps({"success": True, "data": [dict(row) for row in rows]})
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/accounts", accounts)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
