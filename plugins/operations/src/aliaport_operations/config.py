"""The options of the plugin and of its application."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from aliaport.plugin import PluginConfig


class OperationsConfig(PluginConfig):
    """`[plugins.operations]`: how long personal data stay, and how often is counted."""

    gate_log_personal_days: int = Field(
        default=730, ge=1, description="Days after which plate and driver leave a gate log."
    )
    account_personal_days: int = Field(
        default=3650,
        ge=1,
        description="Days after its deactivation at which contact and tax number leave an account.",
    )
    idempotency_hours: float = Field(
        default=24.0, gt=0, le=720, description="Hours for which an Idempotency-Key is remembered."
    )
    purge_interval: float = Field(
        default=3600.0, ge=1, le=86400, description="Seconds between two looks for what must go."
    )
    totals_interval: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="Least seconds between two counts of the tables for /metrics.",
    )


class ApiConfig(PluginConfig):
    """`[apps.operations]`: sign-in, and how much is served at once."""

    renamed_options: ClassVar[Mapping[str, str]] = {
        "most_waiting": "max_waiting",
        "most_hashing": "max_hashing",
    }

    pool_size: int = Field(default=10, ge=1, le=100, description="Most database connections.")
    max_waiting: int = Field(
        default=50,
        ge=0,
        description="Requests that may wait for a connection; further ones get 503 at once.",
    )
    acquire_timeout: float = Field(
        default=1.0, gt=0, le=10, description="Seconds to wait for a connection, then 503."
    )
    statement_timeout: float = Field(
        default=3.0, gt=0, le=60, description="Seconds for one database statement."
    )
    body_timeout: float = Field(
        default=10.0, gt=0, le=60, description="Seconds in which a request's body must arrive."
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=720, description="Hours after which a sign-in ends in any case."
    )
    idle_minutes: float = Field(
        default=30.0, ge=1, le=1440, description="Minutes without a request that end a sign-in."
    )
    hashing_threads: int = Field(
        default=2, ge=1, le=16, description="Passwords that are checked at once (19 MB each)."
    )
    max_hashing: int = Field(
        default=20,
        ge=1,
        description="Sign-ins that may wait for a thread; further ones get 503 at once.",
    )
    throttle_minutes: float = Field(
        default=15.0, gt=0, le=1440, description="Minutes for which failed sign-ins count."
    )
    failures_per_user_and_address: int = Field(
        default=5, ge=1, description="Failed sign-ins of one user from one address, then 429."
    )
    failures_per_address: int = Field(
        default=50, ge=1, description="Failed sign-ins from one address, then 429."
    )
    failures_per_user: int = Field(
        default=100, ge=1, description="Failed sign-ins of one user from anywhere, then 429."
    )
