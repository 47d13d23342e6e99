"""The plugin's own command: `aliaport-operations user …` and `aliaport-operations seed`."""

import asyncio
import os
import pwd
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from aliaport.commands import (
    config_option,
    env_file_option,
    fault_text,
    plugin_context,
    run_command,
)
from aliaport.errors import AliaportError
from aliaport.plugin import Context
from aliaport.postgres import FAULTS, Connection, close, connect
from aliaport_operations import passwords
from aliaport_operations.administration import Administration
from aliaport_operations.config import OperationsConfig
from aliaport_operations.schema import COMPONENT, prepare
from aliaport_operations.seed import SEEDER, Size, seed_database
from aliaport_operations.users import NAME, NOBODY, Role

ResultT = TypeVar("ResultT")

_name = click.argument("name", metavar="NAME")
_role = click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    required=True,
    help="Role of the user.",
)
_password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
)


def main() -> None:
    """Run the command line."""
    run_command(cli)


@click.group(name="aliaport-operations", context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@env_file_option
@click.pass_context
def cli(ctx: click.Context, config: Path | None, env_file: Path | None) -> None:
    """Manage the users and the test data of the operations API."""
    ctx.obj = (config, env_file)


@cli.group()
def user() -> None:
    """Manage users and their sessions."""


@user.command()
@_name
@_role
@_password_stdin
@click.pass_obj
def add(files: tuple[Path | None, Path | None], name: str, role: str, password_stdin: bool) -> None:
    """Add a user; prompts for the password."""
    if not NAME.fullmatch(name):
        raise click.BadParameter(
            "begin with a letter; use 2 to 32 of a to z, digits, dot, hyphen and underscore",
            param_hint="NAME",
        )
    if name in (NOBODY, SEEDER):
        raise click.BadParameter(f"{name} is reserved; choose another name", param_hint="NAME")
    password_hash = passwords.hashed(_new_password(name, password_stdin))
    _administer(files, lambda users: users.add(name, Role(role), password_hash))
    click.echo(f"added {name} with the role {role}")


@user.command(name="list")
@click.pass_obj
def list_users(files: tuple[Path | None, Path | None]) -> None:
    """List all users."""
    rows = [
        (entry.name, entry.role, _day(entry.created_at), _day(entry.disabled_at))
        for entry in _administer(files, lambda users: users.users())
    ]
    _show(
        ("name", "role", "added", "disabled"), rows, "there are no users; add one with `user add`"
    )


@user.command()
@_name
@click.pass_obj
def disable(files: tuple[Path | None, Path | None], name: str) -> None:
    """Disable a user and end the user's sessions."""
    ended = _administer(files, lambda users: users.disable(name))
    click.echo(f"{name} is disabled; sessions ended: {ended}")


@user.command()
@_name
@click.pass_obj
def enable(files: tuple[Path | None, Path | None], name: str) -> None:
    """Enable a disabled user."""
    _administer(files, lambda users: users.enable(name))
    click.echo(f"{name} is enabled")


@user.command()
@_name
@_role
@click.pass_obj
def role(files: tuple[Path | None, Path | None], name: str, role: str) -> None:
    """Change a user's role, effective with the next request."""
    _administer(files, lambda users: users.set_role(name, Role(role)))
    click.echo(f"{name} now has the role {role}")


@user.command()
@_name
@_password_stdin
@click.pass_obj
def reset(files: tuple[Path | None, Path | None], name: str, password_stdin: bool) -> None:
    """Reset a user's password and end the user's sessions."""
    password_hash = passwords.hashed(_new_password(name, password_stdin))
    ended = _administer(files, lambda users: users.reset(name, password_hash))
    click.echo(f"{name} has a new password; sessions ended: {ended}")


@user.command()
@_name
@click.option("--end", is_flag=True, help="End all of them.")
@click.pass_obj
def sessions(files: tuple[Path | None, Path | None], name: str, end: bool) -> None:
    """List a user's sessions, or end them."""
    if end:
        ended = _administer(files, lambda users: users.end_sessions(name))
        click.echo(f"{name} is signed out; sessions ended: {ended}")
        return
    rows = [
        (
            session.address,
            _time(session.created_at),
            _time(session.last_used_at),
            _time(session.expires_at),
        )
        for session in _administer(files, lambda users: users.sessions(name))
    ]
    _show(("address", "signed in", "last used", "expires"), rows, f"{name} has no sessions")


@cli.command()
@click.option(
    "--accounts",
    type=click.IntRange(1),
    default=1_000,
    show_default=True,
    help="Number of accounts.",
)
@click.option(
    "--orders", type=click.IntRange(0), help="Number of work orders; default: two per account."
)
@click.option(
    "--gate-logs", type=click.IntRange(0), help="Number of gate logs; default: four per account."
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed creates the same data."
)
@click.pass_obj
def seed(
    files: tuple[Path | None, Path | None],
    accounts: int,
    orders: int | None,
    gate_logs: int | None,
    seed: int,
) -> None:
    """Fill an empty database with test data; refused in production."""
    size = Size(
        accounts,
        2 * accounts if orders is None else orders,
        4 * accounts if gate_logs is None else gate_logs,
    )
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, int] = {}

        def show(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = bar.add_task(table, total=total)
            bar.update(tasks[table], completed=done)  # type: ignore[arg-type]

        _with_database(
            files, lambda context, connection: seed_database(context, connection, size, seed, show)
        )
    click.echo(
        f"accounts: {size.accounts}, work orders: {size.orders}, gate logs: {size.gate_logs}, "
        f"from seed {seed}"
    )


def _administer(
    files: tuple[Path | None, Path | None],
    act: Callable[[Administration], Awaitable[ResultT]],
) -> ResultT:
    operator = _operator()
    return _with_database(
        files, lambda context, connection: act(Administration(context, connection, operator))
    )


def _operator() -> str:
    # Not getpass, which trusts environment variables that the caller can set.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _with_database(
    files: tuple[Path | None, Path | None],
    act: Callable[[Context, Connection], Awaitable[ResultT]],
) -> ResultT:
    config, env_file = files

    async def run(context: Context) -> ResultT:
        await prepare(context)
        connection = await connect(context, component=COMPONENT, statement_timeout=600.0)
        try:
            return await act(context, connection)
        finally:
            await close(connection)

    with plugin_context("operations", OperationsConfig, config=config, env_file=env_file) as (
        _,
        context,
    ):
        try:
            return asyncio.run(run(context))
        except FAULTS as error:
            raise AliaportError(f"{fault_text(error, context)}; nothing was changed") from None


def _new_password(name: str, from_stdin: bool) -> str:
    if from_stdin:
        try:
            password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise AliaportError("the password must be in UTF-8") from None
    elif sys.stdin.isatty():
        password = click.prompt(
            f"Password for {name}", hide_input=True, confirmation_prompt=True, err=True
        )
    else:
        raise click.UsageError("no terminal to prompt for the password; use --password-stdin")
    if problem := passwords.find_fault(password, name):
        raise AliaportError(f"the password {problem}")
    return password


def _show(heads: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    if not rows:
        click.echo(nothing)
        return
    table = Table(*(Column(head, overflow="fold") for head in heads))
    for row in rows:
        table.add_row(*row)
    # Without emoji=False, rich would replace a part of some IPv6 addresses, such as :a:.
    Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else 160).print(table)


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
