"""Takes a range of days from the archive, for the plugin's own command."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from aliaport.errors import AliaportError
from aliaport.plugin import Context
from aliaport.postgres import Connection, close, connect
from aliaport_currency_sync.account import lacking_days
from aliaport_currency_sync.business_days import BusinessDays
from aliaport_currency_sync.config import CurrencySyncConfig
from aliaport_currency_sync.intake import Intake, Outcome, Result
from aliaport_currency_sync.schema import COMPONENT, prepare
from aliaport_currency_sync.source import Source

PAUSES = (2.0, 10.0, 30.0)
"""Seconds before each repetition of a day at which the source did not answer."""


class SourceDownError(AliaportError):
    """The source does not answer."""


@dataclass(slots=True)
class Progress:
    """How far a backfill has come; `results` also counts the days left out as `stored before`."""

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
    """Take in every open day from `first` to `last`, the oldest first; `show` is told of each.

    Days that are stored are left out unless `again` asks for their corrections. Raises
    SourceDownError where a day was asked for in vain; what was taken in until then stays.
    """
    await prepare(context)
    source = Source(config, context.clock)
    connection = await connect(context, component=COMPONENT)
    try:
        open_days = list(BusinessDays(config.extra_holidays).open_days(first, last))
        lacking = [each.day for each in await lacking_days(connection.fetch, open_days)]
        wanted = open_days if again else lacking
        progress = Progress(total=len(open_days), done=len(open_days) - len(wanted))
        progress.results["stored before"] = progress.done
        intake = Intake(context, source, config.jump_percent)
        show(progress)
        for day in wanted:
            outcome = await _taken(intake, day, connection)
            progress.done += 1
            progress.results[outcome.result.value] += 1
            if outcome.result is Result.REFUSED:
                progress.refused.append(f"{day}: {outcome.reason}: {outcome.problem}")
            show(progress)
        return progress
    finally:
        await source.close()
        await close(connection)


async def _taken(intake: Intake, day: date, connection: Connection) -> Outcome:
    async def writer() -> Connection:
        return connection

    for pause in (*PAUSES, None):
        outcome = await intake.archived(day, writer)
        if outcome.result is not Result.UNAVAILABLE:
            return outcome
        if pause is not None:
            await asyncio.sleep(pause)
    raise SourceDownError(
        f"{day}: the source does not answer ({outcome.problem}); what came before is stored, "
        f"so run the same command again later"
    )
