"""The dashboard System Metrics: the machine, and the service's share of it."""

from . import baselines
from .baselines import above
from .board import Board, Section
from .panels import graph, heatmap, stat
from .queries import DISKS, Query, grown, of, quantile, rate

DURATION = "aliaport_http_request_duration_seconds"
IDLE = of("node_cpu_seconds_total", 'mode="idle"')
ANY = of("node_cpu_seconds_total")
PROCESSORS = f"count by (job, instance) (rate({IDLE}[$__rate_interval]))"


def busy(over: str) -> str:
    """Return the share of time in which a machine's CPUs are not idle, including stolen time."""
    return f"1 - sum by (instance) ({over.format(IDLE)}) / sum by (instance) ({over.format(ANY)})"


def used(avail: str, size: str, *matchers: str) -> str:
    """Return the share that is in use."""
    return f"1 - {of(avail, *matchers)} / {of(size, *matchers)}"


BASELINES = Section(
    "Baselines",
    (
        graph(
            "CPU Usage",
            "Are the CPUs busy? For the whole machine, and relative to the service's own limit if"
            " it has one. Orange from 60% (average baseline), red from 80% (peak baseline).",
            "percentunit",
            Query(
                f"1 - avg by (instance) (rate({IDLE}[$__rate_interval]))", "machine {{instance}}"
            ),
            Query(f"{of('aliaport_cpu_percent')} / 100", "limit of {{instance}}"),
            limits=baselines.CPU,
            high=1,
            runbooks=("HighCPUUsage",),
        ),
        graph(
            "Memory Usage",
            "Is memory running out? For the whole machine, and relative to the service's own limit"
            " if it has one. Orange from 75% (average baseline), red from 85% (peak baseline).",
            "percentunit",
            Query(
                used("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"),
                "machine {{instance}}",
            ),
            Query(f"{of('aliaport_memory_percent')} / 100", "limit of {{instance}}"),
            limits=baselines.MEMORY,
            high=1,
            runbooks=("HighMemoryUsage",),
        ),
        graph(
            "Disk Usage",
            "Is a disk filling up? All file systems of the machine, and those that the service"
            " monitors. Orange from 80% (baseline), red from 95%.",
            "percentunit",
            Query(
                used("node_filesystem_avail_bytes", "node_filesystem_size_bytes", DISKS),
                "machine {{instance}} {{mountpoint}}",
            ),
            Query(f"{of('aliaport_disk_used_percent')} / 100", "{{instance}} {{mount}}"),
            limits=baselines.DISK,
            high=1,
            runbooks=("DiskUsageHigh", "DiskAlmostFull"),
        ),
        heatmap(
            "Request Duration Heatmap",
            "Is everything slow, or only some requests? A second band above the usual one: a slow"
            " route or a lock. The whole band moves up: the machine.",
            "s",
            Query(f"sum by (le) ({rate(f'{DURATION}_bucket')})", "{{le}}"),
        ),
    ),
)

AVERAGES = Section(
    "Averages and forecasts",
    (
        graph(
            "CPU Average (1h)",
            "Is the machine too small for its load? Baseline: below 60% on average.",
            "percentunit",
            Query(busy("increase({}[1h])"), "{{instance}}"),
            limits=above((0.6, "orange")),
            high=1,
            size=(8, 7),
            runbooks=("CPUBaselineExceeded",),
        ),
        graph(
            "Memory Average (1h)",
            "Does the machine have too little memory? Baseline: below 75% on average.",
            "percentunit",
            Query(
                f"1 - avg_over_time({of('node_memory_MemAvailable_bytes')}[1h])"
                f" / {of('node_memory_MemTotal_bytes')}",
                "{{instance}}",
            ),
            limits=above((0.75, "orange")),
            high=1,
            size=(8, 7),
            runbooks=("MemoryBaselineExceeded",),
        ),
        graph(
            "Disk Left in 4 Hours",
            "Will a disk be full soon? The free space in four hours at the rate of the last six"
            " hours. Below 0: it will be full.",
            "bytes",
            Query(
                f"predict_linear({of('node_filesystem_avail_bytes', DISKS)}[6h], 4 * 3600)",
                "{{instance}} {{mountpoint}}",
            ),
            limits=baselines.below((0, "green")),
            low=None,
            size=(8, 7),
            runbooks=("DiskWillFill",),
        ),
    ),
)

SERVICE = Section(
    "Limits of the service",
    (
        graph(
            "CPU Throttled",
            "Does a CPU quota make the service wait? The share of periods in which it was used up;"
            " from 25% on, responses are late even if the machine is idle.",
            "percentunit",
            Query(
                f"{rate('aliaport_cpu_throttled_periods_total')}"
                f" / ({rate('aliaport_cpu_periods_total')} > 0)",
                "{{instance}}",
            ),
            limits=above((0.25, "orange")),
            high=1,
            size=(8, 7),
            runbooks=("CPUThrottled",),
            no_value="No quota",
        ),
        graph(
            "Memory Left to the Service",
            "How much memory can the service still use before the kernel kills it?",
            "bytes",
            Query(of("aliaport_memory_available_bytes"), "{{instance}}"),
            size=(8, 7),
        ),
        stat(
            "Out of Memory Kills (24h)",
            "Did the kernel kill processes because memory ran out? On the machine, and within the"
            " service's limit.",
            "short",
            Query(f"sum({grown('node_vmstat_oom_kill', over='24h')})", "machine"),
            Query(f"max({grown('aliaport_memory_oom_kills_total', over='24h')})", "service"),
            limits=baselines.ANY,
            size=(8, 7),
            runbooks=("OutOfMemoryKills",),
        ),
        graph(
            "Memory of the Process",
            "Does the service leak memory? It needs about 60MB and stays flat; a slope over hours"
            " is a leak of a plugin or an application.",
            "bytes",
            Query(of("process_resident_memory_bytes"), "{{instance}}"),
            size=(8, 7),
            runbooks=("AliaportMemoryGrowing",),
        ),
        graph(
            "Memory Pressure",
            "Does the service wait for memory? The share of time in which all its tasks waited,"
            " because the file cache is too small. From 10% on, the probe is degraded.",
            "percentunit",
            Query(rate("aliaport_memory_pressure_stalled_seconds_total"), "{{instance}}"),
            limits=above((0.1, "orange")),
            high=1,
            size=(8, 7),
            no_value="Not measured",
        ),
        graph(
            "File Descriptors Used",
            "Does the service leak descriptors? At 100%, it can open no connection and no file.",
            "percentunit",
            Query(f"{of('process_open_fds')} / {of('process_max_fds')}", "{{instance}}"),
            limits=above((0.8, "orange"), (0.95, "red")),
            high=1,
            size=(8, 7),
        ),
        graph(
            "Threads",
            "Does the service leak threads? A plugin that keeps hanging leaves threads behind.",
            "short",
            Query(of("aliaport_threads"), "{{instance}}"),
            size=(8, 7),
        ),
        graph(
            "Inodes Used",
            "Is a disk full although it has space? Every file needs an inode; thousands of small"
            " files can use them all.",
            "percentunit",
            Query(
                f"1 - {of('aliaport_disk_inodes_free')} / ({of('aliaport_disk_inodes')} > 0)",
                "{{instance}} {{mount}}",
            ),
            limits=baselines.DISK,
            high=1,
            size=(8, 7),
        ),
        graph(
            "Response Time (p95)",
            "Did responses get slow when the machine got busy? The same line as in the overview.",
            "s",
            Query(quantile(0.95, DURATION), "all"),
            limits=baselines.RESPONSE_TIME,
            size=(8, 7),
            no_value="No requests",
        ),
    ),
)

MACHINE = Section(
    "The machine",
    (
        graph(
            "Load per Processor",
            "Is the machine overloaded? If it stays above 1, processes queue for CPUs or disks.",
            "short",
            Query(f"{of('node_load5')} / on (job, instance) {PROCESSORS}", "{{instance}}"),
            limits=above((1, "orange"), (2, "red")),
            size=(6, 7),
        ),
        graph(
            "Disks Busy",
            "Are disks the bottleneck? The share of time in which a disk was busy.",
            "percentunit",
            Query(rate("node_disk_io_time_seconds_total"), "{{instance}} {{device}}"),
            limits=above((0.8, "orange"), (0.95, "red")),
            high=1,
            size=(6, 7),
        ),
        graph(
            "Clock Offset",
            "Is the clock wrong? From 50ms on, log times are unreliable; with minutes, tokens and"
            " schedules too.",
            "s",
            Query(of("node_timex_offset_seconds"), "{{instance}}"),
            limits=above((0.05, "orange")),
            low=None,
            size=(6, 7),
            runbooks=("ClockSkewed",),
        ),
        graph(
            "Clock Error Bound",
            "Is the clock synchronized? If not, the kernel lets this value grow to 16s.",
            "s",
            Query(of("node_timex_maxerror_seconds"), "{{instance}}"),
            limits=above((16, "orange")),
            size=(6, 7),
            runbooks=("ClockSkewed",),
        ),
    ),
)

SYSTEM = Board(
    uid="aliaport-system",
    title="System Metrics",
    description="Does the machine slow down the service?",
    targets='{__name__=~"aliaport_build_info|node_uname_info"}',
    sections=(BASELINES, AVERAGES, SERVICE, MACHINE),
)
