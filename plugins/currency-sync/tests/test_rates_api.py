"""Tests the API as callers see it: the real service over HTTP."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests
import schemathesis
from aliaport_currency_sync.business_days import BusinessDays, DayKind, today

from tests.support.fixtures import Launch, Rows
from tests.support.operations_locks import holding
from tests.support.postgres import TcpPostgres
from tests.support.service import Response, Service, start
from tests.support.tcmb import Tcmb, document
from tests.support.waiting import wait_until

RATES, CONVERT = "/api/currency/rates", "/api/currency/convert"
NOW = today(datetime.now(UTC))
_BUSINESS = [
    day
    for day in BusinessDays().open_days(NOW - timedelta(days=45), NOW - timedelta(days=1))
    if BusinessDays().kind(day) is DayKind.BUSINESS
]
OLD, OLDER_GAP, EXTRA_HOLIDAY, NEWEST = *_BUSINESS[:3], _BUSINESS[-1]
"""Only the first and the last of these days have a bulletin."""

TOO_LATE = OLD + timedelta(days=11)
"""The first day for which the bulletin of OLD is too old."""


STORED = "SELECT count(*) FROM aliaport_currency_bulletins"


@pytest.fixture(scope="module")
def server(own_server: TcpPostgres) -> TcpPostgres:
    """Return a server for this file only, since its tests stop it."""
    return own_server


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    tcmb = Tcmb()
    tcmb.bulletins[OLD] = document(OLD, percent=-5)
    tcmb.bulletins[NEWEST] = document(NEWEST, number="2026/221")
    database = server.new_database("api")
    service = start(
        tmp_path_factory.mktemp("api") / "run",
        allow=["currency_sync"],
        environ={
            "DATABASE_URL": server.dsn(database=database),
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__FIRST_DAY": str(OLD),
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__REQUEST_INTERVAL": "0",
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__EXTRA_HOLIDAYS": f'["{EXTRA_HOLIDAY}"]',
            "ALIAPORT_APPS__CURRENCY_SYNC__CACHE_SECONDS": "2",
        },
    )
    try:
        service.wait_started()
        service.wait_for(
            lambda: server.sql(STORED, database) == "2",
            "both bulletins are stored",
        )
        service.wait_for(
            lambda: service.get(RATES).json.get("data", {}).get("date") == str(NEWEST),
            "the cache holds them",
        )
        yield service
    finally:
        service.kill()
        tcmb.stop()


def error(response: Response) -> dict[str, Any]:
    body = response.json
    assert body["success"] is False
    assert response.headers["X-Request-ID"]
    assert response.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = body["error"]
    return found


def test_the_latest_bulletin_has_its_own_date(api: Service) -> None:
    response = api.get(RATES)
    assert response.status == 200
    assert response.json["success"] is True
    data = response.json["data"]
    assert (data["date"], data["bulletin"], data["revision"]) == (str(NEWEST), "2026/221", 1)
    rates = {rate["code"]: rate for rate in data["rates"]}
    assert sorted(rates) == ["AUD", "DKK", "EUR", "GBP", "IRR", "JPY", "KWD", "USD", "XDR"]
    assert rates["JPY"] == {
        "code": "JPY",
        "unit": 100,
        "name": "JAPON YENİ",
        "name_en": "JAPENESE YEN",
        "forex_buying": "27.7421",
        "forex_selling": "27.7920",
        "banknote_buying": "27.7421",
        "banknote_selling": "27.8336",
        "cross_rate_usd": None,
        "cross_rate_other": None,
        "jump_percent": None,
    }
    assert rates["XDR"]["forex_selling"] is None


def test_a_date_selects_the_latest_bulletin_on_or_before_it(api: Service) -> None:
    for wanted, found in ((OLD, OLD), (OLDER_GAP, OLD), (NEWEST, NEWEST), (NOW, NEWEST)):
        data = api.get(f"{RATES}?date={wanted}&code=USD").json["data"]
        assert data["date"] == str(found)
        assert [rate["code"] for rate in data["rates"]] == ["USD"]


def test_a_day_s_rates_in_force_are_those_of_the_business_day_before(api: Service) -> None:
    after = {"determined": NEWEST, "published": None}
    for basis, found in after.items():
        response = api.get(f"{RATES}?date={NEWEST}&basis={basis}")
        shown = response.json["data"]["date"] if response.status == 200 else None
        assert shown == (found and str(found))
    data = api.get(f"{RATES}?date={OLDER_GAP}&basis=published").json["data"]
    assert (data["date"], data["basis"]) == (str(OLD), "published")
    assert (data["age_business_days"], data["stale"]) == (0, False)
    converted = convert(api, f"amount=1&from=USD&to=TRY&date={OLDER_GAP}&basis=published")
    assert (converted["date"], converted["basis"]) == (str(OLD), "published")


def test_rates_have_an_age_and_are_stale_if_newer_ones_are_overdue(api: Service) -> None:
    for wanted, age, stale in (
        (OLD, 0, False),
        (OLDER_GAP, 1, True),
        (EXTRA_HOLIDAY, 1, True),
        (NEWEST, 0, False),
    ):
        data = api.get(f"{RATES}?date={wanted}").json["data"]
        assert (data["age_business_days"], data["stale"]) == (age, stale), wanted
    data = api.get(RATES).json["data"]
    assert data["age_business_days"] == BusinessDays().business_days_after(NEWEST, NOW)


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        (f"{RATES}?date={TOO_LATE}", OLD),
        (f"{CONVERT}?amount=1&from=USD&to=TRY&date={TOO_LATE}", OLD),
        (f"{CONVERT}?amount=1&from=TRY&to=TRY&date={TOO_LATE}&basis=published", OLD),
        (f"{RATES}?date={NEWEST - timedelta(days=1)}", NEWEST),
        (f"{RATES}?date=2020-01-02", OLD),
    ],
)
def test_old_rates_do_not_pass_for_those_of_a_day(api: Service, path: str, nearest: date) -> None:
    response = api.get(path)
    assert response.status == 404
    found = error(response)
    assert (found["code"], found["nearest"]) == ("no_data", str(nearest))
    assert str(nearest) in found["message"]


def test_the_oldest_rates_that_are_served_have_ten_days(api: Service) -> None:
    data = api.get(f"{RATES}?date={TOO_LATE - timedelta(days=1)}").json["data"]
    assert data["date"] == str(OLD)


def test_several_currencies_at_once(api: Service) -> None:
    data = api.get(f"{RATES}?code=USD&code=EUR&code=USD").json["data"]
    assert [rate["code"] for rate in data["rates"]] == ["USD", "EUR"]
    response = api.get(f"{RATES}?code=USD&code=CHF")
    assert response.status == 404
    assert "no rate for CHF" in error(response)["message"]


def test_the_series_of_one_currency_in_pages(api: Service) -> None:
    path = f"{RATES}?code=JPY&from={OLD}&to={NEWEST}"
    whole = api.get(path).json["data"]
    assert (whole["code"], whole["from"], whole["to"]) == ("JPY", str(OLD), str(NEWEST))
    assert whole["next"] is None
    first, second = whole["items"]
    assert (first["date"], second["date"]) == (str(OLD), str(NEWEST))
    assert (second["bulletin"], second["unit"]) == ("2026/221", 100)
    assert second["forex_buying"] == "27.7421"
    page = api.get(f"{path}&limit=1").json["data"]
    assert (page["items"], page["next"]) == ([first], str(OLD))
    last = api.get(f"{path}&limit=1&after={page['next']}").json["data"]
    assert (last["items"], last["next"]) == ([second], None)
    assert api.get(f"{path}&after={NEWEST}").json["data"]["items"] == []
    assert api.get(f"{RATES}?code=JPY&from={OLDER_GAP}").json["data"]["items"] == [second]
    assert api.get(f"{RATES}?code=CHF&from={OLD}").status == 404


@pytest.mark.parametrize(
    "path",
    [
        f"{RATES}?date={OLD - timedelta(days=1)}",
        f"{RATES}?date=2005-01-01",
        f"{RATES}?date=1000-01-01",
        f"{RATES}?code=CHF",
        f"{CONVERT}?amount=1&from=USD&to=CHF",
        f"{CONVERT}?amount=1&from=XDR&to=TRY&rate=banknote_buying",
        f"{CONVERT}?amount=1&from=TRY&to=TRY&date=2005-01-01",
    ],
)
def test_missing_data_is_404(api: Service, path: str) -> None:
    response = api.get(path)
    assert response.status == 404
    assert error(response)["code"] == "no_data"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("rates?date=24.11.2026", "date"),
        ("rates?date=2026-02-30", "date"),
        ("rates?date=2026-1-1", "date"),
        ("rates?date=20260101", "date"),
        ("rates?date=", "date"),
        ("rates?date=2026-01-01T00:00", "date"),
        (f"rates?date={NOW + timedelta(days=2)}", "date"),  # midnight may pass during the test
        ("rates?date=2026-01-01&date=2026-01-02", "date"),
        ("rates?code=usd", "code"),
        ("rates?code=USDT", "code"),
        ("rates?code=%00%00%00", "code"),
        ("rates?code='%20OR%201=1--", "code"),
        ("rates?dat=2026-01-01", "dat"),
        ("rates?basis=today", "basis"),
        ("rates?" + "&".join(["code=USD"] * 101), "code"),
        ("rates?from=2026-01-01", "code"),
        ("rates?from=2026-01-01&code=USD&code=EUR", "code"),
        ("rates?to=2026-01-01&code=USD", "from"),
        ("rates?from=2026-01-02&to=2026-01-01&code=USD", "from"),
        ("rates?from=2026-01-01&code=USD&date=2026-01-01", "date"),
        ("rates?from=2026-01-01&code=USD&basis=published", "basis"),
        ("rates?from=2026-01-01&code=USD&limit=367", "limit"),
        ("rates?from=2026-01-01&code=USD&limit=0", "limit"),
        ("rates?from=2026-01-01&code=USD&after=1", "after"),
        ("convert?from=USD&to=TRY", "amount"),
        ("convert?amount=-1&from=USD&to=TRY", "amount"),
        ("convert?amount=1,5&from=USD&to=TRY", "amount"),
        ("convert?amount=1e5&from=USD&to=TRY", "amount"),
        ("convert?amount=NaN&from=USD&to=TRY", "amount"),
        ("convert?amount=%D9%A1&from=USD&to=TRY", "amount"),
        (f"convert?amount={'9' * 5000}&from=USD&to=TRY", "amount"),
        ("convert?amount=1&to=TRY", "from"),
        ("convert?amount=1&from=USD", "to"),
        ("convert?amount=1&from=USD&to=TRY&rate=selling", "rate"),
        ("convert?amount=1&from=USD&to=TRY&code=USD", "code"),
    ],
)
def test_invalid_input_is_422_and_names_the_parameter(
    api: Service, query: str, parameter: str
) -> None:
    response = api.get(f"/api/currency/{query}")
    assert response.status == 422
    found = error(response)
    assert (found["code"], found["parameter"]) == ("invalid", parameter)
    ((path, message),) = [(fault["path"], fault["message"]) for fault in found["fields"]]
    assert path == f"query.{parameter}"
    assert found["message"] == f"{path}: {message}"


def convert(api: Service, query: str) -> dict[str, Any]:
    response = api.get(f"{CONVERT}?{query}")
    assert response.status == 200, response.text
    data: dict[str, Any] = response.json["data"]
    return data


def test_an_amount_is_converted(api: Service) -> None:
    data = convert(api, "amount=1250.50&from=USD&to=TRY")
    assert data.pop("age_business_days") >= 0
    assert data.pop("stale") in (True, False)
    assert data == {
        "date": str(NEWEST),
        "bulletin": "2026/221",
        "revision": 1,
        "basis": "determined",
        "amount": "1250.50",
        "from": {"code": "USD", "unit": 1, "value": "41.8931"},
        "to": {"code": "TRY", "unit": 1, "value": "1"},
        "rate": "forex_buying",
        "result": "52387.3216",  # 52387.32155
        "rounding": {"places": 4, "mode": "half_up"},
    }
    assert convert(api, "amount=100&from=USD&to=JPY")["result"] == "15100.9116"
    assert convert(api, "amount=100&from=TRY&to=JPY&rate=banknote_selling")["result"] == "359.2780"
    assert convert(api, "amount=0.0000001&from=USD&to=TRY")["amount"] == "0.0000001"
    assert convert(api, "amount=0.00000000&from=USD&to=TRY")["amount"] == "0.00000000"
    assert convert(api, "amount=7&from=TRY&to=TRY")["result"] == "7.0000"
    assert convert(api, f"amount=1&from=USD&to=TRY&date={OLD}")["result"] == "39.7984"
    big = convert(api, "amount=999999999999999999.99999999&from=KWD&to=IRR")
    assert big["result"] == "136151859296482412060301.5062"


def test_each_response_is_as_the_openapi_document_describes_it(api: Service) -> None:
    url = f"http://127.0.0.1:{api.port}"
    described = schemathesis.openapi.from_url(f"{url}/api/openapi.json")
    described.validate()
    statuses = set()
    sent: list[tuple[str, dict[str, str | list[str]]]] = [
        (RATES, {}),
        (RATES, {"code": ["USD", "XDR"], "date": str(OLDER_GAP), "basis": "published"}),
        (RATES, {"code": "IRR", "from": str(OLD), "limit": "1"}),
        (RATES, {"date": str(TOO_LATE)}),
        (RATES, {"date": "today"}),
        (CONVERT, {"amount": "0.0000001", "from": "USD", "to": "TRY"}),
        (CONVERT, {"amount": "1", "from": "USD", "to": "CHF"}),
        (CONVERT, {}),
    ]
    for path, query in sent:
        response = requests.get(url + path, params=query, timeout=60)
        described[path]["get"].validate_response(response)
        statuses.add(response.status_code)
    assert statuses == {200, 404, 422}


def test_etags_and_caching_headers(api: Service) -> None:
    response = api.get(RATES)
    tag = response.headers["Etag"] if "Etag" in response.headers else response.headers["ETag"]
    assert response.headers["Cache-Control"] == "public, max-age=60"
    again = api.get(RATES, headers={"If-None-Match": tag})
    assert (again.status, again.text) == (304, "")
    assert again.headers["ETag"] == tag
    weak = api.get(RATES, headers={"If-None-Match": f'"other", W/{tag}'})
    assert weak.status == 304
    assert api.get(RATES, headers={"If-None-Match": '"other"'}).status == 200
    assert api.get(f"{RATES}?code=USD", headers={"If-None-Match": tag}).status == 200
    settled = api.get(f"{RATES}?date={OLD}")
    assert settled.headers["Cache-Control"] == "public, max-age=86400"
    assert api.get(RATES, method="HEAD").status == 200
    assert api.get(RATES, method="POST").status == 405


def sample(api: Service, series: str) -> float:
    lines = api.get("/metrics").text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


def test_cache_hits_are_counted_and_the_hit_rate_is_a_percentage(api: Service) -> None:
    family = "aliaport_currency_sync_cache"
    hits, misses = sample(api, f"{family}_hits_total "), sample(api, f"{family}_misses_total ")
    statuses = [api.get(f"{RATES}?date={OLD}").status for _ in range(20)]
    assert statuses == [200] * 20
    now = sample(api, f"{family}_hits_total "), sample(api, f"{family}_misses_total ")
    assert sum(now) == hits + misses + 20
    assert now[0] >= hits + 10, "too few were served from the cache"
    rate = sample(api, 'aliaport_cache_hit_rate{cache="currency"}')
    assert rate == pytest.approx(100 * now[0] / sum(now))
    requests = (
        'aliaport_http_requests_total{endpoint="/api/currency/rates",method="GET",status="200"}'
    )
    assert sample(api, requests) > 20
    assert sample(api, 'aliaport_db_pool_max{component="currency_sync_api"}') == 4


def test_the_status_page_lists_both_plugin_and_app(api: Service) -> None:
    rows = api.get("/status").json["data"]["plugins"]
    assert {(row["name"], row["kind"], row["state"]) for row in rows} == {
        ("currency_sync", "plugin", "running"),
        ("currency_sync", "app", "running"),
    }


def test_a_new_revision_is_served_after_the_cache_expires(
    api: Service, server: TcpPostgres
) -> None:
    server.sql(
        "INSERT INTO aliaport_currency_bulletins SELECT day, 2, number, 'x', now() "
        f"FROM aliaport_currency_bulletins WHERE day = '{OLD}'; "
        "INSERT INTO aliaport_currency_rates (day, revision, code, unit, name, name_en, forex_buying)"
        f" VALUES ('{OLD}', 2, 'USD', 1, 'ABD DOLARI', 'US DOLLAR', 40.5)",
        api.environ["DATABASE_URL"].rpartition("/")[2],
    )
    wait_until(
        lambda: api.get(f"{RATES}?date={OLD}").json["data"]["revision"] == 2, "the revision shows"
    )
    (usd,) = api.get(f"{RATES}?date={OLD}").json["data"]["rates"]
    assert usd["forex_buying"] == "40.5"


def test_a_stopped_database_is_503_until_it_is_back(api: Service, server: TcpPostgres) -> None:
    server.stop("immediate")
    try:
        response = api.get(f"{RATES}?date={OLD + timedelta(days=3)}")
        assert response.status == 503
        assert error(response)["code"] == "database_unavailable"
        assert int(response.headers["Retry-After"]) >= 1
        assert api.get("/health").status == 200
        (row,) = api.get("/status?include=currency_rates").json["data"]["probes"]
        assert (row["status"], row["code"]) == ("unhealthy", "database")
    finally:
        server.start()
    wait_until(lambda: api.get(RATES).status == 200, "the rates are served again")


def test_a_locked_table_is_503_and_the_log_names_the_holder(api: Service) -> None:
    url = api.environ["DATABASE_URL"]
    with holding(url, "LOCK TABLE aliaport_currency_rates IN ACCESS EXCLUSIVE MODE"):
        response = api.get(f"{RATES}?code=USD&from={OLD}&to={OLD}")
    assert (response.status, error(response)["code"]) == (503, "statement_timeout")
    assert int(response.headers["Retry-After"]) >= 1
    assert "aliaport_" not in response.text
    (event,) = wait_until(
        lambda: [
            event
            for event in api.events("rates.unavailable")
            if event["aliaport.code"] == "statement_timeout"
        ],
        "the timeout is logged",
    )
    assert event["labels.locked_table"] == "aliaport_currency_rates"
    assert "idle in transaction" in event["labels.lock_holders"]


def test_a_database_without_bulletins_is_404(
    launch: Launch, database: str, tcmb: Tcmb, rows: Rows
) -> None:
    service = launch(
        allow=("currency_sync",),
        environ={
            "DATABASE_URL": database,
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
        },
    )
    response = service.get(RATES)
    assert (response.status, error(response)["code"]) == (404, "no_data")
    assert rows("SELECT count(*) FROM aliaport_currency_rates") == ["0"]
    assert 'aliaport_cache_hit_rate{cache="currency"}' in service.get("/metrics").text
