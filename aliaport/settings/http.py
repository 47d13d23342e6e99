"""The table `[http]`: limits of connections and requests."""

from typing import Self

from pydantic import Field, model_validator

from aliaport.settings.table import Table


class HttpSettings(Table):
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
        "that Prometheus gets through when the public one is full. At most half of them.",
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
    close_timeout: float = Field(
        2.0,
        gt=0,
        le=60,
        description="After a response that ends the connection, read and discard what the client "
        "still sends for at most this many seconds. If it is cut off while it sends, it often "
        "loses the response. Several round trips are enough.",
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
        given = "internal_connections" in self.model_fields_set  # else it is lowered
        if given and self.internal_connections > self.max_connections // 2:
            raise ValueError(
                f"internal_connections must be at most half of max_connections "
                f"({self.max_connections // 2})"
            )
        if self.max_head_bytes < self.max_line_bytes:
            raise ValueError(
                f"max_head_bytes must be at least max_line_bytes ({self.max_line_bytes})"
            )
        return self
