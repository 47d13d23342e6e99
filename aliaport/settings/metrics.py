"""The table `[metrics]`: how many series plugins may export."""

from pydantic import Field

from aliaport.settings.table import Table


class MetricsSettings(Table):
    """`[metrics]`: the maximum number of series that plugins may export."""

    max_series_per_family: int = Field(
        100, ge=1, description="Maximum number of series in one metric family of a plugin."
    )
    max_series_per_plugin: int = Field(
        500, ge=1, description="Maximum number of series of one plugin."
    )
    max_series: int = Field(
        5000, ge=1, description="Maximum number of series of all plugins together."
    )
