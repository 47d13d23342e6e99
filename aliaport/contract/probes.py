"""Probes and their results, as frozen values."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from aliaport.contract.rules import (
    matches,
    number,
    plain,
    require,
    require_function,
    suggested,
    text,
)

Scalar = str | int | float | bool | None

PROBE_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
CODE = re.compile(r"[a-z][a-z0-9_]{0,40}")
RESERVED_PROBE_NAMES = frozenset(
    "status timestamp reason reasons probes plugins omitted success data error service version "
    "uptime_seconds environment".split()
)
HOST_CODES = frozenset("timeout stuck blocked error starting rejected invalid draining".split())
TITLE_LIMIT = 200
"""Characters of a title."""

DEFAULT_LIMIT = 300
"""Characters of a key or a text in `section_defaults`."""


class Status(StrEnum):
    """The health that a probe reports."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one probe run. Use the constructors `healthy`, `degraded` and `unhealthy`.

    `summary` is one sentence for people (cut at 300 characters), `data` further values (at most
    32 scalars), `code` a short, documented reason such as `wrong_password`. The code is public;
    summary and data are shown to operators only.

    The constructors accept any scalar as `code`, so that type checkers accept `**data` of a
    `dict[str, Scalar]`. A code that is not such a word makes the result `invalid`.
    """

    status: Status
    summary: str = ""
    data: Mapping[str, Scalar] = field(default_factory=dict)
    code: str = ""

    @classmethod
    def healthy(cls, summary: str = "", /, *, code: Scalar = "ok", **data: Scalar) -> "Check":
        """Report that all is well."""
        return cls(Status.HEALTHY, summary, data, _word(code))

    @classmethod
    def degraded(cls, summary: str = "", /, *, code: Scalar = "failed", **data: Scalar) -> "Check":
        """Report that it works but needs attention; nothing is taken out of rotation."""
        return cls(Status.DEGRADED, summary, data, _word(code))

    @classmethod
    def unhealthy(cls, summary: str = "", /, *, code: Scalar = "failed", **data: Scalar) -> "Check":
        """Report that it does not work; if the probe is critical, /ready responds with 503."""
        return cls(Status.UNHEALTHY, summary, data, _word(code))


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Declares one probe.

    `run` is an `async def` (it runs on the plugin's own loop) or a plain `def` (it runs in its own
    thread, so it may block). `critical` and `timeout` (seconds) are defaults, which the operator
    can override in `[probes.<name>]`. `section` is the key of /status that holds the data (several
    probes may share one), `section_defaults` the values shown there until there is a result.
    `words` are the two status words of that section and of /ready: (works, does not work).
    """

    name: str
    run: Callable[[], Awaitable[Check]] | Callable[[], Check]
    title: str = ""
    critical: bool = False
    timeout: float = 0.5
    section: str | None = None
    section_defaults: Mapping[str, Scalar] = field(default_factory=dict)
    words: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        """Raise DeclarationError if the declaration breaks the contract."""
        where = f"probe {self.name!r}"
        require(
            matches(PROBE_NAME, self.name),
            f"{where}: the name must match {PROBE_NAME.pattern}",
            suggested(self.name),
        )
        require(
            self.name not in RESERVED_PROBE_NAMES,
            f"{where}: this name is reserved for a key of the responses",
            "choose another",
        )
        require_function(self.run, where)
        title = text(self.title, f"{where}: title", TITLE_LIMIT)
        require(
            isinstance(self.critical, bool),
            f"{where}: critical must be True or False",
            "write critical=True",
        )
        timeout = number(self.timeout, f"{where}: timeout")
        require(
            0 < timeout <= 60,
            f"{where}: timeout must be more than 0 and at most 60 seconds",
            "move work that takes longer into a Job, and let the probe look at its result",
        )
        require(
            self.section is None or matches(PROBE_NAME, self.section),
            f"{where}: section must match {PROBE_NAME.pattern}",
            "use lowercase letters, digits and underscores",
        )
        require(
            self.section not in RESERVED_PROBE_NAMES,
            f"{where}: section {self.section!r} is reserved for a key of the responses",
            "choose another",
        )
        require(
            self.words is None
            or (
                isinstance(self.words, tuple | list)
                and len(self.words) == 2
                and all(matches(CODE, word) for word in self.words)
            ),
            f"{where}: words must be two words such as ('connected', 'disconnected')",
            "write the word of a result that works first",
        )
        defaults = _plain_defaults(self.section_defaults, f"{where}: section_defaults")
        object.__setattr__(self, "name", plain(self.name))
        if self.section is not None:
            object.__setattr__(self, "section", plain(self.section))
        if self.words is not None:
            object.__setattr__(self, "words", tuple(map(plain, self.words)))
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "timeout", timeout)
        object.__setattr__(self, "section_defaults", MappingProxyType(defaults))


def _word(code: Scalar) -> str:
    return code if isinstance(code, str) else str(code)


def _plain_defaults(defaults: object, what: str) -> dict[str, Scalar]:
    require(isinstance(defaults, Mapping), f"{what} must be a mapping", "write {'key': None}")
    assert isinstance(defaults, Mapping)
    plain: dict[str, Scalar] = {}
    for key, value in defaults.items():
        name = text(key, f"{what}: a key", DEFAULT_LIMIT)
        if isinstance(value, str):
            value = text(value, f"{what}: {name}", DEFAULT_LIMIT)
        require(
            value is None or isinstance(value, str | int | float | bool),
            f"{what}: {name} must be text, a number, True, False or None",
            "convert it, for example with str()",
        )
        plain[name] = value
    return plain
