"""Plugins that the benchmarks load."""

import asyncio
import time

from aliaport.plugin import Check, Plugin, PluginConfig, Probe


class Many(Plugin[PluginConfig]):
    api = (1, 0)
    number = 10
    seconds = 0.0
    critical = True

    def probes(self) -> list[Probe]:
        kind = type(self).__name__.lower()
        return [
            Probe(name=f"{kind}_{number}", run=self.check, critical=self.critical)
            for number in range(self.number)
        ]

    async def check(self) -> Check:
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

    async def check(self) -> Check:
        time.sleep(3600)
        return Check.healthy()


class Spinner(Many):
    number = 1
    critical = False

    async def check(self) -> Check:
        while True:
            sum(range(100))


class SecondSpinner(Spinner):
    pass
