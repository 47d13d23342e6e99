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
            # The message does not show the value, which may contain a password.
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
            self.fail("is not a valid job name", param, ctx)
        return value


def _option(
    name: str, kind: click.ParamType[Any] | None, help: str, **more: Any
) -> Callable[..., Any]:
    variable = f"DOCTOR_{name.removeprefix('--').upper().replace('-', '_')}"
    return click.option(name, type=kind, help=help, envvar=variable, show_envvar=True, **more)


@click.command()
@_option("--url", _Url(), "URL of the service; by default, the service of this machine.")
@_option("--internal-url", _Url(), "URL of its second listener, if it has one.", default=None)
@_option(
    "--status-token-file", _TokenFile(), "File with a token that shows full details.", default=None
)
@_option("--prometheus", _Url(), "URL of Prometheus, such as http://127.0.0.1:9090.", default=None)
@_option("--job", _Job(), "Name of the service's job in Prometheus.", default="aliaport-backend")
@_option("--alertmanager", _Url(), "URL of Alertmanager, such as http://127.0.0.1:9093.")
@click.option("--test-alert", is_flag=True, help="Send a test alert to the receivers of warnings.")
@_option(
    "--test-alert-wait",
    click.FloatRange(1, 3600),
    "Seconds to wait for its delivery; must exceed group_wait, which is 30.",
    default=90.0,
    show_default=True,
)
@_option("--grafana", _Url(), "URL of Grafana, such as http://127.0.0.1:3000.")
@_option("--grafana-token-file", _TokenFile(), "File with the token of a Grafana service account.")
@_option(
    "--uptimerobot-token-file", _TokenFile(), "File with a read-only key for UptimeRobot's API v3."
)
@_option(
    "--uptimerobot",
    _Url(),
    "URL of UptimeRobot's API.",
    default="https://api.uptimerobot.com/v3",
    show_default=True,
)
@_option(
    "--uptimerobot-name",
    None,
    "Text that the names or addresses of the monitors contain.",
    default="aliaport",
    show_default=True,
)
@_option("--site", _Url(), "Public URL whose certificate to check; can be repeated.", multiple=True)
@_option(
    "--ca-file",
    click.Path(path_type=Path, exists=True, dir_okay=False),
    "File with additional CA certificates.",
)
@_option(
    "--timeout",
    click.FloatRange(0.1, 60),
    "Timeout of each request in seconds.",
    default=5.0,
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
@env_file_option
def doctor(**given: Any) -> None:
    """Check a running installation against the production checklist.

    Shows what fails and what to do. Exit code 0: nothing failed. 1: something failed. 2: wrong
    options or configuration.

    Anything you do not name is skipped and reported as "not checked", never as passed. Without
    --url, doctor checks the service of this machine, which it finds by the service's own
    configuration or, if there is none, its defaults, and also the Sentry DSN, log retention and log
    files. With --url, it ignores the configuration of this machine.

    doctor changes nothing, with two exceptions: it leaves one 404 in api.log, and --test-alert
    sends an alert that reaches people and then expires. Tokens are read from files and never
    shown; redirects are not followed; certificates are verified.

    The checks of the service, Prometheus and Alertmanager were tested with the real programs, those
    of Grafana and UptimeRobot only with stand-ins written from documentation. Sentry is not
    contacted.
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
    settings, configured = _settings(given)
    url = given["url"] or own_address(settings)
    internal = given["internal_url"] or ("" if given["url"] else own_internal_address(settings))
    if internal == url:
        raise click.UsageError(
            "--internal-url is the same as --url: pass the second listener's URL"
        )
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
        settings=None if given["url"] else settings,
        configured=configured,
        timeout=given["timeout"],
        ca_file=given["ca_file"],
    )


def _settings(given: Given) -> tuple[Settings, bool]:
    """Return this machine's settings, and whether any are configured. Raises ConfigError."""
    if given["url"]:
        if given["config"] or given["env_file"]:
            raise click.UsageError("--url is for a service elsewhere: omit --config and --env-file")
        return Settings(), False
    sources = read_sources(os.environ, given["config"], given["env_file"])
    return core_settings(sources), bool(sources.file or sources.variables)
