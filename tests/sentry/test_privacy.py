"""Data that is never sent to Sentry: secrets, personal data and unwanted traces."""

from typing import Any, NoReturn

import asyncpg
import sentry_sdk
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from aliaport.sentry import Sentry, start_sentry
from aliaport.sentry.sampling import MAX_TRACES, Sampler, default_rate
from tests.support.sentry import SentryServer

pytest_plugins = ["tests.support.sentry_fixtures"]

IDENTITY_NUMBER = "10000000146"
PLANTED = {
    "dsn": "Kal3m-dsn",
    "bearer": "Kal3mBearer0123456789",
    "cookie": "Kal3mCookie",
    "password": "Kal3mPassword",
    "query": "Kal3mQuery",
    "local": "Kal3mLocal",
    "field": "Kal3mField",
    "header": "Kal3mHeader",
    "body": "Kal3mBody",
    "id": IDENTITY_NUMBER,
}


def fail(text: str) -> NoReturn:
    secret_local = PLANTED["local"]
    raise LookupError(text or secret_local)


async def test_secrets_and_personal_data_are_not_sent(
    sentry: Sentry, stand_in: SentryServer, log: Any
) -> None:
    async def order(request: web.Request) -> web.Response:
        await request.text()
        try:
            fail(
                f"postgresql://stock:{PLANTED['dsn']}@db/x Bearer {PLANTED['bearer']} "
                f"Cookie: session={PLANTED['cookie']}\npassword={PLANTED['password']} "
                f"https://x/?a=1&token={PLANTED['query']} {PLANTED['id']}"
            )
        except LookupError:
            log.exception(
                "order.failed",
                db_password=PLANTED["field"],
                api_key={"a": PLANTED["field"]},
                user="somebody@example.com",
                client=request.remote,
                citizen=PLANTED["id"],
                url=f"http://x/?token={PLANTED['query']}",
            )
            raise

    app = web.Application()
    app.router.add_post("/orders/{number}", order)
    async with TestClient(TestServer(app)) as client:
        response = await client.post(
            f"/orders/7?token={PLANTED['query']}&name={PLANTED['query']}",
            data=PLANTED["body"],
            headers={
                "Authorization": f"Bearer {PLANTED['bearer']}",
                "Cookie": f"session={PLANTED['cookie']}",
                "X-Forwarded-For": "203.0.113.9",
                "User-Agent": "Mozilla/5.0 (somebody)",
                "X-Whatever": PLANTED["header"],
            },
        )
        assert response.status == 500
    sentry.flush(5)
    (event,) = stand_in.of("event")
    (transaction,) = stand_in.of("transaction")
    assert event["tags"]["event"] == "order.failed"
    assert event["request"]["url"].endswith("/orders/7")
    assert event["transaction"] == transaction["transaction"] == "POST /orders/{number}"
    assert event["contexts"]["aliaport"]["db_password"] == "***"
    for name, secret in PLANTED.items():
        assert secret.encode() not in stand_in.everything, name
    for personal in (b"REMOTE_ADDR", b"ip_address", b"203.0.113.9", b"somebody", b'"vars"'):
        assert personal not in stand_in.everything
    assert "user" not in event
    assert "data" not in event["request"]
    assert stand_in.of("sessions"), "release health needs no personal data"
    assert all(
        set(session["attrs"]) == {"release", "environment"} for session in stand_in.of("sessions")
    )


def test_a_flood_does_not_use_up_the_quota_of_traces() -> None:
    for rate in (1.0, 0.25):
        sample = Sampler(rate)
        sampled = [sample({"parent_sampled": True}) for _ in range(10 * MAX_TRACES)]
        assert set(sampled) == {rate, 0.0}
        assert sum(sampled) == MAX_TRACES
        assert sampled[:MAX_TRACES] == [rate] * MAX_TRACES


def test_the_default_rates() -> None:
    environments = ("development", "test", "staging", "production")
    assert [default_rate(environment) for environment in environments] == [1.0, 0.1, 0.1, 0.1]


async def test_traces_name_routes_and_leave_out_health(
    sentry: Sentry, stand_in: SentryServer, database: str
) -> None:
    async def one(_request: web.Request) -> web.Response:
        connection = await asyncpg.connect(database)
        await connection.fetchval("SELECT $1::text", PLANTED["field"])
        await connection.close()
        return web.Response(text="ok")

    async def seen(request: web.Request) -> web.Response:
        return web.Response(text=str([name for name in request.headers if "race" in name]))

    async def calls(_request: web.Request) -> web.Response:
        url = client.make_url(f"/status?name={PLANTED['query']}")
        async with client.session.get(url) as response:
            return web.Response(text=await response.text())

    app = web.Application()
    app.router.add_get("/shelves/{number}", one)
    app.router.add_get("/calls", calls)
    for path in ("/health", "/ready/", "/metrics", "/status", "/healthy"):
        app.router.add_get(path, seen)
    async with TestClient(TestServer(app)) as client:
        for path in ("/health", "/ready/", "/metrics", "/healthy"):
            await client.get(path, headers={"sentry-trace": f"{'a' * 32}-{'b' * 16}-1"})
        response = await client.get("/calls")
        assert await response.text() == "[]", "other servers get no trace headers"
        await client.get("/shelves/3")
        await client.get("/nowhere")
    sentry.flush(5)
    found = {transaction["transaction"]: transaction for transaction in stand_in.of("transaction")}
    unmatched = "GET unmatched"
    routes = {"GET /status", "GET /healthy", "GET /calls", "GET /shelves/{number}"}
    assert set(found) == routes | {unmatched}
    spans = found["GET /shelves/{number}"]["spans"]
    assert "SELECT $1::text" in [span["description"] for span in spans]
    assert [span["op"] for span in found["GET /calls"]["spans"]] == ["http.client"]
    for secret in (PLANTED["field"], PLANTED["query"]):
        assert secret.encode() not in stand_in.everything


def test_the_rate_can_be_set(stand_in: SentryServer, sentry: Sentry) -> None:
    start_sentry(stand_in.dsn, environment="development", version="1", traces_sample_rate=0.0)
    sampler = sentry_sdk.get_client().options["traces_sampler"]
    assert sampler({}) == 0.0
