"""The table `[plugin_limits]`: how long a plugin or application may take."""

from typing import Self

from pydantic import Field, model_validator

from aliaport.settings.table import Table


class PluginLimits(Table):
    """`[plugin_limits]`: how long a plugin or application may take."""

    import_timeout: float = Field(
        10.0, gt=0, le=600, description="Timeout in seconds for importing a plugin or app."
    )
    construct_timeout: float = Field(
        5.0,
        gt=0,
        le=600,
        description="Timeout in seconds for validating a plugin's options and for its constructor.",
    )
    start_timeout: float = Field(
        10.0,
        gt=0,
        le=600,
        description="Timeout in seconds for one attempt to start a plugin or app, apart from its "
        "migrations.",
    )
    migration_timeout: float = Field(
        300.0,
        gt=0,
        le=86400,
        description="Timeout in seconds for the migrations of a plugin or app, and for waiting "
        "until another replica has migrated.",
    )
    first_retry: float = Field(
        1.0,
        ge=0.05,
        le=3600,
        description="Retry a failed start after this many seconds; each failure doubles the delay.",
    )
    max_retry: float = Field(
        60.0,
        ge=0.05,
        le=3600,
        description="Maximum delay in seconds between two attempts to start.",
    )
    stop_timeout: float = Field(
        3.0, gt=0, le=60, description="Timeout in seconds for stopping one plugin or app."
    )
    stop_all_timeout: float = Field(
        5.0, gt=0, le=60, description="Timeout in seconds for stopping all plugins together."
    )
    stall_timeout: float = Field(
        5.0,
        ge=0.5,
        le=600,
        description="Log `http_loop.stalled`, with the current line of each thread, when code "
        "blocks the HTTP loop for this many seconds.",
    )

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        if self.max_retry < self.first_retry:
            raise ValueError(f"max_retry must be at least first_retry ({self.first_retry:g} s)")
        if self.stop_all_timeout < self.stop_timeout:
            raise ValueError(
                f"stop_all_timeout must be at least stop_timeout ({self.stop_timeout:g} s)"
            )
        return self
