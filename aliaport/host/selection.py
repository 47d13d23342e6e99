"""Says why a plugin or application that must run is not selected."""

from collections.abc import Sequence
from dataclasses import dataclass

from aliaport.host.discovery import Candidate, unknown_name
from aliaport.settings import EVERY, SelectionSettings, Sources, place_of


@dataclass(frozen=True, slots=True)
class Absence:
    """A required name that nothing selected has.

    `reason` is short and may be shown to everyone; `problem` also says where it is excluded, and
    how to include it.
    """

    name: str
    reason: str
    problem: str


def absences(
    selection: SelectionSettings, candidates: Sequence[Candidate], sources: Sources
) -> list[Absence]:
    """Return the required names that are not installed or not selected."""
    installed = {candidate.name for candidate in candidates}
    selected = {candidate.name for candidate in candidates if candidate.selected}
    found = []
    for name in selection.required:
        if name == EVERY or name in selected:
            continue
        if name not in installed:
            reason, problem = "not installed", unknown_name(name, candidates)
        elif name in selection.disable:
            reason, place = "disabled", place_of(sources, "selection", "disable")
            problem = f"the plugin {name!r} is disabled by {place}; remove it there"
        else:
            reason, place = "not allowed", place_of(sources, "selection", "allow")
            problem = f"the plugin {name!r} is not among those of {place}; add it there"
        found.append(Absence(name, reason, f"selection.required: {problem}"))
    return found
