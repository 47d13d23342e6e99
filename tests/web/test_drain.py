"""How long the drain must be: the logged interval, and the values of the page on load balancers."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from aliaport.web.drain import CHECK_TIMEOUT, FAILED_CHECKS, max_check_interval

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/put-behind-a-load-balancer.md").read_text()
DEFAULT = re.compile(r"^\| .+ \| (\d+) s \| (\d+) \| (\d+) s \| (\d+) s \|$", re.MULTILINE)


@pytest.mark.parametrize(
    ("drain", "interval"), [(0, 0.0), (1, 0.0), (1.5, 0.25), (5, 2.0), (15, 7.0), (600, 299.5)]
)
def test_the_longest_interval_that_a_drain_allows(drain: float, interval: float) -> None:
    assert max_check_interval(drain) == interval


def test_the_page_explains_the_interval_for_the_default_drain() -> None:
    interval = max_check_interval(5)
    assert f"{FAILED_CHECKS} failed checks and a timeout of {CHECK_TIMEOUT:g} s" in PAGE
    assert f"{interval:g} s\nfor a drain of 5 s" in PAGE


def test_the_page_computes_the_time_until_a_replica_is_out() -> None:
    rows = [[int(value) for value in row] for row in DEFAULT.findall(PAGE)]
    assert len(rows) > 5
    for interval, failed, timeout, out in rows:
        assert out == interval * failed + timeout


@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_the_probes_of_the_page_are_those_of_the_manifests(probe: str) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    manifest: dict[str, Any] = yaml.safe_load(
        (ROOT / "deploy/kubernetes/base/deployment.yaml").read_text()
    )
    (container, *_) = manifest["spec"]["template"]["spec"]["containers"]
    assert yaml.safe_load(block)[probe] == container[probe]
