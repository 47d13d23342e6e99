"""Finds installed code that replaces a plugin's: another copy of its distribution or its module.

Both are possible on purpose, such as a newer copy on PYTHONPATH, so they are reported, not refused.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aliaport.host.discovery import Candidate

HINT = "uninstall the copy that you do not want, or correct PYTHONPATH"


@dataclass(frozen=True, slots=True)
class Shadowed:
    """The name of a distribution, and what is used in its place, with versions and paths."""

    distribution: str
    problem: str


def shadowed(candidates: Iterable[Candidate]) -> list[Shadowed]:
    """Return what is replaced of the selected plugins and applications."""
    packages: dict[str, list[str]] = {}
    for candidate in candidates:
        if candidate.selected and candidate.loaded is None:
            packages.setdefault(candidate.distribution, []).append(candidate.package)
    return [
        Shadowed(name, problem)
        for name, modules in packages.items()
        for problem in _problems(name, dict.fromkeys(modules))
    ]


def _problems(name: str, modules: Iterable[str]) -> Iterator[str]:
    copies = list(distributions(name=name))
    if not copies:
        return
    used, *others = copies
    for other in others:
        if not _is_same(used, other):
            yield f"{_shown(used)} is used instead of {_shown(other)}"
    for module in modules:
        expected, found = _expected(used, module), _found(module)
        if expected and found and not any(path.is_relative_to(expected) for path in found):
            yield f"{module} is imported from {found[0]}, not from {_shown(used)}"


def _is_same(one: Distribution, other: Distribution) -> bool:
    """Recognise a second name of one folder, and what an editable installation leaves there."""
    folders = _folder(one), _folder(other)
    return folders[0] == folders[1] or any(
        source is not None and folder.is_relative_to(source)
        for source, folder in zip(map(_source, (one, other)), reversed(folders), strict=True)
    )


def _expected(distribution: Distribution, module: str) -> Path | None:
    """Return where a distribution has its module; None if it does not say so."""
    source = _source(distribution)
    if source is not None:
        return source
    for file in distribution.files or ():
        if file.parts[0] in (module, f"{module}.py"):
            return (_folder(distribution) / file.parts[0]).resolve()
    return None


def _found(module: str) -> list[Path]:
    """Return where Python would import a module from."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):  # importing it says what is wrong
        return []
    places = [] if spec is None else spec.submodule_search_locations or [spec.origin or ""]
    return [Path(place).resolve() for place in places if place]


def _folder(distribution: Distribution) -> Path:
    return Path(str(distribution.locate_file(""))).resolve()


def _source(distribution: Distribution) -> Path | None:
    """Return the folder of an editable installation."""
    try:
        about = json.loads(distribution.read_text("direct_url.json") or "{}")
        editable = about.get("dir_info", {}).get("editable")
        return Path(unquote(urlsplit(about["url"]).path)).resolve() if editable else None
    except (ValueError, KeyError, AttributeError):
        return None


def _shown(distribution: Distribution) -> str:
    place = _source(distribution) or _folder(distribution)
    return f"{distribution.name} {distribution.version} in {place}"
