"""The options of the plugin and of its application."""

from datetime import date
from decimal import Decimal

from pydantic import Field, HttpUrl, field_validator

from aliaport.plugin import PluginConfig

FIRST_POSSIBLE_DAY = date(2005, 1, 1)
"""Older bulletins are in the old lira, worth a millionth of today's."""


class CurrencySyncConfig(PluginConfig):
    """`[plugins.currency_sync]`: the source of the bulletins and the warning thresholds."""

    source: HttpUrl = Field(
        default=HttpUrl("https://www.tcmb.gov.tr/kurlar"),
        description="Base address of today.xml and the archive.",
    )
    first_day: date | None = Field(
        default=None,
        description="First day to keep complete (2005-01-01 or later); defaults to 30 days before "
        "the first start.",
    )
    extra_holidays: tuple[date, ...] = Field(
        default=(), description="Additional days without a bulletin, such as 2026-03-18."
    )
    jump_percent: Decimal = Field(
        default=Decimal(10),
        gt=0,
        description="Flag rates that changed by more than this percentage since the business day "
        "before.",
    )
    request_interval: float = Field(
        default=1.0, ge=0, le=60, description="Minimum seconds between two requests to the source."
    )
    request_timeout: float = Field(
        default=20.0, gt=0, le=120, description="Timeout in seconds for one complete request."
    )
    standby_interval: float = Field(
        default=5.0,
        ge=1,
        le=20,
        description="Seconds after which a replica checks again whether it must take over.",
    )
    probe_timeout: float = Field(
        default=0.4,
        gt=0,
        le=30,
        description="Timeout in seconds of each of the probe's queries; connecting may take 1.5 "
        "times as long.",
    )

    @field_validator("first_day")
    @classmethod
    def _is_in_the_new_lira(cls, day: date | None) -> date | None:
        if day is not None and day < FIRST_POSSIBLE_DAY:
            raise ValueError("must be 2005-01-01 or later: older bulletins are in the old lira")
        return day


class RatesConfig(PluginConfig):
    """`[apps.currency_sync]`: how the rates are served."""

    pool_size: int = Field(default=4, ge=1, le=50, description="Maximum database connections.")
    cache_entries: int = Field(default=512, ge=1, description="Maximum days in the cache.")
    max_age_days: int = Field(
        default=10,
        ge=1,
        le=366,
        description="Maximum days from a bulletin to the date that it is served for; the longest "
        "holidays take nine.",
    )
    cache_seconds: float = Field(
        default=15.0, gt=0, le=3600, description="Seconds before a cached day is read again."
    )
