"""The command line: serve · migrate · config · plugins · doctor."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from aliaport import __version__
from aliaport.commands import config_option, env_file_option, run_command
from aliaport.healthcheck import main as check_health
from aliaport.inspection import Listed, inspect_plugins, run_once
from aliaport.printable import escape_unprintable
from aliaport.process import main_loop
from aliaport.process.ending import Ending
from aliaport.settings import (
    Settings,
    Sources,
    core_settings,
    describe,
    environment_warnings,
    masked,
    read_sources,
    renamed_options,
    service_fields,
)

SWITCH_INTERVAL = 0.0005
"""Seconds until a computing thread yields the interpreter; keeps the HTTP loop's lag low."""

Decorated = Callable[..., Any]


def main() -> None:
    """Run the command line."""
    run_command(cli)


def _sources_options(command: Decorated) -> Decorated:
    return config_option(env_file_option(command))


class _Commands(click.Group):
    """The commands; `doctor` is imported only if needed: it would delay the start of all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "doctor"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "doctor":
            return super().get_command(ctx, cmd_name)
        from aliaport.doctor.command import doctor

        return doctor


@click.group(
    cls=_Commands, name="aliaport", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="aliaport")
def cli() -> None:
    """Monitor a running system: is it alive, is it ready, how is it doing?"""


@cli.command()
@_sources_options
def serve(config: Path | None, env_file: Path | None) -> None:
    """Start the service."""
    sources = read_sources(os.environ, config, env_file)
    settings = core_settings(sources)
    sys.setswitchinterval(SWITCH_INTERVAL)
    from aliaport.service import end_timeout

    ending = Ending()
    try:
        main_loop.run(_serve(settings, sources, ending))
    finally:
        # Flushing at exit, and joining threads, may block as well.
        ending.within(end_timeout(settings))


async def _serve(settings: Settings, sources: Sources, ending: Ending) -> None:
    from aliaport.logs import Logs
    from aliaport.sentry import start_sentry
    from aliaport.service import Service
    from aliaport.web.listening import open_sockets, reject_shared_address

    sentry = None
    if settings.sentry_dsn is not None:
        sentry = start_sentry(
            settings.sentry_dsn.get_secret_value(),
            environment=settings.environment,
            version=__version__,
            traces_sample_rate=settings.sentry_traces_sample_rate,
        )
        sentry.flush_at_exit()
    logs = Logs(settings.log, service_fields(settings), [sentry.processor] if sentry else ())
    logs.flush_at_exit()
    listeners = [open_sockets(settings.host, settings.port, "ALIAPORT_PORT")]
    if settings.internal_port is not None:
        internal = settings.internal_host, settings.internal_port
        reject_shared_address((settings.host, settings.port), internal)
        listeners.append(open_sockets(*internal, "ALIAPORT_INTERNAL_PORT"))
    code = await Service(settings, sources, logs, listeners, ending, sentry).run()
    # Closing the loop would wait for tasks and threads that a plugin may block forever.
    ending.leave(code)


@cli.command()
@_sources_options
def migrate(config: Path | None, env_file: Path | None) -> None:
    """Bring the tables of all selected plugins and applications up to date.

    The service does so itself when it starts, if its role may create tables. Run this command with
    the URL of the tables' owner if the service's own role may not.
    """
    settings = core_settings(read_sources(os.environ, config, env_file))
    from aliaport.migration import migrate_selected

    results = asyncio.run(migrate_selected(settings))
    for result in results:
        applied = f"{result.applied} applied" if result.applied else "nothing to do"
        click.echo(f"{result.component}: version {result.version}, {applied}")
    if not results:
        click.echo("no selected plugin or application declares migrations")


@cli.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def healthcheck(options: tuple[str, ...]) -> None:
    """Check a running service, for a container's HEALTHCHECK.

    See `aliaport healthcheck --help`.
    """
    sys.exit(check_health([*options]))


@cli.group()
def config() -> None:
    """Show or check the configuration."""


@config.command("show")
@_sources_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config_show(config: Path | None, env_file: Path | None, as_json: bool) -> None:
    """Print the effective settings, without secrets."""
    sources = read_sources(os.environ, config, env_file)
    settings = core_settings(sources)
    inspection = asyncio.run(inspect_plugins(settings, sources))
    values = masked(settings) | {"plugins": inspection.options}
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    table = Table("setting", "variable", "value")
    for row in describe():
        if "<" not in row.key:
            table.add_row(row.key, row.variable, _text(_value_at(values, row.key)))
    for key in ("probes", "plugins"):
        for name, options in values[key].items():
            for option, value in options.items():
                table.add_row(f"{key}.{name}.{option}", "", _text(value))
    _print(table)


@config.command("check")
@_sources_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config_check(config: Path | None, env_file: Path | None, as_json: bool) -> None:
    """Check the configuration and the plugins without starting anything.

    A problem keeps the service from starting (exit code 2). With a finding it starts, but a plugin
    is rejected, something required is missing, or details are hidden (exit code 1).
    """
    sources = read_sources(os.environ, config, env_file)
    inspection = asyncio.run(inspect_plugins(core_settings(sources), sources))
    warnings = [
        *environment_warnings(sources),
        *renamed_options(sources, (), Settings.renamed_options),
        *inspection.warnings,
    ]
    if as_json:
        found = {
            "problems": inspection.problems,
            "findings": [*inspection.rejections, *inspection.findings],
            "warnings": warnings,
        }
        click.echo(json.dumps(found, indent=2))
    else:
        for warning in warnings:
            click.echo(f"warning: {_safe(warning)}")
        for problem in inspection.problems:
            click.echo(f"problem: {_safe(problem)}")
        for finding in (*inspection.rejections, *inspection.findings):
            click.echo(f"finding: {_safe(finding)}")
        if inspection.exit_code == 0:
            click.echo("the configuration is valid")
    sys.exit(inspection.exit_code)


@cli.group()
def plugins() -> None:
    """List the installed plugins, or run one."""


@plugins.command("list")
@_sources_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins_list(config: Path | None, env_file: Path | None, as_json: bool) -> None:
    """List all installed plugins and applications, with the reason for each rejection.

    The exit code is that of `aliaport config check`. What it finds besides rejections is printed
    on standard error.
    """
    sources = read_sources(os.environ, config, env_file)
    inspection = asyncio.run(inspect_plugins(core_settings(sources), sources))
    if as_json:
        click.echo(json.dumps([row.as_json() for row in inspection.listed], indent=2))
    else:
        table = Table("name", "kind", "distribution", "state", "stage", "reason and fix")
        for row in inspection.listed:
            table.add_row(*_cells(row))
        _print(table)
    for text in (*inspection.problems, *inspection.findings):
        click.echo(f"aliaport: {_safe(text)}", err=True)
    sys.exit(inspection.exit_code)


@plugins.command("run")
@click.argument("name")
@_sources_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins_run(name: str, config: Path | None, env_file: Path | None, as_json: bool) -> None:
    """Run the plugin NAME, or one of its probes (NAME:PROBE), exactly as the server would."""
    sources = read_sources(os.environ, config, env_file)
    settings = core_settings(sources)
    plugin, _, probe = name.partition(":")
    sys.setswitchinterval(SWITCH_INTERVAL)
    report = asyncio.run(run_once(settings, sources, plugin, probe))
    if as_json:
        found = {
            "probes": report.items,
            "metrics": report.exposition,
            "refused": report.refused,
            "problems": report.problems,
        }
        click.echo(json.dumps(found, indent=2))
    else:
        for item in report.items:
            click.echo(json.dumps(item, indent=2))
        click.echo(report.exposition, nl=False)
    for problem in report.problems:
        click.echo(f"aliaport: {name}: {_safe(problem)}", err=True)
    sys.stdout.flush()
    os._exit(0 if report.healthy else 1)


def _cells(row: Listed) -> tuple[str, ...]:
    why = f"{row.reason}; {row.hint}" if row.reason else ""
    if row.shadowed:
        why = f"{why}\n{row.shadowed}".strip()
    return row.name, row.kind, f"{row.distribution} {row.version}", row.state, row.stage, _safe(why)


def _safe(text: str) -> str:
    """Return text of plugins without what a terminal would obey."""
    return escape_unprintable(text, keep="\n")


def _value_at(values: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _print(table: Table) -> None:
    # Reasons and options may contain [brackets] and :colons:, which rich would replace.
    Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else 200).print(table)
