"""Helpers for plugins' own commands: the same options and context as in the service."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

import click

from aliaport.embedded import borrowed_database
from aliaport.errors import AliaportError
from aliaport.host.context import HostContext
from aliaport.logs.command_audit import CommandAudit
from aliaport.logs.terminal import terminal_logger
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Context, PluginConfig
from aliaport.settings import core_settings, plugin_config, read_sources, service_fields

ConfigT = TypeVar("ConfigT", bound=PluginConfig)

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Path of aliaport.toml. Default: ALIAPORT_CONFIG.",
)
env_file_option = click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Path of a .env file. Environment variables override it.",
)
"""The options that locate the service's configuration, for every command."""


@contextmanager
def plugin_context(
    name: str,
    model: type[ConfigT],
    *,
    config: Path | None = None,
    env_file: Path | None = None,
) -> Iterator[tuple[ConfigT, Context]]:
    """Yield the validated options of the plugin `name`, and a context with the service's database.

    Its warnings and errors go to standard error. Raises ConfigError and StartupError, which say
    what to change.
    """
    sources = read_sources(os.environ, config, env_file)
    settings = core_settings(sources)
    options = cast("ConfigT", plugin_config(sources, "plugins", name, model))
    registry = MetricRegistry(settings.metrics.max_series_per_family)
    with borrowed_database(settings) as url:
        log = terminal_logger(logging.WARNING, plugin=name)
        audit = CommandAudit(settings.log, service_fields(settings), {"plugin": name})
        context = HostContext(
            plugin=name,
            log=log,
            audit=audit,
            environment=settings.environment,
            database_url=url,
            registry=registry,
        )
        yield options, context


def run_command(command: click.Command) -> None:
    """Run a command line; on an AliaportError, print its message and exit with its code."""
    try:
        command.main(standalone_mode=False)
    except AliaportError as error:
        click.echo(f"{command.name}: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
