"""The options of the db plugin."""

from pydantic import Field

from aliaport.plugin import PluginConfig


class DbConfig(PluginConfig):
    """`[plugins.db]`: timeouts, and whether the database must be writable."""

    connect_timeout: float = Field(
        default=0.4,
        gt=0,
        le=30,
        description="Seconds for which the probe waits for a connection; the attempt goes on.",
    )
    query_timeout: float = Field(
        default=0.3, gt=0, le=30, description="Timeout in seconds for the probe's query."
    )
    require_writable: bool = Field(
        default=True, description="Report a read-only server as unhealthy (`read_only`)."
    )
    statistics_timeout: float = Field(
        default=3, gt=0, le=30, description="Timeout in seconds for each statistics query."
    )
