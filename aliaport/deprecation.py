"""Old public names, which keep working for one minor version and warn."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

REMOVAL = "3.3"
"""The version in which the names deprecated in 3.2 are removed."""


def renamed(module: str, names: Mapping[str, tuple[str, Any]]) -> Callable[[str], Any]:
    """Return a module's `__getattr__` that finds old names and warns about them.

    `names` maps each old name to the new name and the object. The function raises AttributeError
    for every other name, as Python does.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        new, found = names[name]
        warnings.warn(
            f"{module}.{name} is deprecated and will be removed in {REMOVAL}; use {module}.{new}",
            DeprecationWarning,
            stacklevel=2,
        )
        return found

    return find
