"""Error tracking as the service sees it: sees each event that is logged and watches the jobs."""

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
"""Seconds that the exit waits at most for Sentry."""

MAX_RECOVERIES = 20


def start_sentry(
    dsn: str, *, environment: str, version: str, traces_sample_rate: float | None = None
) -> "Sentry":
    """Start error tracking; call it once in a process, before the first listener is made.

    `traces_sample_rate` is the share of requests that is traced, from 0 to 1; otherwise all in
    development and a tenth elsewhere. Raises StartupError, which shows no key, for a bad DSN.
    """
    try:
        check_dsn(dsn)
    except ValueError as error:
        raise StartupError(f"SENTRY_DSN {error}") from None
    # Here and not above: it takes long, and a service without a DSN does not need it.
    from aliaport.sentry.client import Client

    rate = default_rate(environment) if traces_sample_rate is None else traces_sample_rate
    return Sentry(Client(dsn, environment, f"aliaport@{version}", rate))


class Sentry:
    """Running error tracking: nothing of it raises, and nothing except `flush` waits."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._quota = Quota()
        self._recoveries: deque[dict[str, Any]] = deque(maxlen=MAX_RECOVERIES)
        self._lock = threading.Lock()
        self._failed = 0

    @property
    def lost(self) -> int:
        """Envelopes that Sentry did not take, and events that broke on their way to it."""
        return self._client.lost + self._failed

    def processor(self, _logger: Any, method: str, event: Event) -> Event:
        """See one event, in the thread that logs it and with its `exc_info`; return it unchanged.

        A structlog processor. Errors are sent, and the changes of probes for the worse; a recovery
        goes along with the next error.
        """
        self._guard(lambda: self._see(method, event))
        return event

    def job_observer(self, plugin: str, job: Job) -> JobCheckIns | None:
        """Return what is to be told of the job's runs; None for a job without a schedule."""
        if job.schedule is None:
            return None
        return JobCheckIns(plugin, job, job.schedule, self._check_in)

    def flush(self, seconds: float = LAST_FLUSH) -> None:
        """Wait at most so long until everything is sent; call it in a thread that may wait."""
        self._guard(lambda: self._client.flush(seconds))

    def flush_at_exit(self) -> None:
        """Flush where the interpreter ends by itself, so that what ended it arrives too."""
        atexit.register(self.flush)

    def _see(self, method: str, event: Event) -> None:
        level = sentry_level(method, event)
        if not level:
            self._note_recovery(event)
            return
        library = logger_name(event)
        if library.startswith("sentry_sdk"):
            return  # what the SDK says about its own trouble must not trouble it further
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
        except Exception:  # the bulkhead of the SDK: its faults must cost no log line and no job
            self._failed += 1
