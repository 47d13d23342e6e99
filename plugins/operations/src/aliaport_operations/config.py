"""Settings of the plugin and of its application."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from aliaport.plugin import PluginConfig


class OperationsConfig(PluginConfig):
    """`[plugins.operations]`: retention of personal data, and intervals of background work."""

    gate_log_personal_days: int = Field(
        default=730,
        ge=1,
        description="Remove plate and driver from gate logs after this many days.",
    )
    account_personal_days: int = Field(
        default=3650,
        ge=1,
        description="Remove contact and tax number from accounts this many days after their "
        "deactivation.",
    )
    idempotency_hours: float = Field(
        default=24.0, gt=0, le=720, description="Keep an Idempotency-Key for this many hours."
    )
    purge_interval: float = Field(
        default=3600.0,
        ge=1,
        le=86400,
        description="Seconds between two runs of the job that removes expired data.",
    )
    probe_timeout: float = Field(
        default=0.4,
        gt=0,
        le=30,
        description="Timeout in seconds of each of the probe's queries; connecting may take 1.5 "
        "times as long.",
    )
    totals_interval: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="Minimum number of seconds between two counts of the tables for /metrics.",
    )


class ApiConfig(PluginConfig):
    """`[apps.operations]`: sign-in, timeouts and load limits of the API."""

    renamed_options: ClassVar[Mapping[str, str]] = {
        "most_waiting": "max_waiting",
        "most_hashing": "max_hashing",
    }

    pool_size: int = Field(
        default=10, ge=1, le=100, description="Maximum number of database connections."
    )
    max_waiting: int = Field(
        default=50,
        ge=0,
        description="Requests that can wait for a connection; further ones get 503 at once.",
    )
    acquire_timeout: float = Field(
        default=1.0,
        gt=0,
        le=10,
        description="Seconds to wait for a connection before the request gets 503.",
    )
    statement_timeout: float = Field(
        default=3.0, gt=0, le=60, description="Time limit of a database statement in seconds."
    )
    body_timeout: float = Field(
        default=10.0, gt=0, le=60, description="Time limit in seconds for a request body to arrive."
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=720, description="Hours after which a session expires in any case."
    )
    idle_minutes: float = Field(
        default=30.0,
        ge=1,
        le=1440,
        description="Minutes without a request after which a session expires.",
    )
    hashing_threads: int = Field(
        default=2, ge=1, le=16, description="Passwords hashed at the same time (19 MB each)."
    )
    max_hashing: int = Field(
        default=20,
        ge=1,
        description="Sign-ins that can wait for a hashing thread; further ones get 503 at once.",
    )
    throttle_minutes: float = Field(
        default=15.0, gt=0, le=1440, description="Minutes for which a failed sign-in counts."
    )
    failures_per_user_and_address: int = Field(
        default=5, ge=1, description="Failed sign-ins of one user from one address before 429."
    )
    failures_per_address: int = Field(
        default=50, ge=1, description="Failed sign-ins from one address before 429."
    )
    failures_per_user: int = Field(
        default=100, ge=1, description="Failed sign-ins of one user from all addresses before 429."
    )
