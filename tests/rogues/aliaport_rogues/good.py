import asyncio
import os

from aliaport.plugin import Check, Collector, Metric, Plugin, PluginConfig, Probe, Sample

RUNS = Metric.gauge("aliaport_good_runs", "Runs of the slow probe.")
OPEN = Metric.gauge("aliaport_gated_open", "1 once the gate is open.")


class Good(Plugin[PluginConfig]):
    """A well-behaved plugin: one instant probe, and one that takes 300 ms and counts its runs."""

    api = (1, 0)
    runs = 0

    def probes(self) -> list[Probe]:
        return [
            Probe(name="good", run=self.check, critical=True, words=("up", "down")),
            Probe(name="counting", run=self.count, timeout=2),
        ]

    def metrics(self) -> list[Collector]:
        return [Collector((RUNS,), self.collect)]

    async def check(self) -> Check:
        return Check.healthy("all is well", number=42)

    async def count(self) -> Check:
        self.runs += 1
        await asyncio.sleep(0.3)
        return Check.healthy(runs=self.runs)

    async def collect(self) -> list[Sample]:
        return [RUNS.sample(self.runs)]


class Gated(Plugin[PluginConfig]):
    """A plugin whose probe returns when the file `open` appears in the working folder, and counts its runs."""

    api = (1, 0)
    runs = 0

    def probes(self) -> list[Probe]:
        return [Probe(name="gated", run=self.check, timeout=50)]

    async def check(self) -> Check:
        self.runs += 1
        while not os.path.exists("open"):
            await asyncio.sleep(0.01)
        return Check.healthy(runs=self.runs)


class GatedScrape(Gated):
    """The same plugin with a collector that also waits for the file."""

    def metrics(self) -> list[Collector]:
        return [Collector((OPEN,), self.collect)]

    async def collect(self) -> list[Sample]:
        await self.check()
        return [OPEN.sample(1)]
