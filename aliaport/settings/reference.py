"""Describes the settings for people: all options, and the effective values without secrets."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from aliaport.redaction import MASK, is_secret, is_secret_name, redact
from aliaport.settings.database_url import is_database_url, shown_url
from aliaport.settings.model import Settings
from aliaport.settings.probes import ProbeSettings
from aliaport.settings.sources import PREFIX, USUAL_NAMES

_OTHER_URL = re.compile(r"(?i)(?!https?:)[a-z][a-z0-9+.-]*://")
"""The URL of a database or broker; in those of web servers, an @ may be part of the path."""


@dataclass(frozen=True, slots=True)
class SettingRow:
    """An option: its key in the file, its variable, its default and its meaning."""

    key: str
    variable: str
    default: str
    description: str


def describe() -> list[SettingRow]:
    """Return all options of the service, in the order of their declaration."""
    rows = _rows(Settings, ())
    return [*rows, *_rows(ProbeSettings, ("probes", "<name>"))]


def masked(model: BaseModel) -> dict[str, Any]:
    """Return the effective values, ready for JSON, with every secret as `***`."""
    return {name: _shown(value, name) for name, value in model}


def _shown(value: Any, name: str = "") -> Any:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        # Show where a URL points; without its password, it is not a secret.
        return shown_url(text) if is_database_url(text) else MASK
    if isinstance(value, BaseModel):
        return masked(value)
    if isinstance(value, dict):
        return {str(key): _shown(item, str(key)) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_shown(item, name) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    # A plugin may declare a secret as text.
    text = str(value)
    if is_secret(name, text):
        return MASK
    if is_database_url(text):
        return shown_url(text)
    return redact(_shown_other(text) if _OTHER_URL.match(text) else text)


def _shown_other(url: str) -> str:
    """Return `url`, not one of PostgreSQL, with its password and secret options as `***`.

    Whatever is between the first colon and the last @ is the password, so that no character in it
    needs to be encoded.
    """
    scheme, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    password = MASK if colon else ""
    address, mark, options = f"{user}{colon}{password}{at}{place}".partition("?")
    shown = "&".join(map(_shown_option, options.split("&")))
    return f"{scheme}{separator}{address}{mark}{shown}"


def _shown_option(option: str) -> str:
    name, sign, _ = option.partition("=")
    return f"{name}={MASK}" if sign and is_secret_name(unquote(name)) else option


def _rows(model: type[BaseModel], path: tuple[str, ...]) -> list[SettingRow]:
    rows = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            rows += _rows(kind, (*path, name))
        elif ProbeSettings not in get_args(kind):
            rows.append(_row((*path, name), field))
    return rows


def _row(path: tuple[str, ...], field: FieldInfo) -> SettingRow:
    variable = PREFIX + "__".join(path).upper()
    if variable.removeprefix(PREFIX) in USUAL_NAMES:
        variable = variable.removeprefix(PREFIX)
    default = field.default
    if default in (None, "", -1, ()) or default is PydanticUndefined:
        shown = ""
    else:
        shown = str(default) if isinstance(default, Path | int | float) else f"{default}"
    return SettingRow(".".join(path), variable, shown, field.description or "")
