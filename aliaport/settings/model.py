"""What can be set: the service's own options with their defaults and units."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from aliaport import __version__
from aliaport.settings.sentry_dsn import check_dsn

SERVICE = "aliaport-api"

Environment = Literal["development", "test", "staging", "production"]
OPEN_ENVIRONMENTS = ("development", "test")
"""Where everything is shown to everybody, and where the embedded database may be used."""


class _Table(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )


class LogSettings(_Table):
    """`[log]`."""

    folder: Path = Field(
        Path("logs"), description="Folder of app.log, api.log, error.log and audit.log."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is written."
    )
    stdout: bool = Field(
        default=False,
        description="Whether the lines go to standard output too; on a terminal always.",
    )
    probe_requests: bool = Field(
        default=False,
        description="Whether api.log has every probe and scrape; otherwise failed, slow and "
        "changed ones.",
    )
    slow_request_ms: int = Field(
        1000, ge=1, description="Milliseconds from which a probe or scrape counts as slow."
    )
    rotate_mb: int = Field(
        100, ge=1, le=10_000, description="Megabytes at which a file is renamed; so it is daily."
    )
    keep_days: int = Field(
        30, ge=1, description="Days for which renamed app, api and error logs are kept."
    )
    keep_audit_days: int = Field(
        90, ge=1, description="Days for which renamed audit logs are kept."
    )
    max_total_mb: int = Field(
        5000, ge=10, description="Megabytes of all log files, beyond which the oldest go early."
    )


class LoadingSettings(_Table):
    """`[loading]`."""

    allow: tuple[str, ...] | None = Field(
        None, description="The only plugins and apps to load; all installed ones where unset."
    )
    disable: tuple[str, ...] = Field((), description="Installed plugins and apps not to load.")
    required: tuple[str, ...] = Field(
        (), description="Plugins and apps without which /ready is 503 `plugin_missing`."
    )


class ProbeSettings(_Table):
    """`[probes.<name>]`: the operator's decisions about one probe."""

    critical: bool | None = Field(
        None, description="Whether /ready depends on it; the author's proposal where unset."
    )
    timeout: float | None = Field(
        None, gt=0, le=60, description="Seconds for one run; the author's proposal where unset."
    )
    min_interval: float = Field(
        0, ge=0, description="Seconds for which a result may be served again; 0 runs on each call."
    )


class PluginLimits(_Table):
    """`[plugin_limits]`: how long one plugin or application may take before it is given up on."""

    import_timeout: float = Field(
        10.0, gt=0, le=600, description="Seconds for the import of a plugin or app."
    )
    construct_timeout: float = Field(
        5.0,
        gt=0,
        le=600,
        description="Seconds for the validation of a plugin's options, and for its constructor.",
    )
    start_timeout: float = Field(
        10.0, gt=0, le=600, description="Seconds for one attempt to start a plugin or app."
    )
    first_retry: float = Field(
        1.0,
        ge=0.05,
        le=3600,
        description="Seconds until a failed start is retried; doubled after each further failure.",
    )
    max_retry: float = Field(
        60.0, ge=0.05, le=3600, description="Seconds between two attempts to start, at most."
    )
    stop_timeout: float = Field(
        3.0, gt=0, le=60, description="Seconds for the stop of one plugin or app."
    )
    stop_all_timeout: float = Field(
        5.0, gt=0, le=60, description="Seconds for the stop of all plugins together."
    )
    stall_timeout: float = Field(
        5.0,
        ge=0.5,
        le=600,
        description="Seconds for which code may hold up the HTTP loop; then `http_loop.stalled` is "
        "logged with the line of each thread.",
    )

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        if self.max_retry < self.first_retry:
            raise ValueError(f"max_retry must be at least first_retry, {self.first_retry:g}")
        if self.stop_all_timeout < self.stop_timeout:
            raise ValueError(
                f"stop_all_timeout must be at least stop_timeout, {self.stop_timeout:g}"
            )
        return self


class MetricsSettings(_Table):
    """`[metrics]`: the most series that plugins may export."""

    max_series_per_family: int = Field(100, ge=1, description="Most series of one plugin family.")
    max_series_per_plugin: int = Field(500, ge=1, description="Most series of one plugin.")
    max_series: int = Field(5000, ge=1, description="Most series of all plugins together.")


class Settings(_Table):
    """The service's own options."""

    environment: Environment = Field(
        "development", description="development, test, staging or production."
    )
    database_url: SecretStr | None = Field(
        None,
        description="postgresql://user:password@host:port/name; embedded in development and test.",
    )
    host: str = Field(
        "",
        description="Address to listen on; 127.0.0.1 in development and test, otherwise 0.0.0.0.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    internal_host: str = Field(
        "", description="Address of the second listener; `host` where unset."
    )
    internal_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of a second listener, which then alone has /status and /metrics.",
    )
    drain_seconds: float = Field(
        -1,
        le=600,
        description="Seconds from SIGTERM to the closing of the listeners; "
        "0 in development and test, otherwise 5.",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description="Networks whose X-Forwarded-For counts, such as 10.0.0.0/8."
    )
    status_token: tuple[SecretStr, ...] = Field(
        (), description="Bearer tokens that show everything in staging and production."
    )
    status_token_file: Path | None = Field(
        None, description="File with one such token a line; read again when it changes."
    )
    ready_budget: float = Field(
        0.8, gt=0, le=60, description="Seconds within which /ready answers."
    )
    status_budget: float = Field(
        3.0, gt=0, le=60, description="Seconds within which /status answers."
    )
    sentry_dsn: SecretStr | None = Field(
        None,
        description="https://key@host/number of the Sentry project that is told of errors.",
    )
    sentry_traces_sample_rate: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of requests traced; 1.0 in development, otherwise 0.1. Never /health, "
        "/ready and /metrics.",
    )
    log: LogSettings = LogSettings()
    loading: LoadingSettings = LoadingSettings()
    probes: dict[str, ProbeSettings] = Field(default_factory=dict)
    metrics: MetricsSettings = MetricsSettings()
    plugin_limits: PluginLimits = PluginLimits()

    @property
    def open(self) -> bool:
        """Whether everything is shown to everybody."""
        return self.environment in OPEN_ENVIRONMENTS

    @field_validator("status_token", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("status_token")
    @classmethod
    def _long_enough(cls, tokens: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(token.get_secret_value()) < 16 for token in tokens):
            raise ValueError("a token must have at least 16 characters")
        return tokens

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            check_database_url(url.get_secret_value())
        return url

    @field_validator("sentry_dsn")
    @classmethod
    def _is_dsn(cls, dsn: SecretStr | None) -> SecretStr | None:
        if dsn is not None:
            check_dsn(dsn.get_secret_value())
        return dsn

    @model_validator(mode="before")
    @classmethod
    def _by_environment(cls, values: object) -> object:
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


def check_database_url(url: str) -> None:
    """Raise ValueError, without naming any secret, unless `url` is of a form that asyncpg reads."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in ("postgres", "postgresql"):
        shown = scheme if scheme and len(scheme) < 30 else "no scheme"
        raise ValueError(
            f"begins with {shown!r}; write it as postgresql://user:password@host:5432/name"
        )
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(
            "is no URL; write it as postgresql://user:password@host:5432/name, with special "
            "characters of the password percent-encoded"
        ) from None


def service_fields(settings: Settings) -> dict[str, str]:
    """The fields of the Elastic Common Schema that every line carries."""
    return {
        "service.name": SERVICE,
        "service.version": __version__,
        "service.environment": settings.environment,
    }
