"""A command of the plugin."""

from pathlib import Path

import click

from aliaport.commands import config_option, env_file_option, plugin_context, run_command
from aliaport.errors import AliaportError, ConfigError, StartupError
from tests.typing.aliaport_shelves.plugin import ShelvesConfig


@click.command("shelves")
@config_option
@env_file_option
@click.option("--fail", is_flag=True, help="Fail, to show how.")
@click.option("--abort", is_flag=True, help="Stop half-way, as Ctrl-C does.")
def shelves(config: Path | None, env_file: Path | None, *, fail: bool, abort: bool) -> None:
    """Print the halls that are configured."""
    with plugin_context("shelves", ShelvesConfig, config=config, env_file=env_file) as given:
        options, context = given
        if fail:
            raise AliaportError("it failed; try again")
        if abort:
            raise click.Abort
        context.audit.record("shelves.listed", halls=len(options.halls))
        click.echo(f"{context.plugin} in {context.environment}: {', '.join(options.halls)}")


def problems(error: ConfigError | StartupError) -> list[str]:
    """Return what the operator has to change."""
    return list(error.problems) if isinstance(error, ConfigError) else [str(error)]


def main() -> None:
    """Run the command."""
    run_command(shelves)
