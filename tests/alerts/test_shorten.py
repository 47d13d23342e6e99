"""The end-to-end test runs what is shipped, except for durations."""

import re
from pathlib import Path

import pytest

from tests.alerts.stack.shorten import shorten

SHIPPED = Path(__file__).parents[2] / "deploy/prometheus"
FILES = sorted([*SHIPPED.glob("*.rules.yml"), SHIPPED / "prometheus.yml"])
ANY_DURATION = re.compile(r"\b(?:\d+(?:ms|[smhdwy]))+\b")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_only_durations_change(file: Path) -> None:
    before, after = file.read_text(), shorten(file.read_text())
    assert after != before
    assert ANY_DURATION.sub("?", after) == ANY_DURATION.sub("?", before)


def test_every_duration_of_a_rule_changes() -> None:
    rule = """
groups:
  - name: a
    interval: 30s
    rules:
      - record: slo:errors:rate5m
        expr: sum(rate(x{le="0.3"}[5m])) / max_over_time(y[1h:1m] offset 2h) > 60
      - alert: Late
        expr: predict_linear(z[6h], 4 * 3600) < 0 and time() - w > 1800
        for: 1h30m # not at once
        keep_firing_for: 5m
        annotations:
          description: "{{ query \\"rate(x[5m])\\" }} over the last 5m"
"""
    assert shorten(rule) == (
        rule.replace("interval: 30s", "interval: 1250ms")
        .replace("[5m]", "[5000ms]")
        .replace("[1h:1m] offset 2h", "[60000ms:1250ms] offset 120000ms")
        .replace("[6h]", "[360000ms]")
        .replace("for: 1h30m", "for: 90000ms")
        .replace("keep_firing_for: 5m", "keep_firing_for: 5000ms")
    )


@pytest.mark.parametrize(
    ("shipped", "short"),
    [
        ("scrape_interval: 15s", "scrape_interval: 1250ms"),
        ("scrape_timeout: 10s", "scrape_timeout: 1250ms"),
        ("rate(x[1m])", "rate(x[5000ms])"),
        ("x offset 5s", "x offset 1250ms"),
        ("text: in 5m", "text: in 5m"),
        ("record: slo:errors:rate5m", "record: slo:errors:rate5m"),
    ],
)
def test_short_durations_have_a_minimum_and_text_is_unchanged(shipped: str, short: str) -> None:
    assert shorten(shipped) == short
