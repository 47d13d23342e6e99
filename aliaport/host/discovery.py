"""Finds plugins and applications by their entry points.

`scan` reads metadata only and never raises. `load` imports; call it in the plugin's bulkhead.
"""

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any, ForwardRef, Literal, TypeVar, get_args, get_origin

from aliaport.contract.declarations import PLUGIN_NAME
from aliaport.errors import AliaportError
from aliaport.plugin import API_VERSION, Plugin, PluginConfig

Group = Literal["plugins", "apps"]
_GROUPS: dict[str, Group] = {"aliaport.plugins": "plugins", "aliaport.apps": "apps"}


@dataclass(frozen=True, slots=True)
class Rejection:
    """The stage at which a plugin was rejected, the reason, and a hint that says what to do."""

    stage: str
    reason: str
    hint: str

    def __str__(self) -> str:
        """Return text like `declare: probes() returned str; return a list of Probe`."""
        return f"{self.stage}: {self.reason}; {self.hint}"


class RejectedError(AliaportError):
    """Carries a rejection from the code that found it to the host."""

    def __init__(self, stage: str, reason: str, hint: str) -> None:
        self.rejection = Rejection(stage, reason, hint)
        super().__init__(str(self.rejection))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry point that names a plugin or an application.

    `rejection` is set if the metadata alone rules it out. `selected` is False if the operator's
    settings exclude it. `loaded` is the object that it names if no import is needed, as in tests.
    """

    group: Group
    name: str
    entry: EntryPoint
    distribution: str
    version: str
    selected: bool = True
    rejection: Rejection | None = None
    loaded: object = None

    @property
    def package(self) -> str:
        """The top-level package, which distinguishes this plugin's lines from a library's."""
        return self.entry.value.partition(":")[0].strip().partition(".")[0]


def scan(
    allow: Collection[str] | None,
    disable: Collection[str],
    installed: Iterable[Distribution] | None = None,
) -> list[Candidate]:
    """Return all candidates in alphabetical order. `installed` replaces the real distributions."""
    entries = sorted(_entries(distributions() if installed is None else installed), key=_order)
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for group, entry, name, version in entries:
        owners[group, entry.name].append(f"{name} {version}")
    return [
        Candidate(
            group,
            entry.name,
            entry,
            name,
            version,
            selected=(allow is None or entry.name in allow) and entry.name not in disable,
            rejection=_ruled_out(entry, owners[group, entry.name]),
        )
        for group, entry, name, version in entries
    ]


def unknown_names(
    setting: str, names: Collection[str], candidates: Sequence[Candidate]
) -> list[str]:
    """Return one problem for each of `names` that is not installed."""
    installed = sorted({candidate.name for candidate in candidates})
    problems = []
    for name in names:
        if name not in installed:
            near = difflib.get_close_matches(name, installed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"installed: {', '.join(installed)}"
            problems.append(f"{setting}: no plugin {name!r} is installed; {hint}")
    return problems


def load(candidate: Candidate) -> Any:
    """Import the object that the entry point names; raise RejectedError if that fails."""
    if candidate.loaded is not None:
        return candidate.loaded
    try:
        return candidate.entry.load()
    except BaseException as error:  # a bulkhead: importing runs the plugin's code
        text = f"{type(error).__name__}: {error}"[:300]
        if isinstance(error, ModuleNotFoundError) and error.name != candidate.package:
            hint = f"install {error.name}, which {candidate.distribution} should depend on"
        else:
            hint = f"reinstall or upgrade {candidate.distribution}, or report it to its authors"
        raise RejectedError("import", f"{candidate.entry.value}: {text}", hint) from error


def plugin_class(
    candidate: Candidate, loaded: object
) -> tuple[type[Plugin[PluginConfig]], type[PluginConfig]]:
    """Return the plugin's class and its options model; raise RejectedError if it is not one."""
    where = candidate.entry.value
    if not (isinstance(loaded, type) and issubclass(loaded, Plugin)) or loaded is Plugin:
        kind = loaded.__name__ if isinstance(loaded, type) else type(loaded).__name__
        raise RejectedError(
            "type",
            f"{where} is {kind}, not a subclass of aliaport.plugin.Plugin",
            "set the entry point to the plugin's class: 'package.module:ClassName'",
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
        raise RejectedError(
            "api",
            f"{candidate.entry.value} does not declare its plugin API version",
            f"its authors must set `api = {API_VERSION}` in the class",
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


def _order(found: tuple[Group, EntryPoint, str, str]) -> tuple[str, str, str]:
    group, entry, name, _ = found
    return group, entry.name, name


def _entries(installed: Iterable[Distribution]) -> list[tuple[Group, EntryPoint, str, str]]:
    seen: set[str] = set()
    found: dict[tuple[str, str, str], tuple[Group, EntryPoint, str, str]] = {}
    for distribution in installed:
        try:
            metadata = distribution.metadata
            if "Name" not in metadata or "Version" not in metadata:
                continue
            name, version = metadata["Name"], metadata["Version"]
            entries = [entry for entry in distribution.entry_points if entry.group in _GROUPS]
        except Exception:  # noqa: S112 # a bulkhead: broken metadata of somebody's package
            continue
        # One distribution may be found in both lib and lib64; the first on the path is imported.
        normal = str(name).lower().replace("-", "_").replace(".", "_")
        if normal in seen:
            continue
        seen.add(normal)
        for entry in entries:
            found[entry.group, entry.name, normal] = (
                _GROUPS[entry.group],
                entry,
                str(name),
                str(version),
            )
    return list(found.values())


def _ruled_out(entry: EntryPoint, owners: list[str]) -> Rejection | None:
    if PLUGIN_NAME.fullmatch(entry.name) is None:
        return Rejection(
            "name",
            f"the entry point's name {entry.name[:60]!r} does not match {PLUGIN_NAME.pattern}",
            "its authors must rename it; use lowercase letters, digits and underscores",
        )
    if len(owners) > 1:
        return Rejection(
            "collision",
            f"{' and '.join(owners)} use the same name {entry.name!r}",
            "uninstall all but one of them",
        )
    return None


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
