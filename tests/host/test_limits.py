"""A limit that is reached again and again is logged once and counted always."""

import threading

import structlog
from structlog.testing import capture_logs

from aliaport.host.limits import REPEAT_SECONDS, Limit, LimitLog

FULL = Limit("things.full", "remove some")
SLOW = Limit("things.slow", "hurry", "info")


def test_each_limit_is_logged_once_and_counted() -> None:
    with capture_logs() as events:
        log = LimitLog(structlog.get_logger())
        log.declare([FULL, SLOW])
        assert log.reached() == []
        assert log.samples() == {("things.full",): 0.0, ("things.slow",): 0.0}
        for _ in range(3):
            log.record(FULL, things=7)
        log.record(SLOW)
    assert [(event["event"], event["log_level"], event["count"]) for event in events] == [
        ("things.full", "warning", 1),
        ("things.slow", "info", 1),
    ]
    assert events[0]["things"] == 7
    assert events[0]["hint"] == "remove some"
    assert [(name, known.count) for name, known in log.reached()] == [
        ("things.full", 3),
        ("things.slow", 1),
    ]
    assert log.samples()["things.full",] == 3.0


def test_it_is_logged_again_later_with_the_count_since() -> None:
    now = 1_000.0
    with capture_logs() as events:
        log = LimitLog(structlog.get_logger(), clock=lambda: now)
        for _ in range(4):
            log.record(FULL)
        now += REPEAT_SECONDS - 1
        log.record(FULL)
        now += 1
        log.record(FULL)
    assert [event["count"] for event in events] == [1, 5]


def test_no_count_is_lost_between_threads() -> None:
    with capture_logs():
        log = LimitLog(structlog.get_logger())

        def fill() -> None:
            for _ in range(1_000):
                log.record(FULL)

        threads = [threading.Thread(target=fill) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert log.samples() == {("things.full",): 8_000.0}
