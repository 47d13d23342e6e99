"""Takes one bulletin from the source into the database; faults come back as outcomes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from aliaport.plugin import Context
from aliaport.postgres import Connection
from aliaport_currency_sync.account import NO_FILE
from aliaport_currency_sync.bulletin import Bulletin, RefusedError
from aliaport_currency_sync.source import NoFileError, Source, UnavailableError
from aliaport_currency_sync.store import Change, note_gap, store


class Result(Enum):
    """How taking in one bulletin ended."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    NO_FILE = "no file"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result, the day of what was read, the rates written, the reason and text of a fault."""

    result: Result
    day: date | None = None
    rates: int = 0
    reason: str = ""
    problem: str = ""


Writer = Callable[[], Awaitable[Connection]]
"""Gives the connection to write on, right before each write; raises where nobody may write."""


class Intake:
    """From `source` into whatever connection the caller may write on at that moment."""

    def __init__(self, context: Context, source: Source, jump_percent: Decimal) -> None:
        self._context = context
        self._source = source
        self._jump_percent = jump_percent

    async def newest(self, writer: Writer) -> Outcome:
        """Take in today.xml, of whichever day it is."""
        fetched = await self._fetched(self._source.newest())
        return fetched if isinstance(fetched, Outcome) else await self._store(fetched, writer)

    async def archived(self, day: date, writer: Writer) -> Outcome:
        """Take in the archive's file of `day`; note it where there is none or it is refused."""
        fetched = await self._fetched(self._source.archived(day))
        if isinstance(fetched, Bulletin):
            return await self._store(fetched, writer)
        if fetched.result in (Result.NO_FILE, Result.REFUSED):
            await note_gap(await writer(), day, fetched.reason, self._context.clock.now())
        return fetched

    async def _fetched(self, fetching: Awaitable[Bulletin]) -> Bulletin | Outcome:
        try:
            return await fetching
        except NoFileError:
            return Outcome(Result.NO_FILE, reason=NO_FILE)
        except RefusedError as error:
            return Outcome(Result.REFUSED, reason=error.fault.value, problem=str(error))
        except UnavailableError as error:
            return Outcome(Result.UNAVAILABLE, reason=error.outage.value, problem=str(error))

    async def _store(self, bulletin: Bulletin, writer: Writer) -> Outcome:
        stored = await store(
            await writer(),
            bulletin,
            jump_percent=self._jump_percent,
            now=self._context.clock.now(),
        )
        if stored.change is Change.NOTHING:
            return Outcome(Result.UNCHANGED, bulletin.day)
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
        return Outcome(Result.STORED, bulletin.day, len(bulletin.rates))
