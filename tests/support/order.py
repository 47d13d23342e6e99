"""The order of test files: the slowest first, so that parallel workers finish together.

The seconds of a test are from its last run on this machine. Before the first one, they are estimated
from its marks: a test that starts child processes counts as much as 40 others, and a test with a
timeout of its own, longer than the default, is a long one.
"""

from collections import defaultdict
from typing import cast

import pytest

SECONDS = "aliaport/seconds"
SECONDS_WITH_CHILDREN, SECONDS_WITHOUT = 2.0, 0.05
SHARE_OF_TIMEOUT = 0.1
"""The share of its own timeout that a long test is expected to take."""

_measured: dict[str, float] = defaultdict(float)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _known(config: pytest.Config) -> dict[str, float]:
    if not hasattr(config, "cache"):  # -p no:cacheprovider
        return {}
    assert config.cache is not None
    return cast("dict[str, float]", config.cache.get(SECONDS, {}))


def _estimate(item: pytest.Item) -> float:
    service = item.get_closest_marker("service") is not None
    usual = SECONDS_WITH_CHILDREN if service else SECONDS_WITHOUT
    timeout = item.get_closest_marker("timeout")
    return max(usual, timeout.args[0] * SHARE_OF_TIMEOUT) if timeout and service else usual


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the files of the tests that were selected."""
    known = _known(config)
    seconds: dict[str, float] = defaultdict(float)
    for item in items:
        seconds[_file(item)] += known.get(item.nodeid, _estimate(item))
    items.sort(key=lambda item: (-seconds[_file(item)], _file(item)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Sum up the seconds of each test; under pytest-xdist the controller sees all reports."""
    _measured[report.nodeid] += report.duration


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep the seconds for the next run, including those of tests that did not run."""
    config = session.config
    if _measured and hasattr(config, "cache") and not hasattr(config, "workerinput"):
        assert config.cache is not None
        config.cache.set(SECONDS, _known(config) | _measured)
