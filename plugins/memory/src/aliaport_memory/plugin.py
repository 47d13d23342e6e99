"""The memory plugin: usage, swap and OOM kills within the limits of this process."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from aliaport.plugin import Check, Collector, Context, Metric, Plugin, Probe, Sample, Scalar
from aliaport_memory.config import MemoryConfig
from aliaport_memory.reading import Reading, read

PERCENT = Metric.gauge(
    "aliaport_memory_percent", "Memory usage as a percentage of the tightest limit."
)
AVAILABLE = Metric.gauge(
    "aliaport_memory_available_bytes",
    "Memory that the service can still use before it reaches a limit.",
)
LIMIT = Metric.gauge(
    "aliaport_memory_limit_bytes",
    "The tightest memory limit of the service, or the machine's memory.",
)
SWAP_USED = Metric.gauge("aliaport_memory_swap_used_bytes", "Swap space used.")
OOM_KILLS = Metric.counter(
    "aliaport_memory_oom_kills_total", "Processes that the kernel killed because memory ran out."
)
WORKING_SET = Metric.gauge(
    "aliaport_memory_working_set_bytes",
    "Memory usage as the kubelet computes it: it includes the active file cache.",
)
WAITING = Metric.counter(
    "aliaport_memory_pressure_waiting_seconds_total",
    "Time in which at least one task waited for memory.",
)
STALLED = Metric.counter(
    "aliaport_memory_pressure_stalled_seconds_total", "Time in which all tasks waited for memory."
)
FAMILIES = (
    *(PERCENT, AVAILABLE, LIMIT, SWAP_USED, OOM_KILLS),
    *(WORKING_SET, WAITING, STALLED),
)


class MemoryPlugin(Plugin[MemoryConfig]):
    """Measures memory usage within the service's limit, memory left, swap and OOM kills."""

    api = (1, 0)
    _root: ClassVar[Path] = Path("/")

    def __init__(self, config: MemoryConfig, context: Context) -> None:
        super().__init__(config, context)
        self._kills: tuple[Path, int] | None = None
        self._killed_at: float | None = None

    async def start(self) -> None:
        """Record earlier OOM kills, so that they are not reported."""
        self._read()

    def probes(self) -> Sequence[Probe]:
        """Return the probe `memory`."""
        return [
            Probe(
                name="memory",
                title="Memory",
                run=self._check,
                section="system",
                section_defaults={"memory_percent": None, "memory_available_mb": None},
            )
        ]

    def metrics(self) -> Sequence[Collector]:
        """Return the collector `memory`."""
        return [Collector(FAMILIES, self._collect, name="memory")]

    async def _check(self) -> Check:
        reading = self._read()
        if reading is None:
            return Check.degraded(
                "the kernel's memory statistics cannot be read", code="unreadable"
            )
        killed_ago = None
        if self._killed_at is not None:
            killed_ago = self.context.clock.monotonic() - self._killed_at
        return judge(reading, killed_ago, self.config)

    async def _collect(self) -> Iterable[Sample]:
        reading = self._read()
        if reading is None:
            return []
        pressure = reading.pressure
        values = {
            PERCENT: reading.percent,
            AVAILABLE: reading.available,
            LIMIT: reading.limit,
            SWAP_USED: reading.swap_used,
            OOM_KILLS: reading.oom_kills,
            WORKING_SET: reading.working_set,
            WAITING: None if pressure is None else pressure.waiting_seconds,
            STALLED: None if pressure is None else pressure.stalled_seconds,
        }
        return [metric.sample(value) for metric, value in values.items() if value is not None]

    def _read(self) -> Reading | None:
        """Read all values; record the time if there was an OOM kill since the last reading."""
        reading = read(self._root)
        if reading is None or reading.oom_kills is None:
            return reading
        if self._kills is not None:
            source, count = self._kills
            # A different file counts other kills: the process moved, or a limit was set or removed.
            if source == reading.oom_source and count < reading.oom_kills:
                self._killed_at = self.context.clock.monotonic()
        self._kills = reading.oom_source, reading.oom_kills
        return reading


def judge(reading: Reading, killed_ago: float | None, config: MemoryConfig) -> Check:
    """Return the result for one reading; `killed_ago` is the seconds since an OOM kill, if any."""
    percent, available = reading.percent, reading.available // 2**20
    data: dict[str, Scalar] = {
        "memory_percent": round(percent, 1),
        "memory_available_mb": available,
        "limit_mb": reading.limit // 2**20,
        "limited_by": "cgroup" if len(reading.limits) > 1 else "machine",
        "swap_used_mb": None if reading.swap_used is None else reading.swap_used // 2**20,
        "oom_kills": reading.oom_kills,
        "working_set_mb": None if reading.working_set is None else reading.working_set // 2**20,
        "pressure_percent": None if reading.pressure is None else reading.pressure.stalled_percent,
    }
    usage = f"{percent:.1f} % used, {available} MiB left"
    if percent >= config.critical_percent:
        return Check.unhealthy(usage, code="memory_critical", **data)
    if killed_ago is not None and killed_ago < config.oom_kill_seconds:
        summary = f"the kernel killed a process because memory ran out, {killed_ago:.0f} s ago"
        return Check.degraded(summary, code="oom_kill", **data)
    stalled = 0.0 if reading.pressure is None else reading.pressure.stalled_percent
    if stalled >= config.warn_pressure_percent:
        summary = f"all tasks waited for memory in {stalled:.1f} % of the last minute; {usage}"
        return Check.degraded(summary, code="memory_pressure", **data)
    if percent >= config.warn_percent:
        return Check.degraded(usage, code="memory_high", **data)
    return Check.healthy(usage, code="ok", **data)
