"""The options of the cpu plugin."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from aliaport.plugin import PluginConfig

Percent = Annotated[float, Field(gt=0, le=100)]


class CpuConfig(PluginConfig):
    """`[plugins.cpu]`: the averaging time and the thresholds."""

    average_seconds: float = Field(
        default=60,
        ge=1,
        le=900,
        description="Average CPU usage over this many seconds before applying the thresholds.",
    )
    warn_percent: Percent = Field(default=60, description="Degraded at this average usage.")
    critical_percent: Percent = Field(default=80, description="Unhealthy at this average usage.")
    warn_throttled_percent: Percent = Field(
        default=25,
        description="Degraded when this percentage of scheduling periods is throttled.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.warn_percent > self.critical_percent:
            raise ValueError("warn_percent must not be above critical_percent")
        return self
