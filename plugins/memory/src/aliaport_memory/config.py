"""The options of the memory plugin."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from aliaport.plugin import PluginConfig

Percent = Annotated[float, Field(gt=0, le=100)]


class MemoryConfig(PluginConfig):
    """`[plugins.memory]`: the thresholds, and how long an OOM kill is reported."""

    warn_percent: Percent = Field(
        default=75, description="Degraded at this percentage of memory used."
    )
    critical_percent: Percent = Field(
        default=85, description="Unhealthy at this percentage of memory used."
    )
    warn_pressure_percent: Percent = Field(
        default=10,
        description="Degraded if all tasks waited for memory in this percentage of the last "
        "minute.",
    )
    oom_kill_seconds: float = Field(
        default=300,
        ge=0,
        description="Stay degraded for this many seconds after an OOM kill.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.warn_percent > self.critical_percent:
            raise ValueError("warn_percent must not be above critical_percent")
        return self
