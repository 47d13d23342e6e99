"""Reads the TOML file, the environment and an optional `.env` file, without validating them."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from aliaport.errors import ConfigError

PREFIX = "ALIAPORT_"
USUAL_NAMES = (
    *("DATABASE_URL", "DATABASE_URL_FILE", "ENVIRONMENT"),
    *("SENTRY_DSN", "SENTRY_DSN_FILE"),
)
"""Variables without a prefix; they also work with it, and then win."""

_INJECTED = re.compile(r"ALIAPORT_(SERVICE_(HOST|PORT(_.*)?)|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)")
_INJECTED_VALUE = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources as read. `variables` has prefixed names, however the environment spells them."""

    variables: Mapping[str, str]
    table: Mapping[str, Any]
    file: Path | None
    spelled: Mapping[str, str]

    def name_of(self, variable: str) -> str:
        """Return the variable's name as the environment spells it."""
        return self.spelled.get(variable, variable)


def read_sources(
    environ: Mapping[str, str], config: Path | None = None, env_file: Path | None = None
) -> Sources:
    """Read all sources; `config` defaults to ALIAPORT_CONFIG. Raises ConfigError."""
    if env_file is not None:
        environ = {**_dotenv(env_file), **environ}
    named = environ.get(f"{PREFIX}CONFIG")
    file = config or (Path(named) if named else None)
    variables: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for name, value in environ.items():
        prefixed = PREFIX + name if name in USUAL_NAMES else name
        if not prefixed.startswith(PREFIX) or not value or _is_injected(name, value):
            continue
        if name in USUAL_NAMES and environ.get(prefixed):
            continue
        variables[prefixed] = value
        spelled[prefixed] = name
    return Sources(variables, _toml(file), file, spelled)


def _is_injected(name: str, value: str) -> bool:
    """Recognise variables that Kubernetes sets for a Service named aliaport."""
    return bool(_INJECTED.fullmatch(name) or _INJECTED_VALUE.match(value))


def _toml(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            [f"{file}: {error.strerror}; pass the path of a readable TOML file"]
        ) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{file}: is not UTF-8 text; save it as UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{file}: is not valid TOML: {error}"]) from None


def _dotenv(file: Path) -> dict[str, str]:
    try:
        with file.open(encoding="utf-8") as stream:
            values = dotenv_values(stream=stream)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ConfigError([f"{file}: {reason}; --env-file needs a readable .env file"]) from None
    return {name: value for name, value in values.items() if value is not None}
