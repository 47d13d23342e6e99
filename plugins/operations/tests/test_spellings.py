"""Numbers, days and times are read in one spelling each; nothing else is guessed at."""

import json
from typing import Any

import pytest

from tests.support.operations import CARI, GATE, ORDER, Operations

NO_NUMBERS = ["+5", " 5", "5 ", "1_0", "5.5", "1e1", "0x5", "٥", "five", "", "NaN", "-"]
NO_TIMES = [
    "0",
    "0.5",
    "1700000000",
    "2024-01-02",
    "2024-01-02T03:04:05",
    "2024-01-02T03:04Z",
    "2024-01-02 03:04:05Z",
    "2024-01-02_03:04:05Z",
    "2024-01-02T03:04:05,5Z",
    "2024-01-02T03:04:05+0300",
    "2024-01-02T03:04:05+24:00",
    "2024-01-02T03:04:05\u221203:00",
    "2024-01-02T24:00:00Z",
    "2024-02-30T03:04:05Z",
    "0000-01-02T03:04:05Z",
    "٢٠٢٤-01-02T03:04:05Z",
    "now",
]
NO_DAYS = ["0", "86400", "2024-1-2", "20240102", "2024-01-02T00:00:00Z", "2024-02-30", "2024-W01-1"]
BLANK = ["", " ", "\u00a0", "\u2003", "\u3000", "\ufeff", "\u200b", "\u00ad", "\u2060 \u200d"]


def body(direction: str = "in", **fields: Any) -> dict[str, Any]:
    return {"direction": direction, "plate": "34 ABC 123"} | fields


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize(("path", "name"), [(CARI, "limit"), (ORDER, "account_id")])
def test_a_number_in_a_query_is_digits(api: Operations, path: str, name: str, text: str) -> None:
    error = api.refused(422, "GET", path, **{name: text})
    assert error["fields"] == [
        {"path": f"query.{name}", "message": "write a whole number, in digits"}
    ]


@pytest.mark.parametrize(
    ("text", "word"), [("0", "greater"), ("-5", "greater"), ("9" * 30, "less")]
)
def test_a_number_in_a_query_that_is_out_of_range_is_told_its_range(
    api: Operations, text: str, word: str
) -> None:
    assert word in api.refused(422, "GET", ORDER, account_id=text)["message"]


@pytest.mark.parametrize("text", NO_TIMES)
def test_a_time_has_a_day_and_a_zone_in_a_query_and_in_a_body(api: Operations, text: str) -> None:
    for error, path in (
        (api.refused(422, "GET", GATE, since=text), "query.since"),
        (api.refused(422, "POST", GATE, body(passed_at=text)), "body.passed_at"),
    ):
        (field,) = error["fields"]
        assert field["path"] == path
        assert field["message"].startswith("write a time with its zone, like 2026-")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("2024-01-02t03:04:05z", "2024-01-02T03:04:05Z"),
        ("2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123456Z"),
        ("2024-01-02T03:04:05+03:00", "2024-01-02T00:04:05Z"),
        ("2024-01-02T03:04:05-00:00", "2024-01-02T03:04:05Z"),
    ],
)
def test_a_time_is_kept_as_it_was_meant(api: Operations, text: str, meant: str) -> None:
    assert api.data("POST", GATE, body(passed_at=text))["passed_at"] == meant


@pytest.mark.parametrize("text", NO_DAYS)
def test_a_day_is_written_as_one(api: Operations, text: str) -> None:
    order = {"account_id": 1, "title": "Tahliye", "planned_for": text}
    (field,) = api.refused(422, "POST", ORDER, order)["fields"]
    assert field["path"] == "body.planned_for"
    assert field["message"].startswith("write a day like 2026-01-02")


def test_a_time_or_a_day_is_no_number(api: Operations) -> None:
    assert api.refused(422, "POST", GATE, body(passed_at=1_700_000_000))["fields"]
    order = {"account_id": 1, "title": "Tahliye", "planned_for": 0}
    assert api.refused(422, "POST", ORDER, order)["fields"]


@pytest.mark.parametrize("text", ["{0}", "{0}.0", "{0}.0e0", "{0}0e-1"])
def test_a_whole_number_in_a_body_may_have_a_fraction_of_nothing(
    api: Operations, text: str
) -> None:
    # It is the same number to JSON, and some languages know no other way to write it.
    account = api.account()["id"]
    written = json.dumps({"title": "Tahliye", "account_id": 0}).replace("0", text.format(account))
    assert api.data("POST", ORDER, written.encode())["account"]["id"] == account


@pytest.mark.parametrize("text", ["1.5", "1e400", "-1e400", "1e30", '"1"', "true", "null", "[1]"])
def test_a_number_in_a_body_is_whole_and_in_range(api: Operations, text: str) -> None:
    written = json.dumps({"title": "Tahliye", "account_id": 0}).replace("0", text)
    (field,) = api.refused(422, "POST", ORDER, written.encode())["fields"]
    assert field["path"] == "body.account_id"


@pytest.mark.parametrize("text", BLANK)
def test_a_title_has_something_to_be_seen(api: Operations, text: str) -> None:
    account = {"code": "BLANK", "title": text, "kind": "customer"}
    (field,) = api.refused(422, "POST", CARI, account)["fields"]
    assert field["path"] == "body.title"


@pytest.mark.parametrize("text", ["a-cursor", "=", "a+b/", "ş", "a" * 2001])
def test_a_cursor_is_one_that_was_given(api: Operations, text: str) -> None:
    error = api.refused(422, "GET", CARI, after=text)
    assert error["fields"][0]["path"] == "query.after"
    assert "send `next` of the page before as it came" in error["message"]
