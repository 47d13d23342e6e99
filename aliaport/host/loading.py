"""Imports what an entry point names, and checks it; call both in the plugin's bulkhead."""

from types import ModuleType
from typing import Any, ForwardRef, TypeVar, get_args, get_origin

from aliaport.host.discovery import Candidate, RejectedError
from aliaport.host.hints import ENTRY_FORM, import_hint, plugins_of, rejecting
from aliaport.plugin import API_VERSION, Plugin, PluginConfig


def load(candidate: Candidate) -> Any:
    """Import the object that the entry point names; raise RejectedError if that fails."""
    if candidate.loaded is not None:
        return candidate.loaded
    value = candidate.entry.value
    if candidate.entry.pattern.match(value) is None:
        raise RejectedError(
            "import",
            f"{value[:100]}: is not a valid entry point" if value else "its entry point is empty",
            f"its authors must write the entry point as {ENTRY_FORM}",
        )
    with rejecting("import", candidate.package, import_hint(candidate), about=value):
        return candidate.entry.load()


def plugin_class(
    candidate: Candidate, loaded: object
) -> tuple[type[Plugin[PluginConfig]], type[PluginConfig]]:
    """Return the plugin's class and its options model; raise RejectedError if it is not one."""
    where = candidate.entry.value
    if not (isinstance(loaded, type) and issubclass(loaded, Plugin)) or loaded is Plugin:
        kind = loaded.__name__ if isinstance(loaded, type) else type(loaded).__name__
        hint = "set the entry point to the plugin's class: 'package.module:ClassName'"
        if isinstance(loaded, ModuleType):
            hint = f"its authors must correct the entry point; {plugins_of(loaded)}"
        raise RejectedError(
            "type", f"{where} is {kind}, not a subclass of aliaport.plugin.Plugin", hint
        )
    check_api(candidate, getattr(loaded, "api", None))
    model = _config_model(loaded, {})
    if isinstance(model, str | ForwardRef):
        raise RejectedError(
            "type",
            f"{where} is declared as Plugin[{getattr(model, '__forward_arg__', model)!r}]",
            "write the class itself, without quotes: class MyPlugin(Plugin[MyConfig])",
        )
    if model is None or isinstance(model, TypeVar):
        return loaded, PluginConfig
    if not (isinstance(model, type) and issubclass(model, PluginConfig)):
        raise RejectedError(
            "type",
            f"the options of {where} are {model!r}, not a subclass of aliaport.plugin.PluginConfig",
            "derive the options class from PluginConfig",
        )
    return loaded, model


def check_api(candidate: Candidate, api: object) -> None:
    """Raise RejectedError unless this host supports version `api` of the plugin API."""
    known = ".".join(map(str, API_VERSION))
    if not (isinstance(api, tuple) and len(api) == 2 and all(type(part) is int for part in api)):
        wrong = f"declares its plugin API version as {api!r:.60}"
        raise RejectedError(
            "api",
            f"{candidate.entry.value} "
            + ("does not declare its plugin API version" if api is None else wrong),
            f"its authors must set `api = {API_VERSION}`, a tuple of two integers",
        )
    if api[0] != API_VERSION[0] or api[1] > API_VERSION[1]:
        wanted = f"{api[0]}.{api[1]}"
        newer = api > API_VERSION
        raise RejectedError(
            "api",
            f"{candidate.distribution} {candidate.version} needs plugin API {wanted}; "
            f"this host has {known}",
            f"upgrade aliaport or install an older {candidate.distribution}"
            if newer
            else f"upgrade {candidate.distribution}",
        )


def _config_model(cls: type, bindings: dict[Any, Any]) -> Any:
    """Return the argument of Plugin[…], through all kinds of bases; None if there is none."""
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = get_origin(base) or base
        if not (isinstance(origin, type) and issubclass(origin, Plugin)):
            continue
        arguments = [bindings.get(argument, argument) for argument in get_args(base)]
        if origin is Plugin:
            return arguments[0] if arguments else None
        parameters = getattr(origin, "__parameters__", ())
        return _config_model(origin, dict(zip(parameters, arguments, strict=False)))
    return None
