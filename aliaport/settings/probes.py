"""The tables `[probes.<name>]`: the operator's settings of one probe."""

from pydantic import Field

from aliaport.settings.table import Table


class ProbeSettings(Table):
    """`[probes.<name>]`: the operator's settings of one probe."""

    critical: bool | None = Field(
        None, description="Whether /ready depends on this probe; if unset, the plugin's default."
    )
    timeout: float | None = Field(
        None,
        gt=0,
        le=60,
        description="Timeout of one run in seconds; if unset, the plugin's default.",
    )
    min_interval: float = Field(
        0,
        ge=0,
        description="Reuse a result for this many seconds; 0 runs the probe on every request.",
    )
