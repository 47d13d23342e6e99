"""Tests that numbers, dates and times are accepted in one format only."""

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
def test_a_number_in_a_query_must_be_digits(
    api: Operations, path: str, name: str, text: str
) -> None:
    error = api.refused(422, "GET", path, **{name: text})
    assert error["fields"] == [{"path": f"query.{name}", "message": "must be a whole number"}]


@pytest.mark.parametrize(
    ("text", "word"), [("0", "greater"), ("-5", "greater"), ("9" * 30, "less")]
)
def test_a_number_out_of_range_in_a_query_is_reported_with_its_bound(
    api: Operations, text: str, word: str
) -> None:
    assert word in api.refused(422, "GET", ORDER, account_id=text)["message"]


def test_each_parameter_of_a_path_that_takes_none_is_reported(api: Operations) -> None:
    error = api.refused(422, "GET", "/auth/me?limit=5&after=x&limit=6")
    message = "this path takes no query parameters"
    assert error["message"] == f"query.limit: {message} (and 1 more)"
    assert error["fields"] == [
        {"path": f"query.{name}", "message": message} for name in ("limit", "after")
    ]


@pytest.mark.parametrize("text", NO_TIMES)
def test_a_time_must_have_a_date_and_an_offset_in_queries_and_bodies(
    api: Operations, text: str
) -> None:
    for error, path in (
        (api.refused(422, "GET", GATE, since=text), "query.since"),
        (api.refused(422, "POST", GATE, body(passed_at=text)), "body.passed_at"),
    ):
        (field,) = error["fields"]
        assert field["path"] == path
        assert field["message"].startswith("must be a time with a UTC offset, such as 2026-")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("2024-01-02t03:04:05z", "2024-01-02T03:04:05Z"),
        ("2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123456Z"),
        ("2024-01-02T03:04:05+03:00", "2024-01-02T00:04:05Z"),
        ("2024-01-02T03:04:05-00:00", "2024-01-02T03:04:05Z"),
    ],
)
def test_a_time_is_stored_in_utc(api: Operations, text: str, stored: str) -> None:
    assert api.data("POST", GATE, body(passed_at=text))["passed_at"] == stored


@pytest.mark.parametrize("text", NO_DAYS)
def test_a_date_must_be_in_iso_format(api: Operations, text: str) -> None:
    order = {"account_id": 1, "title": "Tahliye", "planned_for": text}
    (field,) = api.refused(422, "POST", ORDER, order)["fields"]
    assert field["path"] == "body.planned_for"
    assert field["message"].startswith("must be a date, such as 2026-01-02")


def test_a_time_or_a_date_cannot_be_a_number(api: Operations) -> None:
    assert api.refused(422, "POST", GATE, body(passed_at=1_700_000_000))["fields"]
    order = {"account_id": 1, "title": "Tahliye", "planned_for": 0}
    assert api.refused(422, "POST", ORDER, order)["fields"]


@pytest.mark.parametrize("text", ["{0}", "{0}.0", "{0}.0e0", "{0}0e-1"])
def test_a_whole_number_in_a_body_can_have_a_zero_fraction(api: Operations, text: str) -> None:
    # It is the same number in JSON, and some languages write it only like this.
    account = api.account()["id"]
    written = json.dumps({"title": "Tahliye", "account_id": 0}).replace("0", text.format(account))
    assert api.data("POST", ORDER, written.encode())["account"]["id"] == account


@pytest.mark.parametrize("text", ["1.5", "1e400", "-1e400", "1e30", '"1"', "true", "null", "[1]"])
def test_a_number_in_a_body_must_be_whole_and_in_range(api: Operations, text: str) -> None:
    written = json.dumps({"title": "Tahliye", "account_id": 0}).replace("0", text)
    (field,) = api.refused(422, "POST", ORDER, written.encode())["fields"]
    assert field["path"] == "body.account_id"


@pytest.mark.parametrize("text", BLANK)
def test_a_title_must_have_a_visible_character(api: Operations, text: str) -> None:
    account = {"code": "BLANK", "title": text, "kind": "customer"}
    (field,) = api.refused(422, "POST", CARI, account)["fields"]
    assert field["path"] == "body.title"


@pytest.mark.parametrize("text", ["a-cursor", "=", "a+b/", "ş", "a" * 2001])
def test_an_invalid_cursor_is_refused(api: Operations, text: str) -> None:
    error = api.refused(422, "GET", CARI, after=text)
    assert error["fields"][0]["path"] == "query.after"
    assert "must be `next` of the previous page, unchanged" in error["message"]
