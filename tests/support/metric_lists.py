"""The lists of metrics below deploy/: what Aliaport exports, and what other programs do."""

import functools
import tomllib
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parents[2] / "deploy"
FOREIGN = DEPLOY / "metrics-foreign.toml"
"""Lists the metrics of other programs that rules use."""
DASHBOARDS_ONLY = DEPLOY / "grafana/metrics-foreign.toml"
"""Lists the metrics of other programs that only dashboards use."""


@functools.cache
def own() -> dict[str, dict[str, Any]]:
    """Return Aliaport's metrics by name, each with `type`, `labels` and, of a histogram, `buckets`."""
    return tomllib.loads((DEPLOY / "metrics.toml").read_text())


@functools.cache
def own_series() -> dict[str, dict[str, Any]]:
    """Return the names of Aliaport's series, each with the metric that it is of."""
    return {
        name + ending: metric
        for name, metric in own().items()
        for ending in (("_bucket", "_count", "_sum") if metric["type"] == "histogram" else ("",))
    }


@functools.cache
def third_party(file: Path = FOREIGN) -> frozenset[str]:
    """Return the names of other programs' series in one of the two lists."""
    programs = tomllib.loads(file.read_text()).values()
    return frozenset(name for program in programs for name in program["metrics"])
