"""The options of the memory plugin."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from aliaport.plugin import PluginConfig

Percent = Annotated[float, Field(gt=0, le=100)]


class MemoryConfig(PluginConfig):
    """`[plugins.memory]`: when memory is short and how long an OOM kill is reported."""

    warn_percent: Percent = Field(default=75, description="Degraded from this share in use.")
    critical_percent: Percent = Field(default=85, description="Unhealthy from this share in use.")
    oom_kill_seconds: float = Field(
        default=300,
        ge=0,
        description="Seconds for which the probe is degraded after an OOM kill was noticed.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.warn_percent > self.critical_percent:
            raise ValueError("warn_percent must not be above critical_percent")
        return self
