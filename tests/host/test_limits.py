"""A limit that is reached again and again is logged once and counted always."""

import threading

import structlog
from structlog.testing import capture_logs

from aliaport.host.limits import MAX_SUBJECTS, REPEAT_SECONDS, Limit, LimitLog

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


def test_each_subject_is_logged_and_others_together() -> None:
    now = 0.0
    with capture_logs() as events:
        log = LimitLog(structlog.get_logger(), clock=lambda: now)
        for _ in range(2):
            for number in range(MAX_SUBJECTS + 20):
                log.record(SLOW, client=f"client {number}")
            log.record(FULL, client="client 0")
        assert [event["event"] for event in events].count("things.slow") == MAX_SUBJECTS + 1
        assert [event["event"] for event in events].count("things.full") == 1
        now += REPEAT_SECONDS
        log.record(SLOW, client="a new client")
        log.record(SLOW, client="client 0")
    assert [event["client"] for event in events[-2:]] == ["a new client", "client 0"]


def test_details_are_found_only_for_a_log_line() -> None:
    found: list[int] = []

    def find() -> dict[str, int]:
        found.append(1)
        return {"size": 5}

    with capture_logs() as events:
        log = LimitLog(structlog.get_logger())
        for _ in range(3):
            log.record(FULL, find, things="a")
    assert [(event["things"], event["size"]) for event in events] == [("a", 5)]
    assert len(found) == 1


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
