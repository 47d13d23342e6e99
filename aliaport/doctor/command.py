"""The options of `aliaport doctor`."""

import asyncio
import json
import os
import re
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aliaport.commands import config_option, env_file_option
from aliaport.doctor.output import as_json as json_of
from aliaport.doctor.output import failed, plain, show_table
from aliaport.doctor.running import examine
from aliaport.doctor.targets import (
    Targets,
    checked_url,
    first_token,
    own_address,
    own_internal_address,
    own_token,
)
from aliaport.settings import Settings, core_settings, read_sources

Given = dict[str, Any]


class _Url(click.ParamType[str]):
    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return checked_url(value)
        except ValueError as error:
            # What it holds may be a password.
            self.fail(str(error), param, ctx)


class _TokenFile(click.ParamType[str]):
    name = "file"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return first_token(Path(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Job(click.ParamType[str]):
    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[\w./:-]+", value):
            self.fail("is no name of a job", param, ctx)
        return value


def _option(
    name: str, kind: click.ParamType[Any] | None, help: str, **more: Any
) -> Callable[..., Any]:
    variable = f"DOCTOR_{name.removeprefix('--').upper().replace('-', '_')}"
    return click.option(name, type=kind, help=help, envvar=variable, show_envvar=True, **more)


@click.command()
@_option("--url", _Url(), "The service; otherwise the one that is configured on this machine.")
@_option("--internal-url", _Url(), "Its second listener, where it has one.", default=None)
@_option("--status-token-file", _TokenFile(), "A token that shows reasons.", default=None)
@_option("--prometheus", _Url(), "Prometheus, such as http://127.0.0.1:9090.", default=None)
@_option("--job", _Job(), "Prometheus' job of the service.", default="aliaport-backend")
@_option("--alertmanager", _Url(), "Alertmanager, such as http://127.0.0.1:9093.")
@click.option("--test-alert", is_flag=True, help="Send a test alert to those who get warnings.")
@_option(
    "--test-alert-wait",
    click.FloatRange(1, 3600),
    "Seconds for its delivery; group_wait is 30.",
    default=90.0,
    show_default=True,
)
@_option("--grafana", _Url(), "Grafana, such as http://127.0.0.1:3000.")
@_option("--grafana-token-file", _TokenFile(), "A token of a service account of it.")
@_option("--uptimerobot-token-file", _TokenFile(), "A read-only key of UptimeRobot's API v3.")
@_option(
    "--uptimerobot", _Url(), "Its API.", default="https://api.uptimerobot.com/v3", show_default=True
)
@_option(
    "--uptimerobot-name",
    None,
    "What the names or addresses of its monitors contain.",
    default="aliaport",
    show_default=True,
)
@_option("--site", _Url(), "A public address, to look at its certificate.", multiple=True)
@_option("--ca-file", click.Path(path_type=Path, exists=True, dir_okay=False), "More authorities.")
@_option(
    "--timeout",
    click.FloatRange(0.1, 60),
    "Seconds for each request.",
    default=5.0,
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@env_file_option
def doctor(**given: Any) -> None:
    """Ask a running installation the production checklist; say what fails and what to do.

    Exit code 0: nothing failed. 1: something failed. 2: wrong options or configuration.

    What is not named is not asked, and shown as "not checked", which is no pass. Without --url
    it is the service of this machine, found by its own configuration; then Sentry's DSN, log
    retention and log files are checked too. With --url nothing is taken from this machine.

    Nothing is changed, but for: one 404 in api.log, and with --test-alert an alert that goes to
    people and ends by itself. Tokens are read from files and never shown; redirects are not
    followed; certificates are checked.

    The checks of the service, Prometheus and Alertmanager were tried on the real programs, those of
    Grafana and UptimeRobot only on stand-ins written from documentation. Sentry is not asked.
    """
    targets = _targets(given)
    try:
        lines = asyncio.run(examine(targets))
    except (OSError, ssl.SSLError) as error:
        raise click.UsageError(f"--ca-file: {error}") from None
    if given["as_json"]:
        click.echo(json.dumps(json_of(lines, targets.url), indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        show_table(lines)
    else:
        for line in plain(lines):
            click.echo(line)
    sys.exit(1 if failed(lines) else 0)


def _targets(given: Given) -> Targets:
    if given["test_alert"] and not given["alertmanager"]:
        raise click.UsageError("--test-alert needs --alertmanager")
    settings, known = _settings(given)
    url = given["url"] or own_address(settings)
    internal = given["internal_url"] or ("" if given["url"] else own_internal_address(settings))
    if internal == url:
        raise click.UsageError("--internal-url is the same as --url: give the second listener's")
    token = given["status_token_file"] or ("" if given["url"] else own_token(settings))
    return Targets(
        url=url,
        internal_url=internal,
        status_token=token,
        prometheus=given["prometheus"] or "",
        job=given["job"],
        alertmanager=given["alertmanager"] or "",
        test_alert=given["test_alert"],
        test_alert_wait=given["test_alert_wait"],
        grafana=given["grafana"] or "",
        grafana_token=given["grafana_token_file"] or "",
        uptimerobot=given["uptimerobot"],
        uptimerobot_token=given["uptimerobot_token_file"] or "",
        uptimerobot_name=given["uptimerobot_name"],
        sites=given["site"],
        settings=settings if known else None,
        timeout=given["timeout"],
        ca_file=given["ca_file"],
    )


def _settings(given: Given) -> tuple[Settings, bool]:
    """The configuration of this machine, and whether there is one. Raises ConfigError."""
    if given["url"]:
        if given["config"] or given["env_file"]:
            raise click.UsageError("--url is of a service elsewhere: it takes no configuration")
        return Settings(), False
    sources = read_sources(os.environ, given["config"], given["env_file"])
    return core_settings(sources), bool(sources.file or sources.variables)
