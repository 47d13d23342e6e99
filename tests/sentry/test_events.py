"""Error tracking: which logged events the real SDK sends, and with which fields."""

import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest

from aliaport import __version__
from aliaport.correlation import REQUEST, identify
from aliaport.isolation.failures import describe
from aliaport.logs.stdlib import _Forward
from aliaport.sentry import Sentry
from aliaport.sentry.sampling import MAX_PER_PERIOD
from aliaport.sentry.tracebacks import read_traceback
from tests.support.sentry import SentryServer

pytest_plugins = ["tests.support.sentry_fixtures"]


def fail(text: str = "no such shelf") -> None:
    raise LookupError(text)


def only_event(stand_in: SentryServer, sentry: Sentry) -> dict[str, Any]:
    sentry.flush(5)
    event: dict[str, Any]
    (event,) = stand_in.of("event")
    return event


def test_a_logged_exception_arrives_once(
    sentry: Sentry, stand_in: SentryServer, log: Any, caplog: pytest.LogCaptureFixture
) -> None:
    library = logging.getLogger("stock.library")
    library.addHandler(handler := _Forward(log))
    try:
        fail()
    except LookupError as error:
        log.exception("shelf.lost", job="count", code="gone", shelf=7, note="x" * 300)
        library.exception("the same, beside")
        log.error("shelf.lost", exc_info=error)
    finally:
        library.removeHandler(handler)
    event = only_event(stand_in, sentry)
    assert event["message"] == "shelf.lost"
    assert (event["level"], event["logger"]) == ("error", "aliaport")
    assert event["release"] == f"aliaport@{__version__}"
    assert event["environment"] == "development"
    assert event["tags"] == {
        "event": "shelf.lost",
        "plugin": "stock",
        "job": "count",
        "code": "gone",
    }
    assert event["contexts"]["aliaport"] == {"shelf": 7, "note": "x" * 300}
    assert event["fingerprint"] == ["shelf.lost", "stock", "LookupError", "count"]
    (value,) = event["exception"]["values"]
    assert (value["type"], value["value"]) == ("LookupError", "no such shelf")
    assert [frame["function"] for frame in value["stacktrace"]["frames"]][-1] == "fail"
    assert value["stacktrace"]["frames"][-1]["in_app"]
    assert not any("vars" in frame for frame in value["stacktrace"]["frames"])


@pytest.mark.parametrize("form", ["true", "exception", "tuple", "no longer handled"])
def test_every_form_of_exc_info(
    form: str, sentry: Sentry, stand_in: SentryServer, log: Any
) -> None:
    try:
        fail()
    except LookupError as error:
        caught = error
        if form == "true":
            log.error("x.failed", exc_info=True)
    if form == "exception":
        log.error("x.failed", exc_info=caught)
    elif form == "tuple":
        log.critical("x.failed", exc_info=(LookupError, caught, caught.__traceback__))
    elif form == "no longer handled":
        log.error("x.failed", exc_info=True)
    event = only_event(stand_in, sentry)
    assert ("exception" in event) == (form != "no longer handled")
    assert event["level"] == ("fatal" if form == "tuple" else "error")


def test_an_exception_logged_as_text_keeps_its_stack_trace(
    sentry: Sentry, stand_in: SentryServer, log: Any
) -> None:
    try:
        try:
            fail()
        except LookupError as cause:
            raise RuntimeError("sync\nfailed") from cause
    except RuntimeError as error:
        failure = describe(error, "tests")
    log.error("job.failed", job="sync", reason=str(failure), traceback=failure.traceback)
    event = only_event(stand_in, sentry)
    assert event["fingerprint"] == ["job.failed", "stock", "RuntimeError", "sync"]
    (value,) = event["exception"]["values"]
    assert (value["type"], value["value"]) == ("RuntimeError", "sync\nfailed")
    frame = value["stacktrace"]["frames"][-1]
    assert frame["filename"] == "sentry/test_events.py"
    assert frame["context_line"] == 'raise RuntimeError("sync\\nfailed") from cause'
    assert "traceback" not in event["contexts"]["aliaport"]


def test_text_without_frames_is_not_a_traceback() -> None:
    assert read_traceback("") is None
    assert read_traceback("ValueError: it is so") is None
    cut = '\n  File "/x/site-packages/aliaport_a/b.py", line 3, in c\n    d()\na.b.Err: e: f\ng'
    found = read_traceback(cut)
    assert found is not None
    assert (found["module"], found["type"], found["value"]) == ("a.b", "Err", "e: f\ng")
    assert found["stacktrace"]["frames"][0]["in_app"]
    grouped = "  + Exception Group Traceback (most recent call last):\n" + "".join(
        f"  | {line}\n" for line in ('  File "/l/x.py", line 1, in y', "    z", "ValueError: w")
    )
    assert (read_traceback(grouped) or {})["type"] == "ValueError"


def test_only_errors_are_sent(sentry: Sentry, stand_in: SentryServer, log: Any) -> None:
    log.info("shelf.counted")
    log.warning("shelf.slow", exc_info=ValueError("known"))
    log.error("configuration.applied", audit=True)
    log.error("internal", logger="sentry_sdk.errors")
    sentry.flush(5)
    assert stand_in.of("event") == []


def test_libraries_errors_are_grouped_by_sentry(
    sentry: Sentry, stand_in: SentryServer, log: Any
) -> None:
    log.error("stdlib.message", logger="asyncio", summary="Task 4711 was destroyed")
    event = only_event(stand_in, sentry)
    assert (event["logger"], event["message"]) == ("asyncio", "Task 4711 was destroyed")
    assert event["fingerprint"] == ["{{ default }}", "stock", ""]


def test_a_probe_that_gets_worse_is_reported_once(
    sentry: Sentry, stand_in: SentryServer, log: Any
) -> None:
    fields = {"probe": "shelf", "critical": True, "summary": "9 left"}
    log.warning("probe.changed", previous=None, status="degraded", code="low", **fields)
    log.info("probe.changed", previous="degraded", status="healthy", code="ok", **fields)
    log.warning("probe.changed", previous="healthy", status="unhealthy", code="empty", **fields)
    sentry.flush(5)
    first, second = stand_in.of("event")
    assert [first["level"], second["level"]] == ["warning", "error"]
    assert second["tags"]["probe"] == "shelf"
    assert second["tags"]["code"] == "empty"
    assert second["fingerprint"] == ["probe.changed", "stock", "", "shelf"]
    assert "breadcrumbs" not in first or not first["breadcrumbs"]["values"]
    (crumb,) = second["breadcrumbs"]["values"]
    assert crumb["message"] == "probe.changed: healthy"
    assert crumb["data"] == {"plugin": "stock", "probe": "shelf", "previous": "degraded"}


def test_a_probe_that_raises_is_sent_with_its_exception_and_once(
    sentry: Sentry, stand_in: SentryServer, log: Any
) -> None:
    text = 'Traceback (most recent call last):\n  File "shelf.py", line 3, in check\nKeyError: 1\n'
    log.warning("probe.changed", probe="shelf", status="unhealthy", code="error")
    log.error("probe.raised", probe="shelf", traceback=text)
    event = only_event(stand_in, sentry)
    assert event["fingerprint"] == ["probe.raised", "stock", "KeyError", "shelf"]


def test_a_request_s_ids_are_tags(sentry: Sentry, stand_in: SentryServer, log: Any) -> None:
    identity = identify("order-17", None)
    token = REQUEST.set(identity)
    try:
        log.error("request.failed")
    finally:
        REQUEST.reset(token)
    tags = only_event(stand_in, sentry)["tags"]
    assert (tags["request_id"], tags["trace_id"]) == ("order-17", identity.trace_id)


def test_a_flood_of_one_error_is_limited(
    sentry: Sentry, stand_in: SentryServer, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(MAX_PER_PERIOD + 30):
        log.error("shelf.lost")
    log.error("shelf.found")
    later = time.monotonic() + 61
    monkeypatch.setattr("aliaport.sentry.sampling.time", SimpleNamespace(monotonic=lambda: later))
    log.error("shelf.lost")
    sentry.flush(5)
    events = stand_in.of("event")
    assert len(events) == MAX_PER_PERIOD + 2
    assert events[-1]["tags"]["left_out_before"] == "30"


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("not this one")


def test_the_processor_never_raises(sentry: Sentry, stand_in: SentryServer, log: Any) -> None:
    log.error("x.failed", value=Hostile())
    log.error("x.failed", exc_info=("no", "exception"))
    log.error("x.failed", exc_info=(None,), big=10**400, odd="\ud800", code=Hostile())
    log.error("y.failed", nested={"a": [1, {"password": "x"}]}, big=2**70)
    sentry.flush(5)
    assert sentry.lost >= 2
    last = stand_in.of("event")[-1]["contexts"]["aliaport"]
    assert last == {"nested": "{'a': [1, {'password': ***}]}", "big": str(2**70)}
