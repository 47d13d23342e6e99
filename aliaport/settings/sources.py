"""Reads the TOML file, the environment and an optional `.env` file, without validating them."""

import io
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from aliaport.errors import ConfigError

PREFIX = "ALIAPORT_"
USUAL_NAMES = (
    *("DATABASE_URL", "DATABASE_URL_FILE", "ENVIRONMENT"),
    *("SENTRY_DSN", "SENTRY_DSN_FILE"),
)
"""Variables without a prefix; they also work with it, and then win."""

ENCODING = "utf-8-sig"
"""All files are UTF-8; a byte order mark, which some editors write, is not part of the text."""

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
        # Docker leaves the carriage returns of a --env-file from Windows in the values.
        value = value.rstrip("\r\n")
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
        return tomllib.loads(file.read_text(encoding=ENCODING))
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
        text = file.read_text(encoding=ENCODING)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ConfigError([f"{file}: {reason}; --env-file needs a readable .env file"]) from None
    # The text of a line is not shown: it may contain a secret.
    problems = [
        f"{file}: line {_line_of(binding)}: must be NAME=value, with both quotes if the value "
        "is quoted; correct it, or begin it with #"
        for binding in parse_stream(io.StringIO(text))
        if binding.error
    ]
    if problems:
        raise ConfigError(problems)
    values = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


def _line_of(binding: Binding) -> int:
    """Return the line of a binding, which begins with the blank lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
