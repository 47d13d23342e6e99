"""Downloads a range of days from the archive, for the plugin's command."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from aliaport.errors import AliaportError
from aliaport.plugin import Context
from aliaport.postgres import Connection, close, connect
from aliaport_currency_sync.business_days import BusinessDays
from aliaport_currency_sync.config import CurrencySyncConfig
from aliaport_currency_sync.coverage import missing_days
from aliaport_currency_sync.intake import Intake, IntakeResult, IntakeStatus
from aliaport_currency_sync.schema import COMPONENT, prepare
from aliaport_currency_sync.source import Source

PAUSES = (2.0, 10.0, 30.0)
"""Seconds before each retry of a day for which the source was unavailable."""


class SourceDownError(AliaportError):
    """The source is unavailable."""


@dataclass(slots=True)
class Progress:
    """Progress of a backfill; `results` also counts skipped days as `stored before`."""

    total: int = 0
    done: int = 0
    results: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


async def backfill(
    context: Context,
    config: CurrencySyncConfig,
    first: date,
    last: date,
    *,
    again: bool,
    show: Callable[[Progress], None],
) -> Progress:
    """Download every open day from `first` to `last`, oldest first, calling `show` after each.

    Skip stored days unless `again` is set, which finds corrections. Raises SourceDownError if the
    source is unavailable; bulletins stored until then are kept.
    """
    await prepare(context)
    days = BusinessDays(config.extra_holidays)
    source = Source(config, context.clock)
    connection = await connect(context, component=COMPONENT)
    try:
        open_days = list(days.open_days(first, last))
        missing = [hole.day for hole in await missing_days(connection.fetch, open_days)]
        wanted = open_days if again else missing
        progress = Progress(total=len(open_days), done=len(open_days) - len(wanted))
        progress.results["stored before"] = progress.done
        intake = Intake(context, source, days, config.jump_percent)
        show(progress)
        for day in wanted:
            result = await _fetch(intake, day, connection)
            progress.done += 1
            progress.results[result.status.value] += 1
            if result.status is IntakeStatus.REFUSED:
                progress.refused.append(f"{day}: {result.reason}: {result.problem}")
            show(progress)
        return progress
    finally:
        await source.close()
        await close(connection)


async def _fetch(intake: Intake, day: date, connection: Connection) -> IntakeResult:
    async def writer() -> Connection:
        return connection

    for pause in (*PAUSES, None):
        result = await intake.archived(day, writer)
        if result.status is not IntakeStatus.UNAVAILABLE:
            return result
        if pause is not None:
            await asyncio.sleep(pause)
    raise SourceDownError(
        f"{day}: the source is unavailable ({result.problem}); bulletins stored so far are kept; "
        "run the same command again later"
    )
