"""A mounted application."""

from aiohttp import web

from aliaport.apps import App, Context, PluginConfig, Refusal, client_address, data_response


class SiteConfig(PluginConfig):
    greeting: str = "hello"


def create(context: Context, config: SiteConfig) -> web.Application:
    """Return the application with its routes."""

    async def greet(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not name.isalpha():
            raise Refusal(400, "bad_name", "give letters only", parameter="name")
        await context.audit.arecord("shelves.greeted", user=name)
        data = {"text": f"{config.greeting}, {name}", "from": client_address(request)}
        return data_response(data, headers={"Cache-Control": "no-cache"})

    app = web.Application()
    app.router.add_get("/greet/{name}", greet)
    return app


app = App(prefix="/shelves", create=create, config=SiteConfig)
