"""An application that records each POST, so that a caller can find lost and repeated ones."""

from aiohttp import web

from aliaport.apps import App, Context, PluginConfig, data_response


class Options(PluginConfig):
    replica: str = ""
    """Name that responses have."""


def create(_context: Context, config: Options) -> web.Application:
    async def read(_request: web.Request) -> web.Response:
        return data_response(config.replica)

    async def write(request: web.Request) -> web.Response:
        number = await request.text()
        with open("posts", "a") as posts:
            posts.write(f"{number}\n")
        return data_response(config.replica)

    app = web.Application()
    app.router.add_get("/replica", read)
    app.router.add_post("/replica", write)
    return app


app = App(prefix="/counted", create=create, config=Options)
