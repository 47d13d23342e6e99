"""Downloads one bulletin and stores it; faults are part of the result."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from aliaport.plugin import Context
from aliaport.postgres import Connection
from aliaport_currency_sync.bulletin import Bulletin, RefusedError
from aliaport_currency_sync.business_days import BusinessDays
from aliaport_currency_sync.coverage import NO_FILE
from aliaport_currency_sync.source import NoFileError, Source, UnavailableError
from aliaport_currency_sync.store import Change, note_gap, store

MAX_SHOWN = 5
"""Values left out that a message lists."""


class IntakeStatus(Enum):
    """Outcomes for one bulletin."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    NO_FILE = "no file"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """The status, the bulletin's day, the number of rates stored, and a fault's reason and text.

    `left_out` says which values of the bulletin are not used.
    """

    status: IntakeStatus
    day: date | None = None
    rates: int = 0
    left_out: tuple[str, ...] = ()
    reason: str = ""
    problem: str = ""


Writer = Callable[[], Awaitable[Connection]]
"""Returns the connection for the next write; raises if writing is not allowed."""


class Intake:
    """Stores bulletins from `source` on the connection that the caller provides."""

    def __init__(
        self, context: Context, source: Source, days: BusinessDays, jump_percent: Decimal
    ) -> None:
        self._context = context
        self._source = source
        self._days = days
        self._jump_percent = jump_percent

    async def newest(self, writer: Writer) -> IntakeResult:
        """Download and store today.xml, whatever its day."""
        fetched = await self._fetch(self._source.newest())
        return fetched if isinstance(fetched, IntakeResult) else await self._store(fetched, writer)

    async def archived(self, day: date, writer: Writer) -> IntakeResult:
        """Download and store `day` from the archive; record a gap if it is missing or rejected."""
        fetched = await self._fetch(self._source.archived(day))
        if isinstance(fetched, Bulletin):
            return await self._store(fetched, writer)
        if fetched.status in (IntakeStatus.NO_FILE, IntakeStatus.REFUSED):
            await note_gap(await writer(), day, fetched.reason, self._context.clock.now())
        return fetched

    async def _fetch(self, fetching: Awaitable[Bulletin]) -> Bulletin | IntakeResult:
        try:
            return await fetching
        except NoFileError:
            return IntakeResult(IntakeStatus.NO_FILE, reason=NO_FILE)
        except RefusedError as error:
            return IntakeResult(IntakeStatus.REFUSED, reason=error.fault.value, problem=str(error))
        except UnavailableError as error:
            return IntakeResult(
                IntakeStatus.UNAVAILABLE, reason=error.outage.value, problem=str(error)
            )

    async def _store(self, bulletin: Bulletin, writer: Writer) -> IntakeResult:
        stored = await store(
            await writer(),
            bulletin,
            days=self._days,
            jump_percent=self._jump_percent,
            now=self._context.clock.now(),
        )
        if stored.change is Change.NOTHING:
            return IntakeResult(IntakeStatus.UNCHANGED, bulletin.day, left_out=bulletin.left_out)
        log = self._context.log
        day, number = bulletin.day.isoformat(), bulletin.number
        log.info(
            "currency_sync.stored",
            day=day,
            bulletin=number,
            revision=stored.revision,
            rates=len(bulletin.rates),
        )
        if stored.change is Change.REVISED:
            log.warning("currency_sync.revised", day=day, bulletin=number, revision=stored.revision)
        for jumped, jumps in stored.jumps.items():
            percent = {code: str(value) for code, value in jumps.items()}
            log.warning("currency_sync.jumped", day=jumped.isoformat(), percent=percent)
        if bulletin.left_out:
            log.warning(
                "currency_sync.values_left_out",
                day=day,
                bulletin=number,
                values=len(bulletin.left_out),
                problem=shortened(bulletin.left_out),
            )
        return IntakeResult(
            IntakeStatus.STORED, bulletin.day, len(bulletin.rates), bulletin.left_out
        )


def shortened(left_out: Sequence[str]) -> str:
    """Return the first reasons why values are left out, and how many more there are."""
    more = len(left_out) - MAX_SHOWN
    return "; ".join(left_out[:MAX_SHOWN]) + (f"; and {more} more" if more > 0 else "")
