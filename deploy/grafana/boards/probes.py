"""The dashboard Aliaport Probes and Plugins: probes, plugins, jobs and logs."""

from . import baselines
from .baselines import above
from .board import Board, Section
from .panels import FAILED_OK, Words, graph, stat, states
from .queries import Query, grown, of, rate

PROBE = "{{plugin}} {{probe}} {{instance}}"
PLUGIN = "{{plugin}} {{instance}}"
JOB = "{{plugin}} {{name}} {{instance}}"
UNHEALTHY = 'status!="healthy"'
FAILED = 'outcome=~"failed|timed_out"'
COMPLAINTS = ('file="app.log"', 'level=~"warning|error"')
STATUS: Words = {0: ("Unhealthy", "red"), 1: ("Degraded", "orange"), 2: ("Healthy", "green")}
PHASE: Words = {
    0: ("Starting", "orange"),
    1: ("Running", "green"),
    2: ("Stopped", "gray"),
    3: ("Rejected", "red"),
}


def phase(name: str, label: str) -> str:
    """Return an expression for the state as a number: one series per plugin, not per state."""
    numbered = []
    for number, (state, _) in PHASE.items():
        selector = of(name, f'state="{state.lower()}"')
        numbered.append(f"{number} * max by ({label}, instance) ({selector} == 1)")
    return " or ".join(numbered)


READY = Section(
    "Readiness",
    (
        states(
            "Critical Probes",
            "Which probe keeps users out? /ready returns 503 while one of these is unhealthy.",
            STATUS,
            Query(
                f"{of('aliaport_probe_status')} and on (job, instance, plugin, probe)"
                f" {of('aliaport_probe_critical')} == 1",
                PROBE,
            ),
            runbooks=("AliaportNotReady", "ReadinessFlapping"),
        ),
        states(
            "Other Probes",
            "What else is unhealthy? These probes do not keep users out, but need attention.",
            STATUS,
            Query(
                f"{of('aliaport_probe_status')} and on (job, instance, plugin, probe)"
                f" {of('aliaport_probe_critical')} == 0",
                PROBE,
            ),
            runbooks=("ProbeFailing", "ProbeDegraded"),
        ),
    ),
)

PROBES_SECTION = Section(
    "Probes",
    (
        graph(
            "Probe Duration",
            "Which probe gets slow? It often does before it fails.",
            "s",
            Query(of("aliaport_probe_duration_seconds"), PROBE),
            size=(8, 8),
        ),
        graph(
            "Time Since Success",
            "How long ago did a probe last succeed? Also grows if nothing runs it.",
            "s",
            Query(f"time() - {of('aliaport_probe_last_success_timestamp_seconds')}", PROBE),
            limits=above((600, "orange")),
            size=(8, 8),
            runbooks=("ProbeNotRun",),
        ),
        graph(
            "Runs in Flight",
            "Does a probe hang? A run that stays at 1 for minutes has not returned.",
            "short",
            Query(of("aliaport_probe_in_flight"), PROBE),
            size=(8, 8),
            runbooks=("PluginStuck",),
        ),
        graph(
            "Timeouts",
            "Which probes do not finish in time? Per step of the graph.",
            "short",
            Query(grown("aliaport_probe_timeouts_total"), PROBE),
            size=(8, 8),
        ),
        graph(
            "Results Other Than Healthy",
            "How often is a probe not healthy? A few now and then mean flapping.",
            "short",
            Query(
                f"sum by (plugin, probe, status) ({grown('aliaport_probe_runs_total', UNHEALTHY)})",
                "{{plugin}} {{probe}} {{status}}",
            ),
            size=(8, 8),
        ),
        graph(
            "Callers per Run",
            "Do many callers request a probe at once? Callers per second that joined a run in"
            " progress: requests come faster than the service can probe.",
            "reqps",
            Query(rate("aliaport_probe_joined_total"), PROBE),
            size=(8, 8),
        ),
    ),
)

PLUGINS = Section(
    "Plugins",
    (
        states(
            "Plugin State",
            "Does every plugin run? The reason for any other state is in its row in /status.",
            PHASE,
            Query(phase("aliaport_plugin_state", "plugin"), PLUGIN),
            runbooks=("PluginRejected", "PluginNotStarted"),
        ),
        states(
            "Mounted Applications",
            "Are the mounted applications reachable? Until they run, their routes return 503.",
            PHASE,
            Query(phase("aliaport_app_state", "app"), "{{app}} {{instance}}"),
        ),
        states(
            "Collectors",
            "Are the plugins' metrics current? A failed collector leaves graphs empty.",
            FAILED_OK,
            Query(of("aliaport_collector_success"), "{{plugin}} {{collector}} {{instance}}"),
            runbooks=("CollectorFailing",),
        ),
        graph(
            "Collector Duration",
            "Why are scrapes slow? A scrape waits for every collector.",
            "s",
            Query(
                of("aliaport_collector_duration_seconds"), "{{plugin}} {{collector}} {{instance}}"
            ),
        ),
        graph(
            "Series Dropped",
            "Are samples dropped? Invalid or excessive samples of a plugin, by reason.",
            "short",
            Query(
                f"sum by (plugin, reason) ({grown('aliaport_plugin_series_dropped_total')})",
                "{{plugin}} {{reason}}",
            ),
            runbooks=("PluginSeriesDropped",),
            no_value="None",
        ),
        graph(
            "Tasks",
            "Does a plugin leak tasks? Then its line only rises.",
            "short",
            Query(of("aliaport_plugin_tasks"), PLUGIN),
        ),
    ),
)

JOBS = Section(
    "Jobs",
    (
        graph(
            "Time Since Success of Jobs",
            "Is a job overdue? Compare the time since its last success with its schedule.",
            "s",
            Query(f"time() - {of('aliaport_job_last_success_timestamp_seconds')}", JOB),
            size=(8, 8),
        ),
        graph(
            "Failed Runs",
            "Which jobs fail? Per hour. A pending run does not count as failed: it was too early.",
            "short",
            Query(
                "sum by (plugin, name, outcome)"
                f" ({grown('aliaport_job_runs_total', FAILED, over='1h')})",
                "{{plugin}} {{name}} {{outcome}}",
            ),
            size=(8, 8),
            runbooks=("JobFailing",),
        ),
        stat(
            "Missed Runs (24h)",
            "Was scheduled work not done in time? The number of missed runs.",
            "short",
            Query(
                f"sum by (plugin, name) ({grown('aliaport_job_missed_runs_total', over='24h')})",
                "{{plugin}} {{name}}",
            ),
            limits=baselines.ANY,
            size=(8, 8),
            runbooks=("JobMissedRuns",),
            no_value="No scheduled job",
        ),
    ),
)

LOGS = Section(
    "Logs",
    (
        states(
            "Log Files Written",
            "Does the log reach the disk? It does not while the disk is full, read-only or stuck.",
            {0: ("OK", "green"), 1: ("Failing", "red")},
            Query(of("aliaport_log_failing"), "{{file}} {{instance}}"),
            runbooks=("LogWriteFailing",),
        ),
        graph(
            "Log Events Dropped",
            "Is the log incomplete? Events that were dropped because the disk did not keep up.",
            "short",
            Query(
                f"sum by (file, instance) ({grown('aliaport_log_events_dropped_total')})",
                "{{file}} {{instance}}",
            ),
            Query(
                f"sum by (instance) ({grown('aliaport_log_stdout_dropped_total')})",
                "standard output {{instance}}",
            ),
            runbooks=("LogEventsDropped",),
        ),
        stat(
            "Audit Actions Refused (24h)",
            "Were actions refused because they could not be recorded?",
            "short",
            Query(
                f"sum by (instance) ({grown('aliaport_log_audit_refused_total', over='24h')})",
                "{{instance}}",
            ),
            limits=baselines.ANY,
            size=(6, 8),
            runbooks=("AuditLogRefusing",),
        ),
        graph(
            "Log Events Waiting",
            "Does the disk keep up? If the line keeps rising, events will be dropped.",
            "short",
            Query(of("aliaport_log_events_waiting"), "{{file}} {{instance}}"),
            size=(9, 8),
        ),
        graph(
            "Errors and Warnings Logged",
            "Since when are there errors? The texts are in Kibana, or in error.log.",
            "short",
            Query(
                f"sum by (level) ({grown('aliaport_log_events_written_total', *COMPLAINTS)})",
                "{{level}}",
            ),
            size=(9, 8),
        ),
    ),
)

PROBES = Board(
    uid="aliaport-probes",
    title="Aliaport Probes and Plugins",
    description="Which part of the service is unhealthy, and does it still monitor itself?",
    targets="aliaport_build_info",
    sections=(READY, PROBES_SECTION, PLUGINS, JOBS, LOGS),
)
