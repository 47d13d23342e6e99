"""The options of the db plugin."""

from pydantic import Field

from aliaport.plugin import PluginConfig


class DbConfig(PluginConfig):
    """`[plugins.db]`: how long the database may take and what it must allow."""

    connect_timeout: float = Field(
        default=0.25, gt=0, le=30, description="Seconds for opening the probe's connection."
    )
    query_timeout: float = Field(
        default=0.2, gt=0, le=30, description="Seconds for the probe's statement."
    )
    require_writable: bool = Field(
        default=True, description="Whether a server that only reads is unhealthy (`read_only`)."
    )
    statistics_timeout: float = Field(
        default=3, gt=0, le=30, description="Seconds for each statement of the statistics."
    )
