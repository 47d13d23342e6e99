"""The disk plugin: one probe and one collector per mount, so a hung mount affects no other."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from aliaport.plugin import Check, Collector, Context, Metric, Plugin, Probe, Sample, Scalar
from aliaport_disk.config import DiskConfig, probe_names
from aliaport_disk.usage import Unusable, Usage, measure, mount_of, shown

USED_PERCENT = Metric.gauge(
    "aliaport_disk_used_percent", "Percentage of space used, as df computes it.", ("mount",)
)
FREE_BYTES = Metric.gauge(
    "aliaport_disk_free_bytes", "Free space available to users other than root.", ("mount",)
)
SIZE_BYTES = Metric.gauge("aliaport_disk_size_bytes", "Size of the file system.", ("mount",))
INODES = Metric.gauge("aliaport_disk_inodes", "Total inodes of the file system.", ("mount",))
INODES_FREE = Metric.gauge("aliaport_disk_inodes_free", "Free inodes.", ("mount",))
READ_ONLY = Metric.gauge(
    "aliaport_disk_read_only", "1 if the mount is read-only, otherwise 0.", ("mount",)
)
FAMILIES = (USED_PERCENT, FREE_BYTES, SIZE_BYTES, INODES, INODES_FREE, READ_ONLY)

MAX_TITLE = 200
"""Characters that the host accepts in the title of a probe."""


class DiskPlugin(Plugin[DiskConfig]):
    """Checks the configured mounts, and those that the service writes to, for space and inodes."""

    api = (1, 0)
    _mounts_file: ClassVar[Path] = Path("/proc/self/mounts")

    def __init__(self, config: DiskConfig, context: Context) -> None:
        super().__init__(config, context)
        own = context.data_folders if config.data_folders else ()
        # Reads a table of the kernel: no mount is touched, so none can hang here.
        found = (mount_of(folder, self._mounts_file) for folder in own)
        mounts = dict.fromkeys((*config.mounts, *(mount for mount in found if mount)))
        self._names = probe_names(tuple(mounts))

    def probes(self) -> Sequence[Probe]:
        """Return one probe per mount; only the first one fills the section of /status."""
        return [
            Probe(
                name=name,
                title=f"Disk {shown(mount)}"[:MAX_TITLE],
                run=partial(self._check, mount),
                section=None if position else "system",
                section_defaults={} if position else {"disk_percent": None, "disk_free_gb": None},
            )
            for position, (mount, name) in enumerate(self._names.items())
        ]

    def metrics(self) -> Sequence[Collector]:
        """Return one collector per mount, all with the same families."""
        return [
            Collector(FAMILIES, partial(self._collect, mount), name=name, timeout=2)
            for mount, name in self._names.items()
        ]

    def _check(self, mount: str) -> Check:
        try:
            usage = measure(mount, self._mounts_file)
        except Unusable as error:
            return Check.unhealthy(str(error), code=error.code, mount=shown(mount))
        return judge(shown(mount), usage, self.config)

    def _collect(self, mount: str) -> Iterable[Sample]:
        try:
            usage = measure(mount, self._mounts_file)
        except Unusable:
            return []
        values = {
            USED_PERCENT: usage.used_percent,
            FREE_BYTES: usage.free_bytes,
            SIZE_BYTES: usage.size_bytes,
            READ_ONLY: float(usage.read_only),
        }
        if usage.inodes:
            values |= {INODES: usage.inodes, INODES_FREE: usage.inodes_free}
        return [
            metric.sample(value, mount=shown(mount))
            for metric, value in values.items()
            if value is not None
        ]


def judge(mount: str, usage: Usage, config: DiskConfig) -> Check:
    """Return the result for one mount; the worst problem takes precedence."""
    space, inodes = usage.used_percent or 0.0, usage.inodes_percent or 0.0
    data: dict[str, Scalar] = {
        "mount": mount,
        "filesystem": usage.filesystem,
        "disk_percent": _rounded(usage.used_percent),
        "disk_free_gb": _gib(usage.free_bytes),
        "disk_size_gb": _gib(usage.size_bytes),
        "inodes_percent": _rounded(usage.inodes_percent),
        "read_only": usage.read_only,
    }
    space_summary = _space_summary(mount, usage)
    if mount in config.read_only_mounts:
        return Check.healthy(space_summary, code="ok", **data)
    if usage.read_only:
        return Check.unhealthy(f"{mount} is mounted read-only", code="read_only", **data)
    if space >= config.critical_percent:
        return Check.unhealthy(space_summary, code="space_critical", **data)
    inode_summary = f"{mount}: {inodes:.1f} % of inodes used"
    if inodes >= config.critical_inodes_percent:
        return Check.unhealthy(inode_summary, code="inodes_critical", **data)
    if space >= config.warn_percent:
        return Check.degraded(space_summary, code="space_low", **data)
    if inodes >= config.warn_inodes_percent:
        return Check.degraded(inode_summary, code="inodes_low", **data)
    return Check.healthy(space_summary, code="ok", **data)


def _space_summary(mount: str, usage: Usage) -> str:
    parts = [
        "no percentage of space"
        if usage.used_percent is None
        else f"{usage.used_percent:.1f} % used"
    ]
    if usage.free_bytes is not None:
        parts.append(f"{_gib(usage.free_bytes)} GiB free")
    if usage.impossible:
        parts.append(f"its file system reports impossible values: {', '.join(usage.impossible)}")
    return f"{mount}: {', '.join(parts)}"


def _gib(size: int | None) -> float | None:
    return None if size is None else round(size / 2**30, 1)


def _rounded(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 1)
