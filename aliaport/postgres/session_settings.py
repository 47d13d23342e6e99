"""The settings of a session: those of the URL must hold, others as far as the server knows them."""

from collections.abc import Iterable, Mapping

from aliaport.errors import AliaportError
from aliaport.settings.database_options import SERVER_SETTINGS, settings_in_options
from aliaport.settings.database_url import DatabaseUrl

_FIXED = ("client_encoding",)
"""Settings of the URL without effect: asyncpg itself sets them."""


class RefusedSettingError(AliaportError):
    """A setting of the database URL is not in force; `advice` says what to change."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(text)
        self.advice = advice


def server_settings(component: str, statement_timeout: float) -> dict[str, str]:
    """Return the server settings of a connection: a name, and timeouts that stop abandoned work.

    Without the keepalives, the server would hold the locks of a vanished machine for two hours.
    """
    return {
        "application_name": f"aliaport-{component}",
        "statement_timeout": str(round(statement_timeout * 1000)),
        "idle_in_transaction_session_timeout": "60000",
        "client_connection_check_interval": "2000",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


def start_settings(url: DatabaseUrl, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with which a connection starts.

    `settings` win over those of the URL, whose application_name replaces `aliaport` before the
    component.
    """
    given = {
        key: value for key, value in url.options.items() if key == "options" or _is_setting(key)
    }
    merged = {**given, **settings}
    if name := url.options.get("application_name"):
        merged["application_name"] = merged["application_name"].replace("aliaport", name, 1)
    return merged


def required_settings(url: DatabaseUrl, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the URL, also those in its `options`, that `settings` do not replace.

    The role is the last one: it may not be allowed to set the others.
    """
    named = {key: value for key, value in url.options.items() if _is_setting(key)}
    found = {**settings_in_options(url.options.get("options", "")), **named}
    replaced = {name.lower() for name in (*settings, *_FIXED)}
    return {
        name: found[name]
        for name in sorted(found, key=lambda name: name.lower() == "role")
        if name.lower() not in replaced
    }


def statement_of(required: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Return statements that set of `wanted` what the server knows, and all `required` ones."""
    set_config = "SELECT set_config(name, value, false) FROM"
    known = "name LIKE '%.%' OR lower(name) IN (SELECT lower(name) FROM pg_settings)"
    statements = [f"{set_config} {_values(wanted.items())} WHERE {known};"]
    if required:
        statements.append(f"{set_config} {_values(required.items())};")
    if "role" in map(str.lower, required):  # a reset leaves it in effect
        statements.insert(0, "SET ROLE NONE;")
    return " ".join(statements)


def query_of_unmet(required: Mapping[str, str]) -> str:
    """Return a query for the names of settings with another value, divided by commas.

    It changes nothing beyond itself.
    """
    return (
        "SELECT coalesce(string_agg(name, ',') FILTER (WHERE replace(present, ' ', '') "  # noqa: S608
        "IS DISTINCT FROM replace(wanted, ' ', '')), '') FROM (SELECT name, "
        "current_setting(name, true) AS present, set_config(name, value, true) AS wanted "
        f"FROM {_values(required.items())}) AS compared"
    )


def refused_by_server(url: DatabaseUrl, name: str, reason: str) -> RefusedSettingError:
    """Return the error for a setting that the server refuses."""
    return RefusedSettingError(
        f"the server refuses {_part(url, name)}: {reason}", "correct it, or remove it"
    )


def refused_by_pooler(url: DatabaseUrl, name: str) -> RefusedSettingError:
    """Return the error for a setting that a pooler with shared sessions does not pass on."""
    return RefusedSettingError(
        f"the pooler in between refuses or ignores {_part(url, name)}",
        "remove it there and set it for the role, as in ALTER ROLE … SET, or use a URL of the "
        "server itself, or of a pool with pool_mode=session",
    )


def _part(url: DatabaseUrl, name: str) -> str:
    if name == "options":
        return "options in DATABASE_URL"
    return f"the setting {name} of {'' if name in url.options else 'options in '}DATABASE_URL"


def _is_setting(key: str) -> bool:
    return key in SERVER_SETTINGS or "." in key


def _values(settings: Iterable[tuple[str, str]]) -> str:
    values = ", ".join(f"({_quoted(name)}, {_quoted(value)})" for name, value in settings)
    return f"(VALUES {values}) AS given (name, value)"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
