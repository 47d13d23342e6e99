"""Does the machine hold the service back?"""

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
    """The share of a machine's processors that is not idle; stolen time counts, too."""
    return f"1 - sum by (instance) ({over.format(IDLE)}) / sum by (instance) ({over.format(ANY)})"


def used(avail: str, size: str, *matchers: str) -> str:
    """The share that is taken of what there is."""
    return f"1 - {of(avail, *matchers)} / {of(size, *matchers)}"


BASELINES = Section(
    "Baselines",
    (
        graph(
            "CPU Usage",
            "Are the processors busy? Of the whole machine, and of the service's own limit if it"
            " has one. Orange from 60% (baseline on average), red from 80% (peak).",
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
            "Is memory running out? Of the whole machine, and of the service's own limit if it"
            " has one. Orange from 75% (baseline on average), red from 85% (peak).",
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
            "Is a disk running full? Every file system of the machine, and those that the service"
            " watches. Orange from 80% (baseline), red from 95% on.",
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
            "Is everything slow, or only some requests? A second band above the usual one is a"
            " slow route or a lock; a band that moves up as a whole is the machine.",
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
            "Is the machine too small for its work? The baseline is below 60% on average.",
            "percentunit",
            Query(busy("increase({}[1h])"), "{{instance}}"),
            limits=above((0.6, "orange")),
            high=1,
            size=(8, 7),
            runbooks=("CPUBaselineExceeded",),
        ),
        graph(
            "Memory Average (1h)",
            "Is there too little memory for the work? The baseline is below 75% on average.",
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
            "Will a disk be full before the morning? What would be free in four hours if it goes"
            " on as in the last six. Below nothing: it will.",
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
            "Does a quota make the service wait? The share of periods in which it was used up;"
            " from 25% on answers come late however idle the machine is.",
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
            "How much may it still take before the kernel kills it?",
            "bytes",
            Query(of("aliaport_memory_available_bytes"), "{{instance}}"),
            size=(8, 7),
        ),
        stat(
            "Out of Memory Kills (24h)",
            "Did the kernel kill programs for want of memory? On the machine, and within the"
            " limit of the service.",
            "short",
            Query(f"sum({grown('node_vmstat_oom_kill', over='24h')})", "machine"),
            Query(f"max({grown('aliaport_memory_oom_kills_total', over='24h')})", "service"),
            limits=baselines.ANY,
            size=(8, 7),
            runbooks=("OutOfMemoryKills",),
        ),
        graph(
            "Threads",
            "Does the service leak threads? A plugin that hangs again and again leaves some.",
            "short",
            Query(of("aliaport_threads"), "{{instance}}"),
            size=(8, 7),
        ),
        graph(
            "Inodes Used",
            "Is a disk full though it has space? Every file takes an inode; log files by the"
            " thousand can use them all.",
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
            "Did answers become slow when the machine became busy? The same line as in the"
            " overview, next to what may explain it.",
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
            "Do more programs want to run than can? Above 1 for long, they queue for processors"
            " or for disks.",
            "short",
            Query(f"{of('node_load5')} / on (job, instance) {PROCESSORS}", "{{instance}}"),
            limits=above((1, "orange"), (2, "red")),
            size=(6, 7),
        ),
        graph(
            "Disks Busy",
            "Do disks hold everything up? The share of time in which a disk had work.",
            "percentunit",
            Query(rate("node_disk_io_time_seconds_total"), "{{instance}} {{device}}"),
            limits=above((0.8, "orange"), (0.95, "red")),
            high=1,
            size=(6, 7),
        ),
        graph(
            "Clock Offset",
            "Is the clock wrong? From 50ms on, times in logs, tokens and schedules go astray.",
            "s",
            Query(of("node_timex_offset_seconds"), "{{instance}}"),
            limits=above((0.05, "orange")),
            low=None,
            size=(6, 7),
            runbooks=("ClockSkewed",),
        ),
        graph(
            "Clock Error Bound",
            "Does anything set the clock? The kernel lets this grow to 16s while nothing does.",
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
    description="Does the machine hold the service back?",
    targets='{__name__=~"aliaport_build_info|node_uname_info"}',
    sections=(BASELINES, AVERAGES, SERVICE, MACHINE),
)
