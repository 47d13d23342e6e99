"""Plugins with scheduled jobs."""

import time
from typing import Any

from aliaport.plugin import Job, JobResult, Metric, Plugin, PluginConfig, Schedule

LEVEL = Metric.gauge("aliaport_scheduled_level", "A level.", ("tank",))
COUNTED = Metric.counter("aliaport_scheduled_counted_total", "Counted.")


class ScheduledConfig(PluginConfig):
    result: str = "done"
    crontab: str = "30 15 * * 1-5"
    margin: float = 3600


class Scheduled(Plugin[ScheduledConfig]):
    """A plugin whose job does what the options say."""

    api = (1, 0)

    def jobs(self) -> list[Job]:
        schedule = Schedule(self.config.crontab, "Europe/Istanbul", margin=self.config.margin)
        return [Job(name="work", run=self.work, every=60, timeout=30, schedule=schedule)]

    def work(self) -> JobResult | None:
        match self.config.result:
            case "done":
                return None
            case "pending":
                return JobResult.PENDING
            case "hang":
                time.sleep(3600)
        raise ValueError("the work failed")


class Gauged(Plugin[PluginConfig]):
    """Writes a gauge from its job."""

    api = (1, 0)

    def jobs(self) -> list[Job]:
        return [Job(name="measure", run=self.measure, every=60, timeout=30)]

    def measure(self) -> None:
        gauge: Any = self.context.gauge(LEVEL)
        gauge.set(7, tank="north")
        gauge.set(3.5, tank="north")
        gauge.set(-2, tank="south")
        gauge.set("full", tank="south")
        gauge.set(1, boiler="south")
