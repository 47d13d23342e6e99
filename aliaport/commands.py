"""Helpers for plugins' own commands: the same options and context as in the service."""

import asyncio
import inspect
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar, cast

import click

from aliaport.embedded import borrowed_database
from aliaport.errors import AliaportError
from aliaport.host.context import HostContext
from aliaport.logs.command_audit import CommandAudit
from aliaport.logs.terminal import terminal_logger
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Context, PluginConfig
from aliaport.process.limits import limit_error
from aliaport.redaction import redact
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


def run_command(command: Callable[[], object] | click.Command) -> None:
    """Run a click command, or any function without parameters; both may be async.

    On an AliaportError, a click error or a fault of the database, print one message and exit with
    its code.
    """
    name = (isinstance(command, click.Command) and command.name) or Path(sys.argv[0]).name
    try:
        if isinstance(command, click.Command):
            result = command.main(standalone_mode=False)
        else:
            result = command()
        if inspect.isawaitable(result):
            asyncio.run(_wait(result))
    except AliaportError as error:
        _fail(name, str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except _faults() as error:
        limit = limit_error(error)
        if limit is not None:
            _fail(name, str(limit), limit.exit_code)
        _fail(name, _fault_text(error), 1)


def _faults() -> tuple[type[Exception], ...]:
    """Return the exceptions of a database that fails; asyncpg is only imported to handle one."""
    from aliaport.postgres import FAULTS

    return FAULTS


async def _wait(result: Awaitable[object]) -> None:
    await result


def _fail(name: str, text: str, code: int) -> NoReturn:
    click.echo(f"{name}: {text}", err=True)
    sys.exit(code)


def _fault_text(error: Exception) -> str:
    """Return what failed and where to look; an OSError with a file name is not the database's."""
    kind, text = type(error).__name__, redact(str(error))
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError | TimeoutError):
        reason = f"{kind}: {text}" if text else kind
        return f"cannot reach the database: {reason}; is it running, and is DATABASE_URL right?"
    return f"the database failed: {kind}: {text}"
