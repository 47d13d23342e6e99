"""Typed settings from a TOML file and the environment; all problems in one message."""

from aliaport.settings.http import HttpSettings
from aliaport.settings.loading import (
    Group,
    core_settings,
    environment_warnings,
    place_of,
    plugin_config,
    token_file_problems,
    unknown_probes,
    unknown_tables,
)
from aliaport.settings.log import LogSettings
from aliaport.settings.metrics import MetricsSettings
from aliaport.settings.model import Settings, service_fields
from aliaport.settings.plugin_limits import PluginLimits
from aliaport.settings.probes import ProbeSettings
from aliaport.settings.reference import SettingRow, describe, masked
from aliaport.settings.renamed import renamed_options
from aliaport.settings.selection import EVERY, SelectionSettings
from aliaport.settings.sources import Sources, read_sources

__all__ = [
    "EVERY",
    "Group",
    "HttpSettings",
    "LogSettings",
    "MetricsSettings",
    "PluginLimits",
    "ProbeSettings",
    "SelectionSettings",
    "SettingRow",
    "Settings",
    "Sources",
    "core_settings",
    "describe",
    "environment_warnings",
    "masked",
    "place_of",
    "plugin_config",
    "read_sources",
    "renamed_options",
    "service_fields",
    "token_file_problems",
    "unknown_probes",
    "unknown_tables",
]
