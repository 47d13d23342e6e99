"""Error tracking of the service: follows every logged event and the runs of jobs."""

import atexit
import threading
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from aliaport.contract.declarations import Job
from aliaport.errors import StartupError
from aliaport.sentry.checkins import CheckIn, JobCheckIns
from aliaport.sentry.events import (
    fingerprint,
    logger_name,
    make_event,
    printed,
    raised,
    recovery,
    sentry_level,
)
from aliaport.sentry.sampling import Quota, default_rate
from aliaport.settings.sentry_dsn import check_dsn

if TYPE_CHECKING:
    from aliaport.sentry.client import Client

Event = MutableMapping[str, Any]

LAST_FLUSH = 1.0
"""Maximum seconds that the exit waits for Sentry."""

MAX_RECOVERIES = 20


def start_sentry(
    dsn: str, *, environment: str, version: str, traces_sample_rate: float | None = None
) -> "Sentry":
    """Start error tracking; call it once in a process, before the first listener is made.

    `traces_sample_rate` is the share of requests to trace, from 0 to 1; by default all in
    development and a tenth elsewhere. Raises StartupError, which shows no key, for a bad DSN.
    """
    try:
        check_dsn(dsn)
    except ValueError as error:
        raise StartupError(f"SENTRY_DSN {error}") from None
    # Imported here because it is slow, and a service without a DSN does not need it.
    from aliaport.sentry.client import Client

    rate = default_rate(environment) if traces_sample_rate is None else traces_sample_rate
    return Sentry(Client(dsn, environment, f"aliaport@{version}", rate))


class Sentry:
    """Error tracking of a running service. Its methods never raise, and only `flush` waits."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._quota = Quota()
        self._recoveries: deque[dict[str, Any]] = deque(maxlen=MAX_RECOVERIES)
        self._lock = threading.Lock()
        self._failed = 0

    @property
    def lost(self) -> int:
        """Envelopes that Sentry did not accept, and events that could not be prepared for it."""
        return self._client.lost + self._failed

    def processor(self, _logger: Any, method: str, event: Event) -> Event:
        """Handle an event in the thread that logs it, with its `exc_info`; return it unchanged.

        A structlog processor that sends errors and changes of probes for the worse; a recovery is
        sent with the next error.
        """
        self._guard(lambda: self._handle(method, event))
        return event

    def job_observer(self, plugin: str, job: Job) -> JobCheckIns | None:
        """Return the observer of the job's runs, or None for a job without a schedule."""
        if job.schedule is None:
            return None
        return JobCheckIns(plugin, job, job.schedule, self._check_in)

    def flush(self, seconds: float = LAST_FLUSH) -> None:
        """Wait up to `seconds` until everything is sent; call it in a thread that may block."""
        self._guard(lambda: self._client.flush(seconds))

    def flush_at_exit(self) -> None:
        """Flush when the interpreter exits, so that the error that ended it is sent too."""
        atexit.register(self.flush)

    def _handle(self, method: str, event: Event) -> None:
        level = sentry_level(method, event)
        if not level:
            self._note_recovery(event)
            return
        library = logger_name(event)
        if library.startswith("sentry_sdk"):
            return  # the SDK must not send errors about its own failures
        error, text = raised(event.get("exc_info")), None
        if error is None:
            text = printed(event)
        kind = text["type"] if text else type(error).__qualname__ if error else ""
        grouping = fingerprint(event, kind)
        left_out = self._quota.admit((library, *grouping))
        if left_out is None:
            return
        exceptions = [text] if text else self._client.describe(error) if error else []
        made = make_event(event, level, grouping, exceptions)
        if left_out:
            made["tags"]["left_out_before"] = str(left_out)
        with self._lock:
            made["breadcrumbs"] = {"values": list(self._recoveries)}
        self._client.send_event(made, error)

    def _note_recovery(self, event: Event) -> None:
        crumb = recovery(event)
        if crumb is not None:
            with self._lock:
                self._recoveries.append(crumb)

    def _check_in(self, check_in: CheckIn) -> None:
        self._guard(lambda: self._client.send_check_in(check_in))

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # a bulkhead: an error of the SDK must not affect logging or jobs
            self._failed += 1
