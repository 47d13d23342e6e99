"""A plugin and an application that need threads; the plugin can let no further thread start."""

import asyncio
import threading

from aiohttp import web

from aliaport.apps import App, data_response
from aliaport.plugin import (
    Check,
    Collector,
    Context,
    Metric,
    Plugin,
    PluginConfig,
    Probe,
    Sample,
)

NUMBER = Metric.gauge("aliaport_threads_number", "A number.")


class Config(PluginConfig):
    refuse: bool = False


class Threads(Plugin[Config]):
    api = (1, 0)

    async def start(self) -> None:
        if self.config.refuse:
            threading.stack_size(2**47)  # more than the address space: each start fails

    def probes(self) -> list[Probe]:
        return [
            Probe(name="in_thread", run=self.check),
            Probe(name="resolving", run=self.resolve),
        ]

    def metrics(self) -> list[Collector]:
        return [Collector((NUMBER,), self.collect)]

    def check(self) -> Check:
        return Check.healthy(code="ok")

    async def resolve(self) -> Check:
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        return Check.healthy(code="ok")

    def collect(self) -> list[Sample]:
        return [NUMBER.sample(7)]


async def resolve(request: web.Request) -> web.Response:
    addresses = await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    (address,) = {address[4][0] for address in addresses if address[0].name == "AF_INET"}
    return data_response({"address": address})


async def start_thread(_request: web.Request) -> web.Response:
    return data_response(await asyncio.to_thread(int))


def create_app(context: Context, config: PluginConfig) -> web.Application:
    application = web.Application()
    application.router.add_get("/resolve", resolve)
    application.router.add_get("/thread", start_thread)
    return application


app = App(prefix="/names", create=create_app)
