"""The service's own options, with their defaults and units."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from aliaport import SERVICE, __version__
from aliaport.addresses import unmapped
from aliaport.settings.database_url import DatabaseUrl
from aliaport.settings.http import HttpSettings
from aliaport.settings.log import LogSettings
from aliaport.settings.metrics import MetricsSettings
from aliaport.settings.plugin_limits import PluginLimits
from aliaport.settings.probes import ProbeSettings
from aliaport.settings.selection import SelectionSettings
from aliaport.settings.sentry_dsn import check_dsn
from aliaport.settings.table import Table
from aliaport.settings.tokens import check_token

Environment = Literal["development", "test", "staging", "production"]
OPEN_ENVIRONMENTS = ("development", "test")
"""Environments that show everything to everyone and may use the embedded database."""

ANY_ADDRESS = frozenset(("", "0.0.0.0", "::"))  # noqa: S104
"""Values of `host` that stand for all addresses of the machine."""


class Settings(Table):
    """The service's own options."""

    renamed_options: ClassVar[Mapping[str, str]] = {
        "loading": "selection",
        "ready_budget": "ready_timeout",
        "status_budget": "status_timeout",
    }
    """Old names that are still accepted, and the new ones."""

    environment: Environment = Field(
        "development", description="One of development, test, staging and production."
    )
    database_url: SecretStr | None = Field(
        None,
        description="postgresql://user:password@host:port/name; if unset, the embedded database "
        "in development and test.",
    )
    host: str = Field(
        "",
        description="Address to listen on; by default 127.0.0.1 in development and test, otherwise "
        "0.0.0.0.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    internal_host: str = Field(
        "", description="Address of the second listener; if unset, the same as `host`."
    )
    internal_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of a second listener; /status and /metrics are then served only there.",
    )
    drain_seconds: float = Field(
        -1,
        le=600,
        description="Seconds between SIGTERM and closing the listeners; by default 0 in "
        "development and test, otherwise 5. Must be longer than load balancers need to stop using "
        "a replica.",
    )
    end_timeout: float | None = Field(
        None,
        gt=0,
        le=600,
        description="Maximum seconds from the end of the drain to the exit, whatever still blocks; "
        "by default the sum of the timeouts of the stop, which is 17.5 s in production.",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="Trust X-Forwarded-For from these networks, such as 10.0.0.0/8. Its last 20 "
        "addresses are read.",
    )
    status_token: tuple[SecretStr, ...] = Field(
        (),
        description="Bearer tokens that show full details in staging and production; if none is "
        "configured, details are hidden from everyone.",
    )
    status_token_file: Path | None = Field(
        None,
        description="File with one bearer token per line and `#` comments; reread when it changes.",
    )
    metrics_auth: bool = Field(
        default=False,
        description="Require a status token for /metrics in staging and production; by default "
        "everyone who reaches the port can read it.",
    )
    ready_timeout: float = Field(
        0.8, gt=0, le=60, description="Seconds within which /ready responds."
    )
    status_timeout: float = Field(
        3.0, gt=0, le=60, description="Seconds within which /status responds."
    )
    sentry_dsn: SecretStr | None = Field(
        None,
        description="DSN of the Sentry project that receives errors: https://key@host/number.",
    )
    sentry_traces_sample_rate: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of requests to trace, from 0 to 1; by default 1.0 in development, "
        "otherwise 0.1; at most 300 a minute. /health, /ready and /metrics are never traced.",
    )
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    selection: SelectionSettings = SelectionSettings()
    probes: dict[str, ProbeSettings] = Field(default_factory=dict)
    metrics: MetricsSettings = MetricsSettings()
    plugin_limits: PluginLimits = PluginLimits()

    @property
    def open(self) -> bool:
        """True if this environment shows everything to everyone."""
        return self.environment in OPEN_ENVIRONMENTS

    @field_validator("status_token", mode="before")
    @classmethod
    def _wrap_single_token(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("status_token")
    @classmethod
    def _check_length(cls, tokens: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for token in tokens:
            check_token(token.get_secret_value())
        return tokens

    @field_validator("trusted_proxies")
    @classmethod
    def _unmap(
        cls, networks: tuple[IPv4Network | IPv6Network, ...]
    ) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(map(unmapped, networks))

    @field_validator("metrics_auth")
    @classmethod
    def _has_a_token(cls, required: bool, info: ValidationInfo) -> bool:
        needs_token = required and info.data.get("environment") not in OPEN_ENVIRONMENTS
        if needs_token and not (
            info.data.get("status_token") or info.data.get("status_token_file")
        ):
            raise ValueError(
                "without a token nobody could read /metrics; set status_token or status_token_file"
            )
        return required

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        text = url.get_secret_value().strip()
        DatabaseUrl.parse(text).resolved()
        return SecretStr(text)

    @field_validator("sentry_dsn")
    @classmethod
    def _is_dsn(cls, dsn: SecretStr | None) -> SecretStr | None:
        if dsn is not None:
            check_dsn(dsn.get_secret_value())
        return dsn

    @model_validator(mode="before")
    @classmethod
    def _apply_environment_defaults(cls, values: object) -> object:
        if isinstance(values, dict):
            is_open = values.get("environment", "development") in OPEN_ENVIRONMENTS
            values = dict(values)
            values.setdefault("host", "127.0.0.1" if is_open else "0.0.0.0")  # noqa: S104
            values.setdefault("drain_seconds", 0 if is_open else 5)
            values.setdefault("internal_host", values["host"])
        return values

    @field_validator("drain_seconds")
    @classmethod
    def _is_not_negative(cls, seconds: float) -> float:
        if seconds < 0:
            raise ValueError("must not be negative")
        return seconds


def service_fields(settings: Settings) -> dict[str, str]:
    """Return the Elastic Common Schema fields that every log line has."""
    return {
        "service.name": SERVICE,
        "service.version": __version__,
        "service.environment": settings.environment,
    }
