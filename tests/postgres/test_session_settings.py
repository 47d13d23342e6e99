"""Settings that the database URL names: in force or refused, directly and behind poolers."""

from collections.abc import Iterator

import pytest

from aliaport import postgres
from aliaport.plugin import Context
from aliaport.postgres import FAULTS, Pool
from aliaport.testing import make_context
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import TcpPostgres

pytestmark = [pytest.mark.needs("pgbouncer"), pytest.mark.service]

WAYS = ("directly", "session", "transaction", "ignoring")
ROLE = "settings_owner"


@pytest.fixture(scope="module")
def urls(server: TcpPostgres) -> Iterator[dict[str, str]]:
    """Yield the URLs of a server: directly, and through poolers that refuse or ignore settings."""
    server.sql(f"CREATE ROLE {ROLE}")
    names = ",".join((*postgres.server_settings("", 1), "options", "role", "work_mem"))
    modes = {
        "session": {"pool_mode": "session"},
        "transaction": {"pool_mode": "transaction"},
        "ignoring": {"pool_mode": "transaction", "ignore_startup_parameters": names},
    }
    poolers = {way: PgBouncer(server.dsn(), settings) for way, settings in modes.items()}
    yield {"directly": server.dsn(), **{way: pooler.dsn() for way, pooler in poolers.items()}}
    for pooler in poolers.values():
        pooler.remove()
    server.sql(f"DROP ROLE {ROLE}")


def context_of(urls: dict[str, str], way: str, options: str) -> Context:
    return make_context("x", database_url=f"{urls[way]}?{options}")


async def problem(context: Context) -> str:
    """Return why no connection can be opened."""
    with pytest.raises(FAULTS) as raised:
        await postgres.connect(context, component="x", timeout=20)
    fault = postgres.explain(raised.value, context)
    assert fault.code == "misconfigured", fault
    return fault.text


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize(
    "options",
    [
        f"role={ROLE}&work_mem=5MB",
        f"options=-c%20role%3D{ROLE}%20--work-mem%3D5MB",
        f"options=-cwork_mem%3D5MB%20-c%20client_encoding%3DLATIN5&role={ROLE}",
    ],
)
async def test_they_hold_from_one_user_of_a_pool_to_the_next(
    urls: dict[str, str], way: str, options: str
) -> None:
    pool = Pool(context_of(urls, way, options), component="x", size=1)
    await pool.start()
    for _ in range(2):
        async with pool.acquire(20) as connection:
            assert await connection.fetchval("SELECT current_user::text") == ROLE
            assert await connection.fetchval("SHOW work_mem") == "5MB"
            assert await connection.fetchval("SELECT 'ğü' || $1::text", "ş") == "ğüş"
            await connection.execute("SET work_mem = '6MB'")
    await pool.stop()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("options", "name", "reason"),
    [
        ("role=nobody_here", "role", 'role "nobody_here" does not exist'),
        ("options=-c%20role%3Dnobody_here", "role", 'role "nobody_here" does not exist'),
        ("options=-c%20no_such%3D1", "no_such", "unrecognized configuration parameter"),
        ("work_mem=much", "work_mem", "invalid value for parameter"),
        ("options=-c%20shared_buffers%3D5MB", "shared_buffers", "cannot be changed"),
    ],
)
async def test_what_the_server_refuses_is_named(
    urls: dict[str, str], way: str, options: str, name: str, reason: str
) -> None:
    text = await problem(context_of(urls, way, options))
    if way == "transaction":
        assert f"refuses or ignores the setting {name} of DATABASE_URL" in text or (
            "refuses or ignores options in DATABASE_URL" in text
        )
        assert "ALTER ROLE" in text
        return
    where = "options in DATABASE_URL" if options.startswith("options") else "DATABASE_URL"
    assert f"the server refuses the setting {name} of {where}: " in text
    assert reason in text


@pytest.mark.parametrize("way", WAYS[2:])
@pytest.mark.parametrize("options", [f"role={ROLE}", "options=-c%20work_mem%3D5MB", "work_mem=5MB"])
async def test_what_a_pooler_refuses_or_ignores_is_not_dropped(
    urls: dict[str, str], way: str, options: str
) -> None:
    text = await problem(context_of(urls, way, options))
    assert "the pooler in between refuses or ignores" in text
    assert "pool_mode=session" in text


async def test_a_setting_of_the_role_makes_up_for_what_a_pooler_ignores(
    server: TcpPostgres,
) -> None:
    login = "settings_login"
    server.sql(f"CREATE ROLE {login} LOGIN PASSWORD 'x' SUPERUSER")
    server.sql(f"ALTER ROLE {login} SET work_mem = '5MB'")
    pooler = PgBouncer(
        server.dsn(user=login, password="x"),
        {"pool_mode": "transaction", "ignore_startup_parameters": "options"},
    )
    try:
        url = f"{pooler.dsn()}?options=-c%20work_mem%3D5120kB"
        context = make_context("x", database_url=url)
        connection = await postgres.connect(context, component="x", timeout=20)
        assert await connection.fetchval("SHOW work_mem") == "5MB"
        connection.terminate()
    finally:
        pooler.remove()
        server.sql(f"DROP ROLE {login}")


async def test_words_for_a_proxy_reach_it(urls: dict[str, str]) -> None:
    text = await problem(context_of(urls, "directly", "options=endpoint%3Dquiet-sea"))
    assert "the server refuses options in DATABASE_URL: " in text
