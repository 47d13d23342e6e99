"""Periodic jobs and the schedules of their work, as frozen values."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from aliaport.contract.probes import PROBE_NAME
from aliaport.contract.rules import (
    matches,
    number,
    plain,
    require,
    require_function,
    suggested,
    text,
)
from aliaport.errors import DeclarationError

SCHEDULE_LIMIT = 100
"""Characters of a crontab expression or the name of a time zone."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times at which a job's work is due, and how late it may be done.

    `crontab` is a crontab expression of five fields, in the time zone `time_zone` (an IANA name).
    Work not done `margin` seconds after it was due is a missed run, which the host logs and counts.
    """

    crontab: str
    time_zone: str = "UTC"
    margin: float = 300.0

    def __post_init__(self) -> None:
        """Raise DeclarationError if the declaration breaks the contract."""
        where = f"schedule {self.crontab!r}"
        for part in (self.crontab, self.time_zone):
            text(part, f"{where}: the crontab and the time zone", SCHEDULE_LIMIT)
        try:
            zone = ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise DeclarationError(
                f"{where}: unknown time zone {self.time_zone!r}", "use a name like Europe/Istanbul"
            ) from None
        try:
            CronSim(self.crontab, datetime.now(zone))
        except CronSimError as error:
            raise DeclarationError(f"{where}: {error}", "write it like '30 15 * * 1-5'") from None
        margin = number(self.margin, f"{where}: margin")
        require(margin > 0, f"{where}: margin must be more than 0 seconds", "raise it")

    def last_due(self, now: datetime) -> datetime:
        """Return the latest time, at or before the aware `now`, at which work was due."""
        local = now.astimezone(ZoneInfo(self.time_zone))
        # Search backwards from a minute later: CronSim excludes the time that it starts from.
        times = CronSim(self.crontab, local + timedelta(minutes=1), reverse=True)
        return next(due for due in times if due <= local)


class JobResult(StrEnum):
    """The result of a job run that did not fail: is the work that was due done?

    A job that returns None has done it. `PENDING` means that it is still to be done: the source has
    nothing yet, or another replica is doing it.
    """

    DONE = "done"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Declares work that the host runs periodically, one run at a time.

    `every` is the pause from the end of one run to the start of the next, in seconds, with a jitter
    of 10%. A failed run is retried with growing pauses of at most `every`. `timeout` limits one
    run, in seconds. The first run begins right after the plugin's start. `schedule` says when work
    is due, so that the host can report missed runs; `every` should be well below its margin.
    """

    name: str
    run: Callable[[], Awaitable[JobResult | None]] | Callable[[], JobResult | None]
    every: float
    timeout: float
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        """Raise DeclarationError if the declaration breaks the contract."""
        where = f"job {self.name!r}"
        require(
            matches(PROBE_NAME, self.name),
            f"{where}: the name must match {PROBE_NAME.pattern}",
            suggested(self.name),
        )
        require_function(self.run, where)
        every = number(self.every, f"{where}: every")
        timeout = number(self.timeout, f"{where}: timeout")
        require(every >= 1, f"{where}: every must be at least 1 second", "raise it")
        require(timeout > 0, f"{where}: timeout must be more than 0 seconds", "raise it")
        require(
            self.schedule is None or isinstance(self.schedule, Schedule),
            f"{where}: schedule must be a Schedule",
            "write it like Schedule('30 15 * * 1-5', 'Europe/Istanbul')",
        )
        object.__setattr__(self, "name", plain(self.name))
