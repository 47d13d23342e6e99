"""Plugins that the benchmarks load."""

import asyncio
import time

from aliaport.plugin import Check, Plugin, PluginConfig, Probe


class Many(Plugin[PluginConfig]):
    api = (1, 0)
    number = 10
    seconds = 0.0
    critical = True

    def probes(self):
        kind = type(self).__name__.lower()
        return [
            Probe(name=f"{kind}_{each}", run=self.check, critical=self.critical)
            for each in range(self.number)
        ]

    async def check(self):
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return Check.healthy()


class Slow(Many):
    number = 50
    seconds = 0.1
    critical = False


class Blocker(Many):
    number = 1
    critical = False

    async def check(self):
        time.sleep(3600)


class Spinner(Many):
    number = 1
    critical = False

    async def check(self):
        while True:
            sum(range(100))


class SecondSpinner(Spinner):
    pass
