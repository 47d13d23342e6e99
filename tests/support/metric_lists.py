"""The lists of metrics below deploy/: those of Aliaport and those of other programs."""

import functools
import tomllib
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parents[2] / "deploy"
THIRD_PARTY = DEPLOY / "metrics-foreign.toml"
"""Lists the metrics of other programs that rules use."""
DASHBOARDS_ONLY = DEPLOY / "grafana/metrics-foreign.toml"
"""Lists the metrics of other programs that only dashboards use."""


@functools.cache
def own() -> dict[str, dict[str, Any]]:
    """Return Aliaport's metrics by name, with `type`, `labels` and, for histograms, `buckets`."""
    return tomllib.loads((DEPLOY / "metrics.toml").read_text())


@functools.cache
def own_series() -> dict[str, dict[str, Any]]:
    """Return the names of Aliaport's series, each with its metric."""
    return {
        name + ending: metric
        for name, metric in own().items()
        for ending in (("_bucket", "_count", "_sum") if metric["type"] == "histogram" else ("",))
    }


@functools.cache
def third_party(file: Path = THIRD_PARTY) -> frozenset[str]:
    """Return the names of other programs' series in one of the two lists."""
    programs = tomllib.loads(file.read_text()).values()
    return frozenset(name for program in programs for name in program["metrics"])
