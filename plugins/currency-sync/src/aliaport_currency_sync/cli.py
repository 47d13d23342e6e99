"""The plugin's command: `aliaport-currency-sync backfill`."""

import asyncio
import sys
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aliaport.commands import (
    config_option,
    env_file_option,
    fault_text,
    plugin_context,
    run_command,
)
from aliaport.errors import AliaportError
from aliaport.postgres import FAULTS
from aliaport_currency_sync import backfill as backfilling
from aliaport_currency_sync.business_days import BusinessDays
from aliaport_currency_sync.config import FIRST_POSSIBLE_DAY, CurrencySyncConfig

_DAY = click.DateTime(["%Y-%m-%d"])


def main() -> None:
    """Run the command line."""
    run_command(cli)


@click.group(
    name="aliaport-currency-sync", context_settings={"help_option_names": ["-h", "--help"]}
)
def cli() -> None:
    """Manage the exchange rates of the Turkish central bank."""


@cli.command()
@click.option("--from", "first", type=_DAY, required=True, help="First day, such as 2016-01-04.")
@click.option("--to", "last", type=_DAY, help="Last day; defaults to the newest published one.")
@click.option("--again", is_flag=True, help="Download stored days again, to find corrections.")
@config_option
@env_file_option
def backfill(
    first: datetime,
    last: datetime | None,
    again: bool,
    config: Path | None,
    env_file: Path | None,
) -> None:
    """Download a range of bulletins from the archive; running it again changes nothing."""
    with plugin_context("currency_sync", CurrencySyncConfig, config=config, env_file=env_file) as (
        options,
        context,
    ):
        newest = BusinessDays(options.extra_holidays).newest_open(context.clock.now())
        begin, end = first.date(), min(last.date(), newest) if last else newest
        if begin < FIRST_POSSIBLE_DAY:
            raise click.BadParameter(
                "must be 2005-01-01 or later: older bulletins are in the old lira",
                param_hint="--from",
            )
        if begin > end:
            raise click.BadParameter(f"must not be after the last day, {end}", param_hint="--from")
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task(f"{begin} to {end}")

            def show(progress: backfilling.Progress) -> None:
                bar.update(task, total=progress.total, completed=progress.done)

            try:
                progress = asyncio.run(
                    backfilling.backfill(context, options, begin, end, again=again, show=show)
                )
            except FAULTS as error:
                raise AliaportError(
                    f"{fault_text(error, context)}; bulletins stored so far are kept; run the same "
                    "command again"
                ) from None
    for line in progress.refused:
        click.echo(f"refused: {line}", err=True)
    counts = ", ".join(f"{count} {name}" for name, count in progress.results.items() if count)
    noun = "day" if progress.total == 1 else "days"
    click.echo(f"{begin} to {end}: {progress.total} {noun}: {counts or 'none'}")
    if progress.refused:
        sys.exit(1)
