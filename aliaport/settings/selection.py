"""The table `[selection]`: which of the installed plugins and apps run."""

from pydantic import Field

from aliaport.settings.table import Table

EVERY = "*"
"""The name in `required` that means every selected plugin and app."""


class SelectionSettings(Table):
    """`[selection]`: which of the installed plugins and apps run."""

    allow: tuple[str, ...] | None = Field(
        None, description="Load only these plugins and apps; if unset, all installed ones."
    )
    disable: tuple[str, ...] = Field((), description="Do not load these plugins and apps.")
    required: tuple[str, ...] = Field(
        (),
        description="Plugins and apps that must run, `*` for all selected ones; otherwise /ready "
        "responds 503 `plugin_missing`.",
    )
