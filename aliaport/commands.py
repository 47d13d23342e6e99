"""Helpers for plugins' own commands: the same options and context as in the service."""

import asyncio
import errno
import inspect
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import walk_tb
from typing import NoReturn, TypeVar, cast

import click

from aliaport.contract.rules import require_function
from aliaport.embedded import borrowed_database
from aliaport.errors import AliaportError
from aliaport.host.context import HostContext
from aliaport.logs.command_audit import CommandAudit
from aliaport.logs.terminal import terminal_logger
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Context, PluginConfig
from aliaport.printable import escape_unprintable
from aliaport.process.limits import limit_error
from aliaport.process.standard_streams import discard_unwritable, open_missing
from aliaport.redaction import redact
from aliaport.settings import core_settings, plugin_config, read_sources, service_fields
from aliaport.settings.url_file import database_url_file

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
            given_url=url,
            registry=registry,
            url_file=database_url_file(sources, url),
        )
        try:
            yield options, context
        except _faults() as error:
            _note_cause(error, context)
            raise


def run_command(command: Callable[[], object] | click.Command) -> None:
    """Run a click command, or any function without parameters; both may be async.

    On an AliaportError, a click error, a fault of the database or of the system, print one message
    and exit with its code. If the reader of a pipe has gone, exit with 1 without a message.
    """
    open_missing()
    name = (isinstance(command, click.Command) and command.name) or Path(sys.argv[0]).name
    try:
        _run(command)
    except AliaportError as error:
        _fail(name, str(error), error.exit_code)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        _exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _exit(130)
    except _faults() as error:
        if isinstance(error, BrokenPipeError) and not _is_of_database(error):
            _exit(1)
        limit = limit_error(error)
        if limit is not None:
            _fail(name, str(limit), limit.exit_code)
        _fail(name, fault_text(error), 1)


def _run(command: Callable[[], object] | click.Command) -> None:
    try:
        if isinstance(command, click.Command):
            result = command.main(standalone_mode=False)
        else:
            require_function(command, "the command")
            result = command()
        if inspect.isawaitable(result):
            asyncio.run(_wait(result))
    except SystemExit:
        sys.stdout.flush()
        raise
    # The interpreter's own attempt, when it exits, would come too late for a message.
    sys.stdout.flush()


def _faults() -> tuple[type[Exception], ...]:
    """Return the exceptions of a database that fails; asyncpg is only imported to handle one."""
    from aliaport.postgres import FAULTS

    return FAULTS


async def _wait(result: Awaitable[object]) -> None:
    await result


def _fail(name: str, text: str, code: int) -> NoReturn:
    with suppress(OSError):
        shown = escape_unprintable(text, keep="\n")
        click.echo(f"{name}: {shown}", err=True)
    _exit(code)


def _exit(code: int) -> NoReturn:
    discard_unwritable()
    sys.exit(code)


def _note_cause(error: Exception, context: Context) -> None:
    from aliaport.postgres import note_fault

    if _is_of_database(error):
        note_fault(error, context)


def fault_text(error: Exception, context: Context | None = None) -> str:
    """Return what failed and what to change, for an exception of `aliaport.postgres.FAULTS`.

    With the context that was used, also a failed statement names its database.
    """
    if context is not None:
        _note_cause(error, context)
    kind, text = type(error).__name__, redact(str(error))
    reason = f"{kind}: {text}" if text else kind
    if _is_of_database(error):
        causes = [redact(note) for note in getattr(error, "__notes__", ())]
        return f"cannot use the database: {causes[0] if causes else reason}"
    if not isinstance(error, OSError):
        return f"the database failed: {reason}"
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if error.errno in _WRITE_ERRORS:
        return f"cannot write the output: {error.strerror}"
    if error.errno == errno.EBADF:
        return "cannot write the output: standard output is closed"
    return reason


_WRITE_ERRORS = (errno.EAGAIN, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)


def _is_of_database(error: Exception) -> bool:
    """Return whether the code that connects to the database, or uses a connection, raised it."""
    modules = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    return any(f"{module}.".startswith(("asyncpg.", "aliaport.postgres.")) for module in modules)
