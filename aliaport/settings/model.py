"""The service's own options, with their defaults and units."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from aliaport import SERVICE, __version__
from aliaport.forwarded import unmapped
from aliaport.settings.sentry_dsn import check_dsn
from aliaport.settings.tokens import check_token

Environment = Literal["development", "test", "staging", "production"]
OPEN_ENVIRONMENTS = ("development", "test")
"""Environments that show everything to everyone and may use the embedded database."""

ANY_ADDRESS = frozenset(("", "0.0.0.0", "::"))  # noqa: S104
"""Values of `host` that stand for all addresses of the machine."""


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
        "info", description="Write events of this level and above."
    )
    stdout: bool = Field(
        default=False,
        description="Also write every line to standard output, as JSON. A terminal always shows "
        "readable lines instead.",
    )
    probe_requests: bool = Field(
        default=False,
        description="Log every probe and scrape request in api.log; otherwise only failed, slow "
        "and changed ones.",
    )
    slow_request_ms: int = Field(
        1000,
        ge=1,
        description="A probe or scrape request that takes this many milliseconds counts as slow.",
    )
    rotate_mb: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Rotate a log file at this size in MB, and daily in any case.",
    )
    keep_days: int = Field(
        30, ge=1, description="Keep rotated app, api and error logs for this many days."
    )
    keep_audit_days: int = Field(
        90, ge=1, description="Keep rotated audit logs for this many days."
    )
    max_total_mb: int = Field(
        5000,
        ge=10,
        description="Delete the oldest log files early if together they exceed this size in MB.",
    )


class SelectionSettings(_Table):
    """`[selection]`: which of the installed plugins and apps run."""

    allow: tuple[str, ...] | None = Field(
        None, description="Load only these plugins and apps; if unset, all installed ones."
    )
    disable: tuple[str, ...] = Field((), description="Do not load these plugins and apps.")
    required: tuple[str, ...] = Field(
        (),
        description="Plugins and apps that must run; otherwise /ready responds 503 "
        "`plugin_missing`.",
    )


class ProbeSettings(_Table):
    """`[probes.<name>]`: the operator's settings of one probe."""

    critical: bool | None = Field(
        None, description="Whether /ready depends on this probe; if unset, the plugin's default."
    )
    timeout: float | None = Field(
        None,
        gt=0,
        le=60,
        description="Timeout of one run in seconds; if unset, the plugin's default.",
    )
    min_interval: float = Field(
        0,
        ge=0,
        description="Reuse a result for this many seconds; 0 runs the probe on every request.",
    )


class HttpSettings(_Table):
    """`[http]`: limits of connections and requests."""

    max_connections: int = Field(
        2000,
        ge=10,
        le=100_000,
        description="Maximum number of open connections, those of the internal listener included. "
        "The limit of open files may lower it. Each takes up to 60 kB while its request arrives.",
    )
    internal_connections: int = Field(
        50,
        ge=1,
        le=10_000,
        description="Connections of `max_connections` that are kept for the internal listener, so "
        "that Prometheus gets through when the public one is full.",
    )
    spare_descriptors: int = Field(
        128,
        ge=16,
        le=100_000,
        description="File descriptors that connections leave to plugins, database connections and "
        "log files.",
    )
    head_timeout: float = Field(
        10.0,
        gt=0,
        le=600,
        description="Close a connection whose request line and headers are not complete after "
        "this many seconds; slow mobile clients need about 5.",
    )
    body_timeout: float = Field(
        30.0,
        gt=0,
        le=600,
        description="Close a connection that sends less than 16 kB of a request body in this many "
        "seconds.",
    )
    write_timeout: float = Field(
        30.0,
        gt=0,
        le=600,
        description="Close a connection that reads less than 16 kB of a response in this many "
        "seconds.",
    )
    idle_timeout: float = Field(
        75.0,
        gt=0,
        le=3600,
        description="Close a connection without a request after this many seconds. Must exceed "
        "the idle timeout of load balancers (60 s in many), or they send requests on connections "
        "that are being closed.",
    )
    max_header_lines: int = Field(
        64,
        ge=16,
        le=1000,
        description="Maximum number of header lines; more are refused with 431. Browsers behind "
        "two proxies send about 30.",
    )
    max_line_bytes: int = Field(
        8190,
        ge=1024,
        le=65_536,
        description="Maximum size of the URL (else 414) and of one header (else 431), the limit "
        "of most proxies.",
    )
    max_head_bytes: int = Field(
        32_768,
        ge=1024,
        le=1_048_576,
        description="Maximum size of the request line and all headers together; more is refused "
        "with 431. Proxies allow 32 kB or less.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.internal_connections > self.max_connections // 2:
            raise ValueError(
                f"internal_connections must be at most half of max_connections "
                f"({self.max_connections // 2})"
            )
        if self.max_head_bytes < self.max_line_bytes:
            raise ValueError(
                f"max_head_bytes must be at least max_line_bytes ({self.max_line_bytes})"
            )
        return self


class PluginLimits(_Table):
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
        description="Timeout in seconds for one attempt to start a plugin or app.",
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


class MetricsSettings(_Table):
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


class Settings(_Table):
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
        "by default the sum of the timeouts of the stop, which is 16 s in production.",
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
    def _apply_environment_defaults(cls, values: object) -> object:
        if isinstance(values, dict):
            is_open = values.get("environment", "development") in OPEN_ENVIRONMENTS
            values = dict(values)
            values.setdefault("host", "127.0.0.1" if is_open else "0.0.0.0")  # noqa: S104
            values.setdefault("drain_seconds", 0 if is_open else 5)
            values.setdefault("internal_host", values["host"])
        return values

    @field_validator("internal_port")
    @classmethod
    def _is_another_port(cls, port: int | None, info: ValidationInfo) -> int | None:
        data = info.data
        if (
            port
            and port == data.get("port")
            and _overlap(data.get("host", ""), data.get("internal_host", ""))
        ):
            raise ValueError(f"is the same as port ({port}); set one of them to another port")
        return port

    @field_validator("drain_seconds")
    @classmethod
    def _is_not_negative(cls, seconds: float) -> float:
        if seconds < 0:
            raise ValueError("must not be negative")
        return seconds


def _overlap(host: str, other: str) -> bool:
    """Return True if both cannot listen on one port."""
    return host == other or not ANY_ADDRESS.isdisjoint((host, other))


def check_database_url(url: str) -> None:
    """Raise ValueError, which shows no secret, unless asyncpg can read `url`."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in ("postgres", "postgresql"):
        short = scheme and len(scheme) < 30
        problem = f"starts with {scheme!r}" if short else "does not start with postgresql://"
        raise ValueError(f"{problem}; use the form postgresql://user:password@host:5432/name")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(
            "is not a valid URL; use the form postgresql://user:password@host:5432/name, and "
            "percent-encode special characters in the password"
        ) from None


def service_fields(settings: Settings) -> dict[str, str]:
    """Return the Elastic Common Schema fields that every log line has."""
    return {
        "service.name": SERVICE,
        "service.version": __version__,
        "service.environment": settings.environment,
    }
