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
from aliaport.metrics.samples import LABEL_VALUE_LIMIT, label_values
from aliaport.plugin import Collector, Metric, Plugin, PluginConfig
from aliaport.redaction import MARGIN, redact, shorten, shorten_lines
from aliaport.sentry.events import VALUE_LIMIT, make_event
from aliaport.sentry.scrubbing import scrub
from aliaport.testing import run_plugin

CONSOLE = Console(colors=False)

SECRET = "hunter2-a-word-that-nobody-guesses"
URL = f"postgresql://bob:{SECRET}@db.example/app"
QUOTED = f"password='{SECRET} {SECRET}'"
WAITING = Metric.gauge("aliaport_queue_waiting", "Waiting.", ("source",))
READ = Metric.counter("aliaport_queue_read_total", "Read.", ("source",))


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


def label(text: str) -> str:
    return "".join(label_values(WAITING, {"source": text}) or ())


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
        (label, LABEL_VALUE_LIMIT),
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


URLS = {
    "postgresql://u:it's-geheim@db/x": "postgresql://u:***@db/x",
    'postgresql://u:gehe"im@db/x': "postgresql://u:***@db/x",
    "postgresql://u:my geheim pass@db/x": "postgresql://u:***@db/x",
    "postgresql://o'neil:geheim@db/x": "postgresql://o'neil:***@db/x",
    "postgresql://u:12/geheim@h": "postgresql://u:***@h",
    "postgresql://u:12 geheim@h": "postgresql://u:***@h",
    "postgresql://u:a@geheim/b@h:5432/x": "postgresql://u:***@h:5432/x",
    "postgresql://bob@server:geheim@h/x": "postgresql://bob@server:***@h/x",
    "redis://:geheim#?@cache:6379/0": "redis://:***@cache:6379/0",
    "https://u:my gehe'im@h/x": "https://u:***@h/x",
}


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "frame", ["{}", "url={} refused", "at '{}', retry", '{{"url":"{}","a":"b@c"}}']
)
def test_passwords_in_urls_may_contain_anything(url: str, frame: str) -> None:
    masked = frame.format(URLS[url])
    assert redact(frame.format(url)) == masked
    assert redact(masked) == masked
    for show in (summary, data, message, log_line, sentry_event):
        assert "geheim" not in show(frame.format(url))


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://db:5432/x refused by bob@x.org",
        "redis://cache:6379: refused; mail bob@x.org",
        "redis://cache:6379 refused; mail bob@x.org",
        "amqp://broker: refused, mail bob@x.org",
        "http://127.0.0.1:8000/users/bob@x.org",
        "http://h:8080 user=bob@x.org",
        "https://h/x?next=http://h:80/&mail=bob@x.org",
        "postgresql://[::1]:5432/x bob@x.org",
        "docker://registry/app:1.2@sha256:abc",
        '{"url":"http://h","mail":"bob@x.org"}',
        '{"url":"redis://h:6379","mail":"bob@x.org"}',
        '{"url":"redis://h:6379/0","mail":"bob@x.org"}',
        '{"http://h": "bob@x.org"}',
    ],
)
def test_urls_without_a_password_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


PAIRS = [
    "oauth2_token={}",
    "db2_password: {}",
    's3_secret="{}"',
    "password2={}",
    "token_1={}",
    "secret_key={}",
    "aws_secret_access_key = {}",
    "private_key={}",
    "passphrase: {}",
    "clientSecret={}",
    "ğ_password={}",
    "signing-key={}",
    "password=it's-{}",
    "password='{} and more",
    '{{"ssh_passphrase": "{}"}}',
    "private_key=-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\\n{}",
]


@pytest.mark.parametrize("pair", PAIRS)
def test_values_of_secret_names_are_masked(pair: str) -> None:
    text = f"x=1 {pair.format('geheim')} y=2"
    assert "geheim" not in redact(text)
    assert redact(text).startswith("x=1 ")
    for show in (summary, message, log_line):
        assert "geheim" not in show(text)


@pytest.mark.parametrize(
    "text",
    [
        "keyboard=us monkey=2 turkey: 3 hotkey=ctrl",
        "primary_key=id foreign_key=5 cache_key=a public_key=b",
        "token_count=5 tokens=7 max_tokens=9 tokenizer=fast secretary=Anna",
        "passenger=7 compass=north bypass=1 passwordless=yes",
        "secret_key_file=/run/secrets/key password_length=12 token2_days=3",
        "token2=none, secret_key: null",
    ],
)
def test_values_of_other_names_are_shown(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "repeated",
    [
        *("://a:", "://'a:", "://a:b c ", "://1:1 ", "://a:b@c'", "://a:'", "://a:b c@ ", "://"),
        *("password", "password ", "password=", "password='", "a0_", "token1", "key -----BEGIN "),
        *("cookie ", "bearer ", "authorization:"),
    ],
)
@pytest.mark.parametrize("start", ["", "://a:b"])
def test_the_time_is_linear(start: str, repeated: str) -> None:
    """A megabyte takes about 0.4 s, so this 0.1 s; a quadratic search takes an hour."""
    redact(f"token {start}{repeated * (250_000 // len(repeated))}")


class Queue(Plugin[PluginConfig]):
    api = (1, 0)
    sources = (URL, f"/jobs?token={SECRET}", f"Bearer {SECRET}", "db:5432", "north hall")

    async def start(self) -> None:
        for source in self.sources:
            self.context.counter(READ).inc(source=source)

    def metrics(self) -> list[Collector]:
        return [Collector((WAITING,), lambda: [WAITING.sample(1, source=s) for s in self.sources])]


def test_metrics_show_no_secrets_of_labels() -> None:
    with run_plugin(Queue, name="queue") as plugin:
        page = plugin.exposition()
    assert SECRET not in page
    shown = ("postgresql://bob:***@db.example/app", "/jobs?token=***", "Bearer ***", "db:5432",
             "north hall")  # fmt: skip
    for source in shown:
        assert f'{WAITING.name}{{source="{source}"}} 1' in page
        assert f'{READ.name}{{source="{source}"}} 1' in page
