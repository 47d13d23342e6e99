"""A short form of the campaign of `make abuse`: nothing fails, nothing ends, all comes back."""

from pathlib import Path

import pytest

from tests.abuse.campaign import DESCRIPTORS, Strength, run
from tests.support.postgres import TcpPostgres

SHORT = Strength(connections=1200, flooders=1, seconds=12, memory=256 * 2**20)
"""More connections than descriptors, and long enough for the deadlines of heads."""

pytestmark = [
    pytest.mark.service,
    pytest.mark.alone,
    pytest.mark.needs("root", "memory_cgroup"),
]


def test_the_service_survives_slow_callers_floods_and_hostile_servers(
    tmp_path: Path, server: TcpPostgres
) -> None:
    outcome = run(tmp_path / "run", SHORT, server)
    assert outcome.killed == 0
    assert outcome.results["200"] == sum(outcome.results.values()), outcome.results
    assert outcome.failures == []
    assert outcome.descriptors["at the end"] < DESCRIPTORS
    counts = {limit["name"]: limit["count"] for limit in outcome.limits}
    assert "request.head_too_large" in counts, counts
    # Which of the two depends on how fast this machine lets the connections come.
    assert counts.keys() & {"connections.head_timeout", "connections.evicted"}, counts
    for name in counts:
        # Malformed requests are logged once for each client and reason.
        most = 5 if name == "request.malformed" else 1
        assert 1 <= outcome.logged[name] <= most, f"{name}: logged {outcome.logged[name]} times"
