"""Options that have a new name: the old name is accepted for one minor version, with a warning."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aliaport.deprecation import REMOVAL
from aliaport.settings.sources import PREFIX, Sources


def renamed_options(sources: Sources, path: tuple[str, ...], names: Mapping[str, str]) -> list[str]:
    """Return one warning for each old name in use.

    `names` maps the old names of options below `path` to the new ones.
    """
    table = _table_at(sources.table, path)
    return [
        f"{where} is deprecated and will be removed in {REMOVAL}; use {instead}"
        for old, new in names.items()
        for where, instead in [
            *([(_in_file(sources, path, old), _key(path, new))] if old in table else []),
            *(
                (sources.name_of(variable), current)
                for variable, current in _variables(sources, path, old, new)
            ),
        ]
    ]


def with_current_names(
    sources: Sources, path: tuple[str, ...], names: Mapping[str, str]
) -> tuple[Sources, list[str]]:
    """Return the sources with new names only, and one problem for each option set under both."""
    problems = []
    table = dict(_table_at(sources.table, path))
    variables, spelled = dict(sources.variables), dict(sources.spelled)
    for old, new in names.items():
        if old in table and new in table:
            problems.append(
                f"{_in_file(sources, path, old)} is the old name of {_key(path, new)}; "
                f"use only {_key(path, new)}"
            )
        if old in table:
            table.setdefault(new, table.pop(old))
        for variable, current in _variables(sources, path, old, new):
            if current in variables:
                problems.append(
                    f"{sources.name_of(variable)} is the old name of {current}; use only {current}"
                )
                del variables[variable]
                continue
            variables[current] = variables.pop(variable)
            spelled[current] = spelled.pop(variable, variable)
    return replace(
        sources,
        table=_with_table(sources.table, path, table),
        variables=variables,
        spelled=spelled,
    ), problems


def _table_at(table: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    for name in path:
        inner = table.get(name)
        if not isinstance(inner, dict):
            return {}
        table = inner
    return table


def _with_table(
    table: Mapping[str, Any], path: tuple[str, ...], inner: Mapping[str, Any]
) -> Mapping[str, Any]:
    if not path:
        return inner
    name, *rest = path
    below = table.get(name)
    if not isinstance(below, dict):
        return table
    return {**table, name: _with_table(below, tuple(rest), inner)}


def _variables(
    sources: Sources, path: tuple[str, ...], old: str, new: str
) -> list[tuple[str, str]]:
    """Return each variable of the option `old`, and its name with the option `new`."""
    name, current = _variable(path, old), _variable(path, new)
    return [
        (variable, current + variable.removeprefix(name))
        for variable in sources.variables
        if variable in (name, f"{name}_FILE") or variable.startswith(f"{name}__")
    ]


def _variable(path: tuple[str, ...], option: str) -> str:
    return PREFIX + "__".join((*path, option)).upper()


def _key(path: tuple[str, ...], option: str) -> str:
    return ".".join((*path, option))


def _in_file(sources: Sources, path: tuple[str, ...], option: str) -> str:
    return f"{sources.file}: {_key(path, option)}"
