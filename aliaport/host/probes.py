"""Runs probes: one run of each at a time, with its result for the callers that waited for it."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from aliaport.contract.declarations import CODE, HOST_CODES, Check, Probe, Scalar, Status
from aliaport.isolation.bulkhead import Bulkhead
from aliaport.isolation.failures import Failure
from aliaport.isolation.run import Run
from aliaport.isolation.single_flight import SingleFlight
from aliaport.plugin import Logger
from aliaport.printable import plain_text
from aliaport.redaction import redact, shorten
from aliaport.settings import ProbeSettings

SUMMARY_LIMIT = 300
DATA_LIMIT = 32
SLOW_LOG_EVERY = 60.0
"""Minimum seconds between warnings that a probe is slow."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one probe for one caller.

    `duration` is in seconds. `checked_at` is the time at which the run began, `since` the time at
    which a stuck run began (both in seconds since the epoch). `where` is a line of plugin code.
    """

    status: Status
    code: str
    summary: str = ""
    data: Mapping[str, Scalar] = field(default_factory=dict)
    duration: float | None = None
    checked_at: float | None = None
    since: float | None = None
    where: str = ""

    @property
    def duration_ms(self) -> float | None:
        """The duration in milliseconds, None if the run has not ended."""
        return None if self.duration is None else self.duration * 1000


UNKNOWN = ProbeResult(Status.UNHEALTHY, "starting")
"""The result of a probe that has not run yet."""


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One probe and its result. `critical` includes the operator's override."""

    probe: Probe
    plugin: str
    critical: bool
    result: ProbeResult

    @property
    def works(self) -> bool:
        """True unless the result is unhealthy."""
        return self.result.status is not Status.UNHEALTHY

    @property
    def word(self) -> str:
        """The probe's own word for its status."""
        healthy, unhealthy = self.probe.words or ("healthy", "unhealthy")
        if self.probe.words is None and self.result.status is Status.DEGRADED:
            return "degraded"
        return healthy if self.works else unhealthy


@dataclass(slots=True)
class ProbeStats:
    """The counters of one probe, for /metrics."""

    runs: Counter[str] = field(default_factory=Counter)
    timeouts: int = 0
    last_duration: float | None = None
    last_success: float | None = None


class ProbeRunner:
    """One probe as the host runs it. Use it on the HTTP loop only.

    `unavailable_result` returns the result of a plugin that is not running, otherwise None.
    """

    def __init__(
        self,
        probe: Probe,
        plugin: str,
        bulkhead: Bulkhead,
        log: Logger,
        *,
        critical: bool,
        timeout: float,
        min_interval: float,
        unavailable_result: Callable[[], ProbeResult | None],
    ) -> None:
        self.probe = probe
        self.plugin = plugin
        self.critical = critical
        self.timeout = timeout
        self.stats = ProbeStats()
        self.last: ProbeResult | None = None
        self._log = log
        self._min_interval = min_interval
        self._unavailable_result = unavailable_result
        self._flight = SingleFlight(
            bulkhead, probe.run, timeout=timeout, freeze=freeze_check, slot=f"probe-{probe.name}"
        )
        self._ended = float("-inf")
        self._slow_logged = float("-inf")
        self._raised: tuple[str, str] | None = None

    @classmethod
    def under_policy(
        cls,
        probe: Probe,
        plugin: str,
        bulkhead: Bulkhead,
        log: Logger,
        policy: ProbeSettings,
        unavailable_result: Callable[[], ProbeResult | None],
    ) -> "ProbeRunner":
        """Build a runner; the operator's settings override the author's defaults."""
        return cls(
            probe,
            plugin,
            bulkhead,
            log,
            critical=probe.critical if policy.critical is None else policy.critical,
            timeout=policy.timeout or probe.timeout,
            min_interval=policy.min_interval,
            unavailable_result=unavailable_result,
        )

    @property
    def in_flight(self) -> bool:
        """True while a run has not ended."""
        return self._flight.in_flight is not None

    @property
    def known(self) -> ProbeResult | None:
        """The reason why it cannot run, or else its last result; does not run it."""
        return self._unavailable_result() or self.last

    @property
    def joined(self) -> int:
        """The number of callers that joined a run started by another caller."""
        return self._flight.joined

    def row(self, result: ProbeResult | None = None) -> ProbeRow:
        """Return the probe's row with `result`, or else with what is known without a run."""
        known = result or self.known or UNKNOWN
        return ProbeRow(self.probe, self.plugin, self.critical, known)

    def request(self, callers: int = 1) -> ProbeResult | Run:
        """Return a result that is already available, otherwise the run that `callers` wait for."""
        unavailable = self._unavailable_result()
        if unavailable is not None:
            return unavailable
        if self.last and time.monotonic() - self._ended < self._min_interval and not self.in_flight:
            return self.last
        run, begun = self._flight.join_or_start(callers)
        if run.expired:
            return self._overdue(run, "stuck")
        if begun:
            run.done.add_done_callback(lambda _: self._settle(run))
            asyncio.get_running_loop().call_later(self.timeout / 2, self._warn_if_slow, run)
        return run

    def read(self, run: Run) -> ProbeResult:
        """Return the result of `run`, even if the HTTP loop has not been notified of it yet."""
        if isinstance(run.settled, ProbeResult):
            return run.settled
        return self._ended_result(run) if run.completed else self._overdue(run, "timeout")

    def _settle(self, run: Run) -> None:
        result = run.settled = self.read(run)
        before, self.last = self.last, result
        self._ended = time.monotonic()
        self._count(result)
        if before is None or (before.status, before.code) != (result.status, result.code):
            self._log_change(before, result)
        self._log_raised(run.failure if result.code == "error" else None)
        if not run.finished:
            run.on_finish(lambda: self._log_late_end(run))

    def _ended_result(self, run: Run) -> ProbeResult:
        duration = (run.ended or 0.0) - run.submitted
        checked_at = time.time() - (time.monotonic() - run.submitted)
        failure = run.failure
        if failure is None:
            check = run.value
            return ProbeResult(
                check.status, check.code, check.summary, check.data, duration, checked_at
            )
        code = "invalid" if failure.type == InvalidResultError.__name__ else "error"
        summary = failure.message if code == "invalid" else f"{failure.type}: {failure.message}"
        return ProbeResult(
            Status.UNHEALTHY, code, summary, {}, duration, checked_at, where=failure.where
        )

    def _overdue(self, run: Run, code: str) -> ProbeResult:
        now = time.monotonic()
        began_at = time.time() - (now - run.submitted)
        duration = now - run.submitted
        if run.began is None:
            code = "blocked"
            summary = "the plugin's event loop is blocked by the call shown in `where`"
        elif code == "stuck":
            summary = f"a run started {duration:.0f} s ago has not ended"
        else:
            summary = f"no result within {self.timeout:g} s"
        return ProbeResult(
            Status.UNHEALTHY,
            code,
            summary,
            duration=duration if code != "stuck" else None,
            checked_at=began_at,
            since=began_at if run.expired else None,
            where=run.where() if code == "stuck" else run.expired_where or run.where(),
        )

    def _count(self, result: ProbeResult) -> None:
        stats = self.stats
        stats.runs[result.status] += 1
        stats.last_duration = result.duration
        if result.code in ("timeout", "blocked"):
            stats.timeouts += 1
        if result.status is not Status.UNHEALTHY:
            stats.last_success = time.time()

    def _warn_if_slow(self, run: Run) -> None:
        now = time.monotonic()
        if run.finished or now - self._slow_logged < SLOW_LOG_EVERY:
            return
        self._slow_logged = now
        self._log.warning(
            "probe.slow",
            probe=self.probe.name,
            running_s=round(now - run.submitted, 3),
            timeout_s=self.timeout,
            where=run.where(),
        )

    def _log_change(self, before: ProbeResult | None, result: ProbeResult) -> None:
        if before is None and result.status is Status.HEALTHY:
            log = self._log.debug
        else:
            log = self._log.info if result.status is Status.HEALTHY else self._log.warning
        log(
            "probe.changed",
            probe=self.probe.name,
            critical=self.critical,
            previous=before.status.value if before else None,
            previous_code=before.code if before else None,
            status=result.status.value,
            code=result.code,
            summary=result.summary,
            where=result.where,
        )

    def _log_raised(self, failure: Failure | None) -> None:
        """Log the traceback of a run that raised, unless the last run raised in the same place."""
        raised = (failure.type, failure.where) if failure else None
        if failure and raised != self._raised:
            self._log.error(
                "probe.raised",
                probe=self.probe.name,
                critical=self.critical,
                reason=str(failure),
                where=failure.where,
                traceback=failure.traceback,
            )
        self._raised = raised

    def _log_late_end(self, run: Run) -> None:
        self._log.info(
            "probe.overdue_run_ended",
            probe=self.probe.name,
            lasted_s=round((run.ended or time.monotonic()) - run.submitted, 3),
        )


async def run_probes(
    runners: Sequence[ProbeRunner], timeout: float, callers: int = 1
) -> list[ProbeRow]:
    """Run all concurrently; return a row for each after at most `timeout` seconds."""
    requested = [(runner, runner.request(callers)) for runner in runners]
    pending = {found.done for _, found in requested if isinstance(found, Run)}
    if pending:
        await asyncio.wait(pending, timeout=timeout)
    return [
        runner.row(runner.read(found) if isinstance(found, Run) else found)
        for runner, found in requested
    ]


class InvalidResultError(Exception):
    """A probe returned something that the contract does not allow."""


def freeze_check(value: object) -> Check:
    """Return a Check of plain values only; raise InvalidResultError if `value` is not a Check.

    Subclasses of str and int are copied by the base type's own methods, so none of their code runs
    outside the plugin.
    """
    if not isinstance(value, Check):
        kind = type(value).__name__
        raise InvalidResultError(
            f"the probe returned {kind}; return Check.healthy(…) or another Check"
        )
    try:
        status = Status(value.status)
    except ValueError:
        raise InvalidResultError("Check.status must be healthy, degraded or unhealthy") from None
    summary: object = value.summary
    data: object = value.data
    if not isinstance(summary, str) or not isinstance(data, Mapping):
        raise InvalidResultError("Check.summary must be text and Check.data a mapping")
    code: object = value.code or ("ok" if status is Status.HEALTHY else "failed")
    if not isinstance(code, str) or CODE.fullmatch(code) is None or code in HOST_CODES:
        raise InvalidResultError(
            f"Check.code must match {CODE.pattern} and must not be one of the host's own codes "
            f"({', '.join(sorted(HOST_CODES))})"
        )
    plain: dict[str, Scalar] = {}
    for key, item in islice(data.items(), DATA_LIMIT):
        if not isinstance(key, str):
            raise InvalidResultError("the keys of Check.data must be text")
        plain[_text(key)] = _scalar(key, item)
    return Check(status, _text(summary), plain, _text(code))


def _text(text: str) -> str:
    return plain_text(redact(shorten(text, SUMMARY_LIMIT)))


def _scalar(key: str, value: object) -> Scalar:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        number = float.__add__(value, 0.0)
        return number if math.isfinite(number) else None
    if isinstance(value, int):
        whole = int.__add__(value, 0)
        return whole if -(2**53) <= whole <= 2**53 else float(min(max(whole, -(10**300)), 10**300))
    raise InvalidResultError(
        f"Check.data[{_text(key)!r}] is {type(value).__name__}; use text, numbers, booleans or None"
    )
