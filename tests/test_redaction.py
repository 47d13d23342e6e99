"""No cut shows a part of a secret: masking comes first, wherever texts are bounded."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from aliaport.contract.declarations import Check
from aliaport.correlation import identify
from aliaport.doctor.http import Reply
from aliaport.doctor.running import MAX_TEXT, clean
from aliaport.host.probes import SUMMARY_LIMIT, freeze_check
from aliaport.isolation.failures import MESSAGE_LIMIT, describe
from aliaport.logs.entries import Entry, Importance
from aliaport.logs.lines import LineFormat
from aliaport.logs.sanitize import TEXT_LIMIT, sanitize
from aliaport.logs.streams import Console
from aliaport.metrics.refusals import value_text
from aliaport.redaction import MARGIN, redact, shorten, shorten_lines
from aliaport.sentry.events import VALUE_LIMIT, make_event
from aliaport.sentry.scrubbing import scrub

CONSOLE = Console(colors=False)

SECRET = "hunter2-a-word-that-nobody-guesses"
URL = f"postgresql://bob:{SECRET}@db.example/app"
QUOTED = f"password='{SECRET} {SECRET}'"


def raised(text: str) -> BaseException:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def summary(text: str) -> str:
    return freeze_check(Check.unhealthy(text)).summary


def data(text: str) -> str:
    return str(freeze_check(Check.unhealthy("", text=text, key=text)).data)


def data_key(text: str) -> str:
    return str(freeze_check(Check.unhealthy("", **{text: 1})).data)


def message(text: str) -> str:
    return describe(raised(text), "tests").message


def log_line(text: str) -> str:
    fields: dict[str, Any] = {"text": text, "bytes": text.encode(), "list": [text]}
    sanitize(fields)
    request = identify(None, None)
    entry = Entry(time.time_ns(), "info", Importance.INFO, "it.happened", fields, request)
    return LineFormat("aliaport.app", {}).line(entry).decode()


def sentry_event(text: str) -> str:
    event = {"event": text, "text": text, "log.logger": "a library", "summary": text}
    return str(scrub(make_event(event, "error", [], [])))


def doctor_excerpt(text: str) -> str:
    reply = Reply("http://x", 500, {}, text.encode(), 0.0, 0.0, 0.0)
    return clean(reply.excerpt, ())


def doctor_token(text: str) -> str:
    reply = Reply("http://x", 500, {}, text.replace(URL, SECRET).encode(), 0.0, 0.0, 0.0)
    return clean(reply.excerpt, (SECRET,))


@pytest.mark.parametrize(
    ("show", "limit"),
    [
        (summary, SUMMARY_LIMIT),
        (data, SUMMARY_LIMIT),
        (data_key, SUMMARY_LIMIT),
        (message, MESSAGE_LIMIT),
        (log_line, TEXT_LIMIT),
        (log_line, TEXT_LIMIT + MARGIN),
        (sentry_event, VALUE_LIMIT),
        (sentry_event, 200),
        (value_text, 60),
        (doctor_excerpt, 200),
        (doctor_excerpt, MAX_TEXT),
        (doctor_token, 200),
        (doctor_token, MAX_TEXT),
    ],
)
@pytest.mark.parametrize("secret", [URL, QUOTED])
def test_no_text_is_cut_inside_a_secret(
    show: Callable[[str], str], limit: int, secret: str
) -> None:
    for before in range(limit - len(secret) - 5, limit + 2, 20):
        shown = show(f"{'x' * before} {secret} {'y' * 100}")
        assert "hunter2" not in shown, before


def test_no_traceback_begins_inside_a_secret() -> None:
    limit = len(describe(raised("x" * 20_000), "tests").traceback)
    for after in range(limit - len(URL) - 5, limit + 5, 20):
        shown = describe(raised(f"{URL} {'z' * after}"), "tests").traceback
        assert "nobody" not in shown, after
    several = describe(raised("\n".join(["a line", URL] * 400)), "tests").traceback
    assert set(several.splitlines()) == {"a line", redact(URL)}, "whole lines only"


@pytest.mark.parametrize("limit", [10, 100])
@pytest.mark.parametrize("secret", [URL, QUOTED])
def test_masks_that_shorten_a_text_reveal_no_cut_secret_behind_them(
    limit: int, secret: str
) -> None:
    hidden = f"token={'k' * MARGIN} "
    end = limit + MARGIN - len(hidden)
    for after in range(end - len(secret), end, 20):
        text = f"{hidden}{'x' * max(0, after)} {secret}"
        assert "hunter2" not in shorten(text, limit), after
        backwards = f"{secret} {'x' * max(0, after)} {hidden}"
        assert "nobody" not in shorten_lines(backwards, limit), after


def test_names_of_events_have_no_secrets() -> None:
    """Authors log whole sentences: the name of the event is all the text that there is."""
    entry = Entry(time.time_ns(), "info", Importance.INFO, f"connected to {URL}", {}, None)
    for line in (LineFormat("aliaport.app", {}).line(entry).decode(), CONSOLE.line(entry)):
        assert SECRET not in line
        assert "postgresql://bob:***@db.example/app" in line


def test_short_texts_stay_as_they_are() -> None:
    assert shorten("x" * 10, 10) == shorten_lines("x" * 10, 10) == "x" * 10
    assert shorten("x" * 11, 10) == shorten_lines("x" * 11, 10) == "x" * 10
    assert shorten("x" * 20_000, 10) == shorten_lines("x" * 20_000, 10) == "x" * 10
    assert shorten_lines("first\nsecond\nthird", 9) == "third"
