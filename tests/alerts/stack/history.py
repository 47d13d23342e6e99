"""Days of good service in the history of a fresh Prometheus.

Without them, the first bad second would dominate the longest window and burn a month's budget.
"""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from aliaport.metrics.http import BUCKETS, DURATION, REQUESTS
from tests.alerts.stack.shorten import FACTOR

DAYS = 3
"""The longest window of the rules, before it is shortened."""
_STEP = 2
_FAST = 0.005
"""Seconds that each request took."""


def write_history(data: Path, target: Mapping[str, str], traffic: Mapping[str, float]) -> None:
    """Fill the data folder of a Prometheus that has not started.

    `target` has the labels of the service's target, `traffic` its requests per second by endpoint.
    """
    now = int(time.time())
    moments = range(now - DAYS * 86400 // FACTOR, now, _STEP)
    # Until its first scrape, seconds after its start, Prometheus would miss the whole job.
    lines = ["# TYPE up gauge", *(_sample("up", target, moment, 1) for moment in moments)]
    lines.append(f"# TYPE {REQUESTS.name.removesuffix('_total')} counter")
    for endpoint, rate in traffic.items():
        labels = {**target, "method": "GET", "endpoint": endpoint}
        lines += _line(REQUESTS.name, {**labels, "status": "200"}, moments, rate)
    lines.append(f"# TYPE {DURATION.name} histogram")
    for endpoint, rate in traffic.items():
        labels = {**target, "method": "GET", "endpoint": endpoint}
        for bound in (*map(str, BUCKETS), "+Inf"):
            lines += _line(f"{DURATION.name}_bucket", {**labels, "le": bound}, moments, rate)
        lines += _line(f"{DURATION.name}_count", labels, moments, rate)
        lines += _line(f"{DURATION.name}_sum", labels, moments, rate * _FAST)
    lines.append("# EOF\n")
    text = data.with_suffix(".history")
    text.write_text("\n".join(lines))
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(text), str(data)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text.unlink()


def _line(name: str, labels: Mapping[str, str], moments: range, rate: float) -> list[str]:
    return [_sample(name, labels, moment, (moment - moments[0]) * rate) for moment in moments]


def _sample(name: str, labels: Mapping[str, str], moment: int, value: float) -> str:
    shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{shown}}} {value:.3f} {moment}"
