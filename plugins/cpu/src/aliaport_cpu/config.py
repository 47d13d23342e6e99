"""The options of the cpu plugin."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from aliaport.plugin import PluginConfig

Percent = Annotated[float, Field(gt=0, le=100)]


class CpuConfig(PluginConfig):
    """`[plugins.cpu]`: over how long the use is judged and when it is too much."""

    average_seconds: float = Field(
        default=60,
        ge=1,
        le=900,
        description="Seconds over which the use is averaged before it is judged.",
    )
    warn_percent: Percent = Field(default=60, description="Degraded from this average use.")
    critical_percent: Percent = Field(default=80, description="Unhealthy from this average use.")
    warn_throttled_percent: Percent = Field(
        default=25,
        description="Degraded from this share of scheduling periods in which the limit held us up.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.warn_percent > self.critical_percent:
            raise ValueError("warn_percent must not be above critical_percent")
        return self
