"""The client sends no more requests a minute than the plan allows."""

import time
from collections.abc import Iterator

import pytest
from uptime_robot import Robot

from tests.uptime.stand_in import KEY
from tests.uptime.stand_in import Robot as StandIn


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


def test_the_request_after_the_limit_waits_for_the_minute_to_end(stand_in: StandIn) -> None:
    waited: list[float] = []
    robot = Robot(stand_in.url, KEY, per_minute=3, sleep=waited.append)
    began = time.monotonic()
    for _ in range(3):
        robot.contacts()
    assert waited == []
    robot.contacts()
    (wait,) = waited
    assert 60 - (time.monotonic() - began) - 1 <= wait <= 60
