"""Reads the integrations of each receiver from the configuration that Alertmanager shows.

Alertmanager writes this YAML itself, always in the same form and without anchors. Reading it does
not need a YAML parser, which Aliaport does not depend on.
"""

import json
import re
from collections.abc import Iterator

_NAME = re.compile(r"( *)- name: (.+)")
_INTEGRATION = re.compile(r"( *)(?:- )?([a-z0-9]+)_configs:")
_ROUTED = re.compile(r" *(?:- )?receiver: (.+)")


def integrations(config: str) -> dict[str, set[str]]:
    """Return the receivers that routes lead to, such as {"slack-and-mail": {"slack", "email"}}."""
    routed = {
        _plain(found[1]) for line in _section(config, "route") if (found := _ROUTED.fullmatch(line))
    }
    return {name: kinds for name, kinds in _receivers(config).items() if name in routed}


def _receivers(config: str) -> dict[str, set[str]]:
    receivers: dict[str, set[str]] = {}
    margin: int | None = None
    kinds: set[str] = set()
    for line in _section(config, "receivers"):
        named = _NAME.fullmatch(line)
        if named and margin in (None, len(named[1])):
            margin = len(named[1])
            kinds = receivers.setdefault(_plain(named[2]), set())
        elif (found := _INTEGRATION.fullmatch(line)) and len(found[1]) == (margin or 0) + 2:
            kinds.add(found[2])
    return receivers


def _section(config: str, key: str) -> Iterator[str]:
    inside = False
    for line in config.splitlines():
        if line and line[0] not in " -":
            inside = line == f"{key}:"
        elif inside:
            yield line


def _plain(scalar: str) -> str:
    if scalar.startswith('"'):
        return str(json.loads(scalar))
    if scalar.startswith("'"):
        return scalar[1:-1].replace("''", "'")
    return scalar
