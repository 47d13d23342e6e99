"""A plugin with options, a database, probes, metrics and a job."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import SecretStr

from aliaport.cgroup import own_cgroup, read_number
from aliaport.plugin import (
    AuditError,
    Check,
    Collector,
    Context,
    Counter,
    Gauge,
    Histogram,
    Job,
    JobResult,
    Metric,
    Plugin,
    PluginConfig,
    Probe,
    Sample,
    Scalar,
    Schedule,
    Status,
)
from aliaport.postgres import FAULTS, Leader, Migration, Pool, ReconnectingConnection, migrate

FREE = Metric.gauge("aliaport_shelves_free", "Free shelves.", ("hall",))
COUNTED = Metric.counter("aliaport_shelves_counted_total", "Shelves counted.")
LEVEL = Metric.gauge("aliaport_shelves_level", "How full the hall is.")
SECONDS = Metric.histogram("aliaport_shelves_seconds", "Duration of a count.", buckets=(0.1, 1))
MIGRATIONS = (Migration(1, "shelves", "CREATE TABLE shelves (id integer PRIMARY KEY)"),)


class ShelvesConfig(PluginConfig):
    folder: Path = Path("/var/lib/shelves")
    halls: tuple[str, ...] = ("north", "south")
    min_free: int = 5
    key: SecretStr | None = None


class ShelvesPlugin(Plugin[ShelvesConfig]):
    """Watches how many shelves are free."""

    api = (1, 0)
    root: ClassVar[Path] = Path("/")

    def __init__(self, config: ShelvesConfig, context: Context) -> None:
        super().__init__(config, context)
        self._counted: Counter = context.counter(COUNTED)
        self._level: Gauge = context.gauge(LEVEL)
        self._seconds: Histogram = context.histogram(SECONDS)
        self._free: dict[str, int] = {}

    async def start(self) -> None:
        self._free = dict.fromkeys(self.config.halls, 10)

    async def stop(self) -> None:
        self._free.clear()

    def probes(self) -> Sequence[Probe]:
        return [
            Probe(
                name=f"shelves_{hall}",
                run=partial(self._check, hall),
                title=f"Shelves, {hall}",
                critical=hall == "north",
                section="shelves",
                section_defaults={hall: None},
                words=("free", "full"),
                timeout=5,
            )
            for hall in self.config.halls
        ] + [Probe(name="shelves_memory", run=self._check_memory, timeout=2)]

    def metrics(self) -> Sequence[Collector]:
        return (Collector((FREE,), self._collect, name="shelves", timeout=2),)

    def jobs(self) -> Sequence[Job]:
        schedule = Schedule("0 6 * * *", "Europe/Istanbul", margin=600)
        return [Job(name="count", run=self._count, every=60, timeout=30, schedule=schedule)]

    async def _check(self, hall: str) -> Check:
        free = self._free[hall]
        data: dict[str, Scalar] = {hall: free}
        if free < self.config.min_free:
            return Check.degraded(f"{free} shelves are free", code="nearly_full", **data)
        return Check.healthy(f"{free} shelves are free", **data)

    def _check_memory(self) -> Check:
        cgroup = own_cgroup("memory", self.root)
        current = read_number(cgroup.levels[0] / "memory.current") if cgroup else None
        return Check(Status.HEALTHY, data={"current": current}, code="ok")

    async def _collect(self) -> Iterable[Sample]:
        return [FREE.sample(free, hall=hall) for hall, free in self._free.items()]

    async def _count(self) -> JobResult | None:
        began = self.context.clock.monotonic()
        if not self._free:
            return JobResult.PENDING
        try:
            await self.context.audit.arecord("shelves.counted", halls=len(self._free))
        except AuditError:
            self.context.log.exception("shelves.count_refused")
            raise
        self._counted.inc(sum(self._free.values()))
        self._level.set(0.5)
        self._seconds.observe(self.context.clock.monotonic() - began)
        self.context.log.info("shelves.counted", at=self.context.clock.now().isoformat())
        return None


class StoredShelvesPlugin(ShelvesPlugin):
    """Keeps the shelves in PostgreSQL; one replica writes."""

    needs_database = True

    def __init__(self, config: ShelvesConfig, context: Context) -> None:
        super().__init__(config, context)
        self._pool = Pool(context, component="shelves", size=2)
        self._leader = Leader(context, name="count", component="shelves")
        self._watched = ReconnectingConnection(
            context, component="shelves_probe", connect_timeout=2, query_timeout=1
        )

    async def start(self) -> None:
        await super().start()
        await migrate(self.context, "shelves", MIGRATIONS)
        await self._pool.start()

    async def stop(self) -> None:
        await self._watched.close()
        await self._leader.release()
        await self._pool.stop()

    async def stored(self) -> int | None:
        """Return the number of stored shelves, or None if the database has a fault."""
        try:
            async with self._pool.acquire() as connection:
                count: int = await connection.fetchval("SELECT count(*) FROM shelves")
        except FAULTS:
            return None
        return count

    async def store(self, number: int) -> bool:
        """Store a shelf, if this replica leads."""
        if not await self._leader.holds():
            return False
        await self._leader.session.execute("INSERT INTO shelves VALUES ($1)", number)
        rows = await self._watched.fetch("SELECT id FROM shelves WHERE id = $1", number)
        return bool(rows)
