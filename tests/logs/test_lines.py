"""The format of log lines: whatever is logged, one valid line of the Elastic Common Schema."""

import math
import string
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aliaport.correlation import identify
from aliaport.logs.entries import Entry, Importance
from aliaport.logs.fields import ECS_FIELDS, ECS_VERSION, NAMES
from aliaport.logs.lines import LineFormat
from aliaport.logs.requests import RequestLog
from aliaport.logs.sanitize import FIELD_LIMIT, TEXT_LIMIT, sanitize
from aliaport.logs.streams import Console
from aliaport.redaction import is_identity_number, is_secret_name, redact
from aliaport.sentry.scrubbing import scrub
from tests.support.ecs import ECS, parsed

SERVICE = {
    "service.name": "aliaport-api",
    "service.version": "3.1.0",
    "service.environment": "test",
}
FORMAT = LineFormat("aliaport.app", SERVICE)


def line(name: str = "it.happened", /, **fields: Any) -> dict[str, Any]:
    sanitize(fields)
    entry = Entry(
        time.time_ns(), "info", Importance.INFO, name, fields, identify(None, None), "MainThread"
    )
    return parsed(FORMAT.line(entry))


class Hostile:
    def __str__(self) -> str:
        raise ValueError("no text")


class HostileTwice(Hostile):
    __repr__ = Hostile.__str__


class Liar(str):
    def __str__(self) -> str:
        raise ValueError("no text")


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs", "Cc", "Lu"]))
    | st.binary()
    | st.sampled_from([Hostile(), Liar("x"), math.inf, 10**400, -(2**63), 2**64, object()])
    | st.datetimes(timezones=st.just(UTC))
    | st.builds(ValueError, st.text())
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.frozensets(st.text(), max_size=3)
    ),
    max_leaves=12,
)
names = (
    st.text(min_size=1)
    | st.sampled_from([*NAMES, *ECS_FIELDS, "labels", "aliaport.numbers.x", "event", "a.b*c\\d"])
    | st.text(string.ascii_lowercase + "._", min_size=1)
)


@settings(max_examples=150, deadline=None)
@given(st.text(), st.dictionaries(names, values, max_size=8))
def test_any_event_is_one_valid_line(name: str, fields: dict[str, Any]) -> None:
    for fixed in ("@timestamp", "log.level", "message", "ecs.version", "event.id", "event.action"):
        fields.pop(fixed, None)
    found = line(name, **{key: value for key, value in fields.items() if key != "/"})
    assert found["ecs.version"] == ECS_VERSION
    assert found["event.dataset"] == "aliaport.app"


def test_a_value_without_any_text_is_named() -> None:
    found = line(alone=HostileTwice(), inside=[HostileTwice()], among={HostileTwice()})
    assert "HostileTwice that cannot be shown" in found["labels.alone"]
    assert "cannot be shown" in found["labels.inside"]
    assert "cannot be shown" in found["labels.among"]


def test_numbers_out_of_range_are_named() -> None:
    found = line(huge=10**5000, inside=[10**5000], large=2**70, nan=math.nan)
    assert "integer of 16610 bits" in found["labels.huge"]
    assert found["labels.inside"]
    assert found["aliaport.numbers.large"] == 2**70
    assert found["labels.nan"] == "nan"


@pytest.mark.parametrize("depth", [100, 5_000])
def test_deep_nesting_and_cycles_are_one_valid_line(depth: int) -> None:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    cycle: list[Any] = []
    cycle.append(cycle)
    found = line(nested=nested, cycle=cycle)
    assert found["labels.nested"]
    assert found["labels.cycle"]


def test_every_field_of_the_schema_has_its_type() -> None:
    assert {name: ECS[name] for name in ECS_FIELDS} == dict(ECS_FIELDS)


def test_names_in_code_become_names_of_the_schema() -> None:
    found = line(
        "probe.changed", plugin="db", critical=True, reason="down", running_s=0.25, extra="x", n=7
    )
    assert found["message"] == found["event.action"] == "probe.changed"
    assert (found["aliaport.plugin"], found["aliaport.critical"]) == ("db", True)
    assert found["event.reason"] == "down"
    assert (found["aliaport.numbers.running_s"], found["aliaport.numbers.n"]) == (0.25, 7)
    assert found["labels.extra"] == "x"


def test_a_field_with_another_type_than_in_the_schema_is_stored_elsewhere() -> None:
    found = line(critical="yes", **{"http.response.status_code": "many", "client.ip": "nobody"})
    assert found["labels.critical"] == "yes"
    assert found["labels.http_response_status_code"] == "many"
    assert found["labels.client_ip"] == "nobody"
    assert line(status=7)["aliaport.status"] == "7"


def test_turkish_text_stays_readable() -> None:
    entry = Entry(0, "info", Importance.INFO, "x", {"text": "İstanbul Şişli ığüöç"}, None)
    assert "İstanbul Şişli ığüöç".encode() in FORMAT.line(entry)


def test_times_are_utc_with_microseconds_and_ids_unique() -> None:
    entry = Entry(1_795_580_774_000_001_000, "info", Importance.INFO, "x", {}, None)
    found = [parsed(FORMAT.line(entry)) for _ in range(1000)]
    assert found[0]["@timestamp"] == "2026-11-25T04:26:14.000001Z"
    assert datetime.fromisoformat(found[0]["@timestamp"]).tzinfo is not None
    assert len({fields["event.id"] for fields in found}) == 1000
    assert all(len(fields["event.id"]) <= 40 for fields in found)


def test_long_texts_and_many_fields_are_bounded() -> None:
    found = line(text="x" * 10_000_000, **{f"f{number}": number for number in range(200)})
    assert len(found["labels.text"]) < TEXT_LIMIT + 40
    assert found["labels.text"].endswith("more)")
    assert len(found) < FIELD_LIMIT + 25
    assert found["labels.fields_left_out"] == "true"


def test_no_text_can_forge_a_line() -> None:
    forged = 'x"}\n{"@timestamp":"2020-01-01T00:00:00Z","message":"forged"}\r\n\x1b[2J\x85\u2028'
    found = line("it\nhappened", text=forged, **{'na"me\n': 1})
    assert found["labels.text"] == forged
    assert found["message"] == "it\nhappened"


SECRETS = {
    "postgresql://user:geheim123@host/db": "geheim123",
    "Authorization: Bearer abcdef123456.geheim": "abcdef123456",
    "authorization: Basic dXNlcjpnZWhlaW0=": "dXNlcjpnZWhlaW0",
    "bearer abcdefgh12345678": "abcdefgh12345678",
    "Cookie: session=geheim; theme=dark": "geheim",
    "Set-Cookie: sid=geheim123; HttpOnly": "geheim123",
    "password=geheim123 user=x": "geheim123",
    '{"password": "geheim123"}': "geheim123",
    "db_password='geheim 123'": "geheim 123",
    "GET /x?access_token=geheim123&y=1": "geheim123",
    "api_key: geheim123": "geheim123",
    "the number is 10000000146.": "10000000146",
}


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_redacted_by_their_form(text: str) -> None:
    secret = SECRETS[text]
    assert secret not in redact(text)
    for fields in (
        {"text": text},
        {"error": ValueError(text)},
        {"nested": {"deep": [text]}},
        {"bytes": text.encode()},
        {"reason": text},
        {"traceback": f"Traceback:\n  x({text!r})\nValueError: {text}"},
    ):
        assert secret not in str(line(**fields)), fields


@pytest.mark.parametrize("secret", ["true-x", "nonesuch", "falsetto", "null7"])
def test_secrets_that_begin_like_a_constant_are_redacted(secret: str) -> None:
    for text in (f"password={secret}", f'{{"token":"{secret}"}}', f"secret: {secret}, next"):
        assert secret not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "12345678901",
        "00000000000",
        "110000000146",
        "1795580774000",
        "key=5",
        '{"require_token":true,"token":null,"password": false, "tokens":[],"token":[]}',
        "password=none, secret=False",
        "no secrets",
        "a/b:c@d",
    ],
)
def test_other_text_is_not_redacted(text: str) -> None:
    assert redact(text) == text


def test_identity_numbers_are_recognized_by_their_check_digits() -> None:
    assert is_identity_number("10000000146")
    assert not is_identity_number("10000000145")
    assert not is_identity_number("10000000156")


@pytest.mark.parametrize(
    "name", ["password", "db_password", "passwd", "status_token", "authorization", "cookie",
             "set_cookie", "api_key", "secret", "sentry_dsn", "session_id", "PRIVATE_KEY"]
)  # fmt: skip
def test_secrets_are_redacted_by_the_name_of_their_field(name: str) -> None:
    assert is_secret_name(name)
    assert "geheim" not in str(line(**{name: "geheim"}))


@pytest.mark.parametrize(
    "name",
    ["author", "passenger", "compass", "probe", "key_count", "session", "status_token_file",
     "password_length", "token_count", "secret_path", "token_timeout", "auth_limit", "cookies_days"],
)  # fmt: skip
def test_other_field_names_are_not_redacted(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("value", [True, False, [], {}, "[]"])
def test_switches_and_empty_values_are_not_secrets(value: object) -> None:
    fields = {"metrics_auth": value, "status_token": value}
    sanitize(fields)
    shown = str(line(**fields))
    shown += Console(colors=False).line(Entry(0, "info", Importance.INFO, "x", fields, None))
    assert "***" not in shown
    assert scrub({"metrics_auth": value}) == {"metrics_auth": value}


@pytest.mark.parametrize("value", [["geheim"], {"a": "geheim"}, "geheim", 4711])
def test_other_values_of_secret_names_are_masked(value: object) -> None:
    assert line(status_token=value)["labels.status_token"] == "***"


def test_the_terminal_shows_control_characters_and_no_secrets() -> None:
    fields = {
        "text": "x\x1b[2J\r\n12:00:00 [error] forged \u202e",
        "reason": "postgresql://u:geheim@h/x",
        "password": "geheim",
        "traceback": "Traceback:\n  line 1",
        "ığ": "İş",
    }
    entry = Entry(0, "info", Importance.INFO, "it\x07happened", fields, None)
    shown = Console(colors=False).line(entry)
    assert "geheim" not in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert shown.count("\n") == 3, "only a traceback has line feeds"
    assert "İş" in shown


@given(
    st.sampled_from(["GET", "POST", "UNKNOWN", "M-SEARCH"]) | st.text(min_size=1),
    st.text(),
    st.integers(100, 599),
    st.floats(0, 1e6),
    st.integers(0, 2**62),
    st.sampled_from(["127.0.0.1", "::1", "fe80::1%eth0", "unix", ""]) | st.text(),
    st.sampled_from(["curl/8", "token=geheim123", ""]) | st.text(),
    st.booleans(),
)
def test_the_fast_path_of_requests_writes_the_same_line(
    method: str, path: str, status: int, seconds: float, size: int, client: str, agent: str,
    identified: bool,
) -> None:  # fmt: skip
    identity = identify(None, None) if identified else None
    kept: list[Any] = []
    RequestLog(kept.append).record(
        identity, method, path, "/x/{y}", status, seconds, size, client, agent
    )
    (entry,) = kept
    plain = Entry(
        entry.time, entry.level, entry.importance, entry.name, dict(entry.fields), entry.request
    )
    short, whole = parsed(FORMAT.line(entry)), parsed(FORMAT.line(plain))
    del short["event.id"], whole["event.id"]
    assert short == whole
    assert "geheim123" not in str(short)


def test_an_entry_without_a_valid_line_is_reported_in_its_place() -> None:
    fields: dict[Any, Any] = {5: "no name is a number"}
    found = parsed(FORMAT.line(Entry(0, "error", Importance.ERROR, "odd.event", fields, None)))
    assert found["message"] == "log.unwritable"
    assert found["labels.of"] == "odd.event"
    assert "TypeError" in found["aliaport.problem"]
