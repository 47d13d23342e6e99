"""The metrics of the host about itself, its plugins, probes, collectors and jobs."""

import platform
import threading
import time
from collections.abc import Mapping

from aliaport import __version__
from aliaport.contract.declarations import Metric, Status
from aliaport.host.host import Host
from aliaport.host.lifecycle import State
from aliaport.host.limits import LimitLog
from aliaport.metrics.registry import Samples

_PROBE = ("plugin", "probe")
PROBE_STATUS = Metric.gauge(
    "aliaport_probe_status", "Last result: 2 healthy, 1 degraded, 0 unhealthy.", _PROBE
)
PROBE_SUCCESS = Metric.gauge(
    "aliaport_probe_success", "1 if the last result was healthy or degraded, otherwise 0.", _PROBE
)
PROBE_CRITICAL = Metric.gauge(
    "aliaport_probe_critical", "1 if /ready depends on the probe, otherwise 0.", _PROBE
)
PROBE_DURATION = Metric.gauge(
    "aliaport_probe_duration_seconds", "Duration of the last run.", _PROBE
)
PROBE_RUNS = Metric.counter(
    "aliaport_probe_runs_total", "Probe runs, by result.", (*_PROBE, "status")
)
PROBE_TIMEOUTS = Metric.counter(
    "aliaport_probe_timeouts_total", "Probe runs that timed out.", _PROBE
)
PROBE_LAST_SUCCESS = Metric.gauge(
    "aliaport_probe_last_success_timestamp_seconds", "Time of the last successful run.", _PROBE
)
PROBE_IN_FLIGHT = Metric.gauge("aliaport_probe_in_flight", "Runs that have not ended.", _PROBE)
PROBE_JOINED = Metric.counter(
    "aliaport_probe_joined_total", "Callers that joined a run started by another caller.", _PROBE
)
PLUGIN_STATE = Metric(
    "aliaport_plugin_state",
    "1 for the current state of the plugin, 0 for the others.",
    ("plugin", "state"),
)
APP_STATE = Metric(
    "aliaport_app_state",
    "1 for the current state of the mounted application, 0 for the others.",
    ("app", "state"),
)
PLUGIN_TASKS = Metric("aliaport_plugin_tasks", "Live asyncio tasks of the plugin.", ("plugin",))
COLLECTOR_SUCCESS = Metric.gauge(
    "aliaport_collector_success",
    "1 if the last collection returned its samples in time and all were valid, otherwise 0.",
    ("plugin", "collector"),
)
COLLECTOR_DURATION = Metric.gauge(
    "aliaport_collector_duration_seconds",
    "Duration of the last collection.",
    ("plugin", "collector"),
)
JOB_RUNS = Metric.counter(
    "aliaport_job_runs_total", "Runs of periodic jobs.", ("plugin", "name", "outcome")
)
JOB_LAST_SUCCESS = Metric.gauge(
    "aliaport_job_last_success_timestamp_seconds",
    "Time of the last successful run of the job.",
    ("plugin", "name"),
)
JOB_MISSED = Metric.counter(
    "aliaport_job_missed_runs_total",
    "Times that scheduled work of the job was not done within its margin.",
    ("plugin", "name"),
)
JOB_LAST_DUE = Metric.gauge(
    "aliaport_job_last_due_timestamp_seconds",
    "Time at which scheduled work of the job was last due.",
    ("plugin", "name"),
)
SERIES_DROPPED = Metric.counter(
    "aliaport_plugin_series_dropped_total",
    "Samples dropped and not exported, by reason.",
    ("plugin", "reason"),
)
LOOP_LAG = Metric.gauge(
    "aliaport_http_loop_lag_seconds", "Worst lag of the HTTP loop since the last scrape."
)
LIMIT_REACHED = Metric.counter(
    "aliaport_limit_reached_total",
    "Times that a limit was reached, by the name of its log event.",
    ("limit",),
)
HTTP_CONNECTIONS = Metric.gauge(
    "aliaport_http_connections", "Open HTTP connections, by listener.", ("listener",)
)
HTTP_CONNECTIONS_MAX = Metric.gauge(
    "aliaport_http_connections_max",
    "HTTP connections at which the listener refuses further ones.",
    ("listener",),
)
THREADS = Metric.gauge("aliaport_threads", "Threads of the process.")
BUILD_INFO = Metric.gauge("aliaport_build_info", "Always 1.", ("version", "python"))
STARTED = Metric.gauge("aliaport_start_timestamp_seconds", "Start time of the process.")
_STARTED = time.time()

FAMILIES = (
    *(PROBE_STATUS, PROBE_SUCCESS, PROBE_CRITICAL, PROBE_DURATION, PROBE_RUNS, PROBE_TIMEOUTS),
    *(PROBE_LAST_SUCCESS, PROBE_IN_FLIGHT, PROBE_JOINED, PLUGIN_STATE, APP_STATE, PLUGIN_TASKS),
    *(COLLECTOR_SUCCESS, COLLECTOR_DURATION, JOB_RUNS, JOB_LAST_SUCCESS, JOB_MISSED),
    *(
        JOB_LAST_DUE,
        SERIES_DROPPED,
        LIMIT_REACHED,
        HTTP_CONNECTIONS,
        HTTP_CONNECTIONS_MAX,
        LOOP_LAG,
        THREADS,
        BUILD_INFO,
        STARTED,
    ),
)
_STATES = [(state, state.value) for state in State]
_STATUSES = [(status, status.value) for status in Status]
_BUILD = (__version__, platform.python_version())
_STATUS_VALUES = {Status.HEALTHY: 2.0, Status.DEGRADED: 1.0, Status.UNHEALTHY: 0.0}


def host_samples(
    host: Host,
    *,
    loop_lag: float,
    app_states: Mapping[str, str],
    limits: LimitLog,
    connections: Mapping[str, tuple[int, int]],
) -> dict[str, Samples]:
    """Return the host's current samples by family. Only these may carry the label `plugin`.

    `app_states` has the state of each mounted application, by name, `connections` how many each
    listener has and may have.
    """
    samples: dict[str, Samples] = {metric.name: {} for metric in FAMILIES}
    samples[LOOP_LAG.name][()] = loop_lag
    samples[LIMIT_REACHED.name] = limits.samples()
    for listener, (count, capacity) in connections.items():
        samples[HTTP_CONNECTIONS.name][(listener,)] = float(count)
        samples[HTTP_CONNECTIONS_MAX.name][(listener,)] = float(capacity)
    samples[THREADS.name][()] = float(threading.active_count())
    samples[BUILD_INFO.name][_BUILD] = 1.0
    samples[STARTED.name][()] = _STARTED
    for name, app_state in app_states.items():
        for state in (State.STARTING, State.RUNNING, State.REJECTED):
            samples[APP_STATE.name][name, state.value] = float(state.value == app_state)
    for name, plugin_state in _states(host).items():
        for state, text in _STATES:
            samples[PLUGIN_STATE.name][name, text] = float(state is plugin_state)
    for instance in host.instances:
        if instance.alive:
            samples[PLUGIN_TASKS.name][(instance.name,)] = float(instance.tasks)
        for collector in instance.collectors:
            labels = (instance.name, collector.collector.name)
            samples[COLLECTOR_SUCCESS.name][labels] = float(collector.stats.success)
            samples[COLLECTOR_DURATION.name][labels] = collector.stats.duration
        for job in instance.jobs:
            for outcome, count in job.outcomes.items():
                samples[JOB_RUNS.name][instance.name, job.job.name, outcome] = float(count)
            if job.last_success is not None:
                succeeded = job.last_success.timestamp()
                samples[JOB_LAST_SUCCESS.name][instance.name, job.job.name] = succeeded
            if (due := job.last_due) is not None:
                samples[JOB_LAST_DUE.name][instance.name, job.job.name] = due.timestamp()
                samples[JOB_MISSED.name][instance.name, job.job.name] = float(job.missed)
    _probe_samples(host, samples)
    for (plugin, reason), count in host.registry.dropped_series().items():
        samples[SERIES_DROPPED.name][plugin, reason] = float(count)
    return samples


def _states(host: Host) -> dict[str, State]:
    """Return the states by name; of plugins that share one, the one that runs counts."""
    ordered = sorted(host.instances, key=lambda instance: instance.alive)
    return {instance.name: instance.state for instance in ordered}


def _probe_samples(host: Host, samples: dict[str, Samples]) -> None:
    for runner in host.runners.values():
        labels = (runner.plugin, runner.probe.name)
        known = runner.stats
        for status, text in _STATUSES:
            samples[PROBE_RUNS.name][*labels, text] = float(known.runs[status])
        samples[PROBE_CRITICAL.name][labels] = float(runner.critical)
        samples[PROBE_TIMEOUTS.name][labels] = float(known.timeouts)
        samples[PROBE_IN_FLIGHT.name][labels] = float(runner.in_flight)
        samples[PROBE_JOINED.name][labels] = float(runner.joined)
        if (last := runner.known) is not None:
            samples[PROBE_STATUS.name][labels] = _STATUS_VALUES[last.status]
            samples[PROBE_SUCCESS.name][labels] = float(last.status is not Status.UNHEALTHY)
        if known.last_duration is not None:
            samples[PROBE_DURATION.name][labels] = known.last_duration
        if known.last_success is not None:
            samples[PROBE_LAST_SUCCESS.name][labels] = known.last_success
