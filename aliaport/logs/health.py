"""The built-in probe `log`, and the samples of the log for /metrics."""

import errno
import time

from aliaport.contract.declarations import Check, Metric, Probe, Scalar
from aliaport.logs.pipeline import Logs
from aliaport.metrics.registry import Samples

PROBE = "log"

BLOCKED_AFTER = 10.0
"""Seconds after which a write counts as blocked by the disk, or by the network behind it."""

DROPPING_FOR = 300.0
"""Seconds for which the probe stays degraded after events were dropped."""

_FILE = ("file",)
_LEVELS = ("file", "level")
WRITTEN = Metric.counter("aliaport_log_events_written_total", "Events written.", _LEVELS)
DROPPED = Metric.counter(
    "aliaport_log_events_dropped_total", "Events dropped because the disk did not keep up.", _LEVELS
)
WAITING = Metric.gauge("aliaport_log_events_waiting", "Events waiting for the disk.", _FILE)
LAST_WRITE = Metric.gauge(
    "aliaport_log_last_write_timestamp_seconds", "Unix time of the last successful write.", _FILE
)
FAILING = Metric.gauge("aliaport_log_failing", "1 while writes fail or are stuck.", _FILE)
AUDIT_REFUSED = Metric.counter(
    "aliaport_log_audit_refused_total", "Actions that the audit log could not record."
)
STREAM_DROPPED = Metric.counter(
    "aliaport_log_stdout_dropped_total", "Lines dropped because nobody reads standard output."
)
FAMILIES = (WRITTEN, DROPPED, WAITING, LAST_WRITE, FAILING, AUDIT_REFUSED, STREAM_DROPPED)


class LogHealth:
    """Reports the state of this process's log; call `samples` and `check` in any thread."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._seen_dropped = 0
        self._dropped_at = float("-inf")

    def probe(self) -> Probe:
        """Return the probe `log`."""
        return Probe(name=PROBE, title="Log files", run=self.check, timeout=0.5)

    async def check(self) -> Check:
        """Check the state of the writers, without touching a file."""
        now, states = time.monotonic(), {}
        waiting = dropped = 0
        oldest_write = 0.0
        for name, writer in self._logs.writers.items():
            states[name] = writer.state
            waiting += len(writer.backlog)
            dropped += sum(writer.backlog.dropped.values())
            if writer.state.last_write is not None:
                oldest_write = max(oldest_write, writer.state.last_write)
        if dropped > self._seen_dropped:
            self._seen_dropped, self._dropped_at = dropped, now
        data: dict[str, Scalar] = {
            "last_write_s_ago": round(time.time() - oldest_write, 1) if oldest_write else None,
            "waiting": waiting,
            "dropped": dropped,
            "audit_refused": self._logs.audit_writer.refused,
        }
        for name, state in states.items():
            fault, busy_for = state.fault, state.busy_for()
            if fault == errno.ENOSPC:
                text = f"{name}: the disk is full; free space on it"
                return Check.unhealthy(text, code="disk_full", **data)
            if fault is not None:
                text = f"{name}: {errno.errorcode.get(fault, fault)}"
                return Check.unhealthy(text, code="unwritable", **data)
            if busy_for > BLOCKED_AFTER:
                text = f"{name}: a write has been blocked for {busy_for:.0f} s"
                return Check.unhealthy(text, code="blocked", **data)
        if now - self._dropped_at < DROPPING_FOR:
            return Check.degraded(
                f"events dropped since the start: {dropped}", code="dropping", **data
            )
        return Check.healthy(f"events waiting: {waiting}", code="ok", **data)

    def samples(self) -> dict[str, Samples]:
        """Return the samples for /metrics, by family."""
        samples: dict[str, Samples] = {metric.name: {} for metric in FAMILIES}
        for name, writer in self._logs.writers.items():
            state = writer.state
            for level in ("debug", "info", "warning", "error"):
                samples[WRITTEN.name][name, level] = float(state.written[level])
                samples[DROPPED.name][name, level] = float(writer.backlog.dropped[level])
            samples[WAITING.name][(name,)] = float(len(writer.backlog))
            stuck = state.busy_for() > BLOCKED_AFTER
            samples[FAILING.name][(name,)] = float(state.fault is not None or stuck)
            if state.last_write is not None:
                samples[LAST_WRITE.name][(name,)] = state.last_write
        audit, stream = self._logs.audit_writer, self._logs.stream
        samples[WRITTEN.name]["audit.log", "info"] = float(audit.recorded)
        samples[AUDIT_REFUSED.name][()] = float(audit.refused)
        samples[STREAM_DROPPED.name][()] = float(stream.dropped if stream else 0)
        if audit.last_write is not None:
            samples[LAST_WRITE.name]["audit.log",] = audit.last_write
        return samples
