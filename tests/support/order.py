"""The order of test files: the longest first, so that parallel workers end together.

The seconds are those of the last run on this machine. Before the first one, a test that starts
child processes counts as much as 40 others.
"""

from collections import defaultdict
from typing import cast

import pytest

SECONDS = "aliaport/seconds"
ESTIMATES = {True: 2.0, False: 0.05}
ALONE = {"e2e"}
"""Names of folders whose tests measure time: they run alone."""

_measured: dict[str, float] = defaultdict(float)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what must run alone, and sort the files."""
    seconds: dict[str, float] = defaultdict(float)
    for item in items:
        if ALONE & set(item.path.parts):
            item.add_marker(pytest.mark.alone)
        service = item.get_closest_marker("service") is not None
        seconds[_file(item.nodeid)] += ESTIMATES[service]
    assert config.cache is not None
    seconds |= cast("dict[str, float]", config.cache.get(SECONDS, {}))
    items.sort(key=lambda item: (-seconds[_file(item.nodeid)], _file(item.nodeid)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Sum up the seconds of each file; under pytest-xdist the controller sees all reports."""
    _measured[_file(report.nodeid)] += report.duration


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep the seconds for the next run, those of files that did not run too."""
    if hasattr(session.config, "workerinput") or not _measured:
        return
    assert session.config.cache is not None
    known = session.config.cache.get(SECONDS, {})
    session.config.cache.set(SECONDS, known | _measured)
