"""Customer accounts, served well or badly."""

import asyncio
from itertools import count
from pathlib import Path

from aiohttp import web

from aliaport.apps import App, Context, PluginConfig, data_response


class Options(PluginConfig):
    folder: Path = Path()


def create(context: Context, options: Options) -> web.Application:
    requests = count(1)

    async def accounts(request: web.Request) -> web.Response:
        number, share = next(requests), _number(options.folder / "fail")
        # Evenly spread: with random failures, a short window could have none.
        if int(number * share) > int((number - 1) * share):
            raise RuntimeError("the accounts cannot be read")
        await asyncio.sleep(_number(options.folder / "slow"))
        return data_response([{"code": "120.01", "name": "Ağrı Lojistik"}])

    app = web.Application()
    app.router.add_get("", accounts)
    return app


def _number(file: Path) -> float:
    try:
        return float(file.read_text())
    except FileNotFoundError:
        return 0.0


app = App(prefix="/api/cari", create=create, config=Options)
