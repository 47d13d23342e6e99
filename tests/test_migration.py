"""`aliaport migrate`: the migrations of what is selected, with nothing started."""

from pathlib import Path

import pytest

from tests.support import commands
from tests.support.commands import Done
from tests.support.distributions import install
from tests.support.postgres import TcpPostgres

GOOD = {"good": "aliaport_rogues.good:Good"}


def migrate(folder: Path, url: str = "", path: Path | None = None, **environ: str) -> Done:
    if url:
        environ["DATABASE_URL"] = url
    paths = [] if path is None else [path, Path(__file__).parent / "rogues"]
    return commands.aliaport(folder, "migrate", path=paths, environ=environ)


def tables(server: TcpPostgres, url: str) -> list[str]:
    statement = "SELECT component FROM aliaport_migrations GROUP BY 1 ORDER BY 1"
    return server.sql(statement, url.rpartition("/")[2]).splitlines()


def test_it_migrates_what_is_selected_and_then_finds_nothing(
    server: TcpPostgres, database: str, tmp_path: Path
) -> None:
    only = migrate(tmp_path, database, ALIAPORT_SELECTION__ALLOW="operations,disk")
    assert (only.code, only.out) == (0, "operations: version 5, 5 applied\n")
    assert "migration.applied" in only.err
    assert tables(server, database) == ["operations"]
    done = migrate(tmp_path, database)
    assert done.out.splitlines() == [
        "currency_sync: version 1, 1 applied",
        "operations: version 5, nothing to do",
    ]
    assert tables(server, database) == ["currency_sync", "operations"]
    assert not (tmp_path / "logs").exists(), "nothing was started"


def test_without_declared_migrations_it_needs_no_database(tmp_path: Path) -> None:
    done = migrate(tmp_path, ALIAPORT_SELECTION__ALLOW="disk", ENVIRONMENT="production")
    assert (done.code, done.out) == (0, "no selected plugin or application declares migrations\n")


PROBLEMS: dict[str, tuple[dict[str, str], int, str]] = {
    "no database": ({"ENVIRONMENT": "production"}, 2, "DATABASE_URL is not set"),
    "an unknown plugin": ({"ALIAPORT_SELECTION__ALLOW": "operation"}, 2, "did you mean 'operations'"),
    "a database that is down": (
        {"DATABASE_URL": "postgresql://a@127.0.0.1:1/b"}, 1, "nothing is listening at the address",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_problem_has_a_message_and_an_exit_code(tmp_path: Path, kind: str) -> None:
    environ, code, message = PROBLEMS[kind]
    done = commands.aliaport(tmp_path, "migrate", environ=environ)
    assert (done.code, message in done.err) == (code, True), done.err


DECLARED = {
    "aliaport_absent:STEPS": "the migrations aliaport_absent:STEPS cannot be imported: No module",
    "aliaport_rogues.good:STEPS": "the migrations aliaport_rogues.good:STEPS cannot be imported",
    "aliaport_rogues.good:Good": "is not a list of aliaport.postgres.Migration; its authors must",
}


@pytest.mark.parametrize("value", DECLARED)
def test_a_wrong_declaration_is_named(tmp_path: Path, database: str, value: str) -> None:
    site = tmp_path / "site"
    install(site, "shelves", GOOD, groups={"aliaport.migrations": {"good": value}})
    done = migrate(tmp_path, database, site, ALIAPORT_SELECTION__ALLOW="good")
    assert (done.code, DECLARED[value] in done.err) == (1, True), done.err


def test_two_plugins_of_one_name_are_refused_unless_one_is_bundled(
    tmp_path: Path, database: str
) -> None:
    site = tmp_path / "site"
    install(site, "shelves", GOOD)
    install(site, "other-shelves", GOOD)
    done = migrate(tmp_path, database, site, ALIAPORT_SELECTION__ALLOW="good")
    assert (done.code, "good is rejected: collision" in done.err) == (1, True), done.err
    install(site, "false-operations", {"operations": "aliaport_rogues.good:Good"})
    done = migrate(tmp_path, database, site, ALIAPORT_SELECTION__ALLOW="operations")
    assert (done.code, done.out) == (0, "operations: version 5, 5 applied\n")
