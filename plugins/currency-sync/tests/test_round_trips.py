"""The probe needs few round trips, so that it works over a slow network."""

from typing import Any

from aliaport_currency_sync.business_days import BusinessDays
from aliaport_currency_sync.coverage import CoverageReader
from aliaport_currency_sync.plugin import CurrencySyncPlugin
from aliaport_currency_sync.schema import prepare

from aliaport import postgres
from aliaport.testing import FakeClock, make_context, run_plugin
from tests.support.fixtures import Rows
from tests.support.tcmb import istanbul
from tests.support.waiting import wait_until

PIDS = """SELECT pid FROM pg_stat_activity
WHERE application_name = 'aliaport-currency_sync' AND datname = current_database()"""


def test_the_connection_of_the_probe_is_open_before_its_first_run(
    database: str, rows: Rows
) -> None:
    with run_plugin(CurrencySyncPlugin, {}, database_url=database, jobs=False) as plugin:
        wait_until(lambda: len(rows(PIDS)) == 1, "that of the migrations is closed")
        before = rows(PIDS)
        assert plugin.probe("currency_rates").code == "no_bulletin"
        assert rows(PIDS) == before


async def test_no_statement_needs_the_catalog_for_its_types(database: str) -> None:
    context = make_context("currency_sync", database_url=database)
    await prepare(context)
    connection = await postgres.connect(context, component="currency_sync")
    types: set[str] = set()

    async def fetch(statement: str, *arguments: Any) -> list[Any]:
        prepared = await connection.prepare(statement)
        types.update(parameter.name for parameter in prepared.get_parameters())
        types.update(column.type.name for column in prepared.get_attributes())
        return list(await prepared.fetch(*arguments))

    clock = FakeClock(istanbul("2026-11-24 16:00"))
    coverage = await CoverageReader(BusinessDays(), None, clock).read(fetch)
    assert coverage.missing
    assert {name for name in types if name.endswith("[]")} == {"text[]"}, "asyncpg knows this one"
    await postgres.close(connection)
