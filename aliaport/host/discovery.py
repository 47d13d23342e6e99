"""Finds plugins and applications by their entry points; reads metadata only, and never raises."""

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Literal

from aliaport import __version__
from aliaport.contract.declarations import PLUGIN_NAME
from aliaport.errors import AliaportError
from aliaport.settings import EVERY

Group = Literal["plugins", "apps"]
_GROUPS: dict[str, Group] = {"aliaport.plugins": "plugins", "aliaport.apps": "apps"}

OWN = "aliaport"
"""The plugin name of the service's own probes in /status and /metrics."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The stage at which a plugin was rejected, the reason, and a hint that says what to do.

    `outranked` is set if another plugin keeps a name that both use: the service then works as if
    this one were not installed.
    """

    stage: str
    reason: str
    hint: str
    outranked: bool = False

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
    settings exclude it; `required` is set if they require it, `allowed` if they name it. `loaded`
    is the object that it names if no import is needed, as in tests.
    """

    group: Group
    name: str
    entry: EntryPoint
    distribution: str
    version: str
    selected: bool = True
    required: bool = False
    allowed: bool = False
    rejection: Rejection | None = None
    loaded: object = None

    @property
    def package(self) -> str:
        """The top-level package, which distinguishes this plugin's lines from a library's."""
        return self.entry.value.partition(":")[0].strip().partition(".")[0]

    @property
    def bundled(self) -> bool:
        """True if it is released together with the service, under its version."""
        normal = _normal(self.distribution)
        return self.version == __version__ and normal == f"aliaport_{self.name}"

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Its rank if it uses a name that another uses too: the higher one keeps the name."""
        return self.required, self.bundled, self.allowed


def scan(
    allow: Collection[str] | None,
    disable: Collection[str],
    installed: Iterable[Distribution] | None = None,
    required: Collection[str] = (),
) -> list[Candidate]:
    """Return all candidates in alphabetical order. `installed` replaces the real distributions."""
    entries = sorted(_entries(distributions() if installed is None else installed), key=_order)
    candidates = [
        Candidate(
            group,
            entry.name,
            entry,
            name,
            version,
            selected=(allow is None or entry.name in allow) and entry.name not in disable,
            required=EVERY in required or entry.name in required,
            allowed=entry.name in (allow or ()),
        )
        for group, entry, name, version in entries
    ]
    rivals: dict[tuple[Group, str], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        if candidate.entry.group in _GROUPS:
            rivals[candidate.group, candidate.name].append(candidate)
    return [
        replace(candidate, rejection=_ruled_out(candidate, rivals[candidate.group, candidate.name]))
        for candidate in candidates
    ]


def unknown_names(
    setting: str, names: Collection[str], candidates: Sequence[Candidate]
) -> list[str]:
    """Return one problem for each of `names` that is not installed."""
    problems = [unknown_name(name, candidates) for name in names]
    return [f"{setting}: {problem}" for problem in problems if problem]


def unknown_name(name: str, candidates: Sequence[Candidate]) -> str:
    """Return the problem of a name that is not installed; '' if it is."""
    installed = sorted({candidate.name for candidate in candidates})
    if name in installed:
        return ""
    near = difflib.get_close_matches(name, installed, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"installed: {', '.join(installed)}"
    return f"no plugin {name!r} is installed; {hint}"


def meant_group(group: str) -> Group | None:
    """Return the group that a plugin's author meant, None if it is a different one."""
    plain = group.lower().replace("_", ".").replace("-", ".")
    if not plain.startswith("aliaport"):
        return None
    near = difflib.get_close_matches(plain, _GROUPS, n=1, cutoff=0.9)
    return _GROUPS[near[0]] if near else None


def _order(found: tuple[Group, EntryPoint, str, str]) -> tuple[str, str, str]:
    group, entry, name, _ = found
    return group, entry.name, name


def _normal(distribution: str) -> str:
    return distribution.lower().replace("-", "_").replace(".", "_")


def _entries(installed: Iterable[Distribution]) -> list[tuple[Group, EntryPoint, str, str]]:
    seen: set[str] = set()
    found: dict[tuple[str, str, str], tuple[Group, EntryPoint, str, str]] = {}
    for distribution in installed:
        try:
            metadata = distribution.metadata
            if "Name" not in metadata or "Version" not in metadata:
                continue
            name, version = metadata["Name"], metadata["Version"]
            entries = list(distribution.entry_points)
        except Exception:  # noqa: S112 # a bulkhead: broken metadata of somebody's package
            continue
        # One distribution may be found in both lib and lib64; the first on the path is imported.
        normal = _normal(str(name))
        if normal in seen:
            continue
        seen.add(normal)
        for entry in entries:
            group = meant_group(entry.group)
            if group is not None:
                found[entry.group, entry.name, normal] = group, entry, str(name), str(version)
    return list(found.values())


def _ruled_out(candidate: Candidate, rivals: list[Candidate]) -> Rejection | None:
    """Return why the metadata rules the candidate out; `rivals` use its name, in its group."""
    name, group = candidate.name, candidate.entry.group
    if group not in _GROUPS:
        meant = next(known for known, short in _GROUPS.items() if short == candidate.group)
        return Rejection(
            "group",
            f"its entry point is in the group {group!r}, which nothing reads",
            f"its authors must put it in the group {meant!r}",
            outranked=bool(rivals),
        )
    if PLUGIN_NAME.fullmatch(name) is None or name == OWN:
        wrong = "is reserved" if name == OWN else f"does not match {PLUGIN_NAME.pattern}"
        return Rejection(
            "name",
            f"the entry point's name {name[:60]!r} {wrong}",
            "its authors must rename it; use lowercase letters, digits and underscores",
        )
    if len(rivals) == 1:
        return None
    bundled = [rival for rival in rivals if rival.bundled]
    if candidate in bundled and len(bundled) == 1:
        return None
    owners = [f"{rival.distribution} {rival.version}" for rival in rivals]
    if len(bundled) == 1:
        keeper = f"{bundled[0].distribution} {bundled[0].version}"
        return Rejection(
            "collision",
            f"its name {name!r} is that of {keeper}, which is bundled with the service",
            "uninstall it, or ask its authors to rename it",
            outranked=True,
        )
    return Rejection(
        "collision",
        f"{' and '.join(owners)} use the same name {name!r}",
        "uninstall all but one of them",
    )
