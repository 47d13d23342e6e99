"""The cpu plugin: usage, load and throttling, computed from counters without waiting."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from aliaport.plugin import Check, Collector, Context, Job, Metric, Plugin, Probe, Sample, Scalar
from aliaport_cpu.config import CpuConfig
from aliaport_cpu.snapshot import Snapshot, take, throttled_percent, used_percent

PERCENT = Metric.gauge(
    "aliaport_cpu_percent", "Recent CPU usage as a percentage of the tightest limit."
)
AVERAGE_PERCENT = Metric.gauge(
    "aliaport_cpu_average_percent", "Average CPU usage in percent, as compared with the thresholds."
)
LOAD1 = Metric.gauge("aliaport_cpu_load1", "Load average of the machine over 1 minute.")
LOAD5 = Metric.gauge("aliaport_cpu_load5", "Load average of the machine over 5 minutes.")
LOAD15 = Metric.gauge("aliaport_cpu_load15", "Load average of the machine over 15 minutes.")
LIMIT_CORES = Metric.gauge(
    "aliaport_cpu_limit_cores", "Maximum CPUs that the service may use, by quota and affinity."
)
THROTTLED_SECONDS = Metric.counter(
    "aliaport_cpu_throttled_seconds_total", "Time that threads waited because of CPU quotas."
)
PERIODS = Metric.counter(
    "aliaport_cpu_periods_total", "Scheduling periods of the CPU quotas that apply."
)
THROTTLED_PERIODS = Metric.counter(
    "aliaport_cpu_throttled_periods_total", "Scheduling periods in which a CPU quota was used up."
)
FAMILIES = (
    *(PERCENT, AVERAGE_PERCENT, LOAD1, LOAD5, LOAD15, LIMIT_CORES),
    *(THROTTLED_SECONDS, PERIODS, THROTTLED_PERIODS),
)

MIN_WINDOW = 1.0
"""Seconds. The kernel counts in ticks of 10 ms, so a shorter window gives coarse values."""

FIRST_WINDOW = 0.1
"""Seconds that `start` waits after the first snapshot."""

SAMPLE_EVERY = 5.0
"""Seconds between the snapshots of the job."""


class CpuPlugin(Plugin[CpuConfig]):
    """Measures CPU usage as a percentage of what the service may use, load and throttling.

    The plugin keeps snapshots of the counters for the averaging time. Each value compares the
    current counters with a snapshot that is old enough, so callers neither wait nor shorten each
    other's window.
    """

    api = (1, 0)
    _root: ClassVar[Path] = Path("/")

    def __init__(self, config: CpuConfig, context: Context) -> None:
        super().__init__(config, context)
        self._past: deque[Snapshot] = deque()

    async def start(self) -> None:
        """Take the first snapshot and wait, so that the first call has a window to measure."""
        self._snapshot()
        await asyncio.sleep(FIRST_WINDOW)

    def probes(self) -> Sequence[Probe]:
        """Return the probe `cpu`."""
        return [
            Probe(
                name="cpu",
                title="CPU",
                run=self._check,
                section="system",
                section_defaults={"cpu_percent": None},
            )
        ]

    def metrics(self) -> Sequence[Collector]:
        """Return the collector `cpu`."""
        return [Collector(FAMILIES, self._collect, name="cpu")]

    def jobs(self) -> Sequence[Job]:
        """Return the job that takes snapshots regularly.

        Without it, the first call after a long pause would see the average over that pause.
        """
        return [Job(name="cpu_snapshot", run=self._sample, every=SAMPLE_EVERY, timeout=2)]

    async def _sample(self) -> None:
        self._snapshot()

    async def _check(self) -> Check:
        now = self._snapshot()
        return judge(self._recent_snapshot(now), self._oldest_snapshot(now), now, self.config)

    async def _collect(self) -> Iterable[Sample]:
        now = self._snapshot()
        quotas = now.quotas.values()
        samples = [
            LIMIT_CORES.sample(now.limit_cores),
            THROTTLED_SECONDS.sample(sum(quota.throttled_seconds for quota in quotas)),
            PERIODS.sample(sum(quota.periods for quota in quotas)),
            THROTTLED_PERIODS.sample(sum(quota.throttled_periods for quota in quotas)),
        ]
        for metric, old in (
            (PERCENT, self._recent_snapshot(now)),
            (AVERAGE_PERCENT, self._oldest_snapshot(now)),
        ):
            percent = used_percent(old, now)
            if percent is not None:
                samples.append(metric.sample(percent))
        if now.load is not None:
            for metric, load in zip((LOAD1, LOAD5, LOAD15), now.load, strict=True):
                samples.append(metric.sample(load))
        return samples

    def _snapshot(self) -> Snapshot:
        """Take a snapshot; keep it unless the last one is recent, and drop those too old."""
        now = take(self.context.clock.monotonic(), self._root)
        if not self._past or now.at - self._past[-1].at >= MIN_WINDOW:
            self._past.append(now)
        while len(self._past) > 1 and now.at - self._past[1].at >= self.config.average_seconds:
            self._past.popleft()
        return now

    def _recent_snapshot(self, now: Snapshot) -> Snapshot:
        """Return the newest snapshot that is old enough to compare with."""
        old_enough = [old for old in self._past if now.at - old.at >= MIN_WINDOW]
        return _first_comparable(reversed(old_enough), now) or self._past[0]

    def _oldest_snapshot(self, now: Snapshot) -> Snapshot:
        """Return the oldest snapshot whose CPUs still count from where they did then."""
        return _first_comparable(self._past, now) or self._past[0]


def _first_comparable(past: Iterable[Snapshot], now: Snapshot) -> Snapshot | None:
    return next((old for old in past if used_percent(old, now) is not None), None)


def judge(recent: Snapshot, oldest: Snapshot, now: Snapshot, config: CpuConfig) -> Check:
    """Return the result for three snapshots: a second or more old, `average_seconds` old, now."""
    percent, average = used_percent(recent, now), used_percent(oldest, now)
    throttled = throttled_percent(oldest, now)
    data: dict[str, Scalar] = {
        "cpu_percent": None if percent is None else round(percent, 1),
        "cpu_average_percent": None if average is None else round(average, 1),
        "limit_cores": round(now.limit_cores, 2),
        "throttled_percent": round(throttled, 1),
    }
    if now.load is not None:
        data |= zip(("load1", "load5", "load15"), now.load, strict=True)
        data["load1_per_cpu"] = round(now.load[0] / max(1, len(now.cpus)), 2)
    if percent is None or average is None:
        return Check.degraded("the kernel's CPU counters cannot be read", code="unreadable", **data)
    seconds = now.at - oldest.at
    usage = f"{average:.1f} % of {now.limit_cores:g} CPUs used over the last {seconds:.0f} s"
    if seconds < config.average_seconds:
        return Check.healthy(usage, code="measuring", **data)
    if average >= config.critical_percent:
        return Check.unhealthy(usage, code="cpu_critical", **data)
    if throttled >= config.warn_throttled_percent:
        summary = f"throttled by its CPU quota in {throttled:.1f} % of scheduling periods"
        return Check.degraded(summary, code="throttled", **data)
    if average >= config.warn_percent:
        return Check.degraded(usage, code="cpu_high", **data)
    return Check.healthy(usage, code="ok", **data)
