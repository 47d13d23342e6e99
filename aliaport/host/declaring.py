"""Constructs a plugin and takes its declarations; call both in the plugin's bulkhead."""

import inspect
from dataclasses import dataclass
from typing import Any

from aliaport.contract.declarations import Collector, Job, Probe
from aliaport.host.discovery import RejectedError
from aliaport.host.hints import construct_hint, declare_hint, rejecting
from aliaport.plugin import Context, Plugin, PluginConfig

MAX_DECLARATIONS = 200


@dataclass(frozen=True, slots=True)
class Declared:
    """A constructed plugin and what it declared."""

    plugin: Plugin[Any]
    probes: tuple[Probe, ...]
    collectors: tuple[Collector, ...]
    jobs: tuple[Job, ...]


def construct(
    cls: type[Plugin[Any]], config: PluginConfig, context: Context, package: str
) -> Declared:
    """Construct the plugin and take its declarations; raise RejectedError if that fails."""
    with rejecting("construct", package, construct_hint(cls)):
        plugin = cls(config, context)
    for method in ("start", "stop"):
        _require_body(plugin, method)
    return Declared(
        plugin,
        _declared(plugin, "probes", Probe, package),
        _declared(plugin, "metrics", Collector, package),
        _declared(plugin, "jobs", Job, package),
    )


def _require_body(plugin: Plugin[Any], method: str) -> None:
    """Raise RejectedError if a call of the method would run none of its code."""
    function = getattr(plugin, method)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise RejectedError(
            "declare",
            f"{method}() contains `yield`, so that a call of it only makes a generator",
            f"remove `yield` from {method}(); release in stop() what start() acquires",
        )


def _declared(plugin: Plugin[Any], method: str, kind: type[Any], package: str) -> tuple[Any, ...]:
    source = f"{method}()"
    with rejecting("declare", package, declare_hint(source, kind)):
        declared: object = getattr(plugin, method)()
        items = _checked(declared, kind, source)
    names = [item.name for item in items]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        what = kind.__name__.lower()
        raise RejectedError(
            "declare",
            f"it declares two {what}s named {', '.join(duplicates)}",
            f"give each {what} its own name",
        )
    return items


def _checked(declared: object, kind: type[Any], source: str) -> tuple[Any, ...]:
    hint = f"return a list of {kind.__name__} from {source}"
    if kind is Collector:
        hint += "; leave out metrics that you fill through the context, such as context.counter"
    if inspect.iscoroutine(declared):
        declared.close()  # or Python would warn that it was never awaited
        raise RejectedError(
            "declare", f"{source} is an async function", f"define it with `def`; {hint}"
        )
    if not isinstance(declared, list | tuple):
        raise RejectedError("declare", f"{source} returned {type(declared).__name__}", hint)
    if len(declared) > MAX_DECLARATIONS:
        reason = f"{source} returned {len(declared)} items; the maximum is {MAX_DECLARATIONS}"
        raise RejectedError(
            "declare", reason, "declare fewer items; use labels for many similar ones"
        )
    for item in declared:
        if not isinstance(item, kind):
            raise RejectedError("declare", f"{source} contains {type(item).__name__}", hint)
    return tuple(declared)
