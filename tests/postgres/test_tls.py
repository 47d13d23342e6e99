"""Which database servers are verified before they receive the password."""

import pytest

from aliaport.postgres import tls
from aliaport.settings.database_url import DatabaseUrl


def unverified_server(url: str) -> str:
    return tls.unverified_server(DatabaseUrl.parse(url).resolved())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://a:b@db.example.org/x?sslmode=verify-full&sslrootcert=/ca.crt",
        "postgresql://a:b@one.example.org,two.example.org:5433/x?sslmode=verify-full",
        "postgresql://a:b@localhost:5432/x",
        "postgresql://a:b@127.0.0.1/x?sslmode=disable",
        "postgresql://a:b@[::ffff:127.0.0.1]:5432/x",
        "postgresql://a:b@LocalHost/x",
        "postgresql://a:b@[::1]:5432/x",
        "postgresql://a@/x?host=/run/postgresql",
        "postgresql://a@%2Frun%2Fpostgresql/x",
        "postgresql:///x",
    ],
)
def test_verified_and_local_servers(url: str) -> None:
    assert unverified_server(url) == ""


@pytest.mark.parametrize(
    ("url", "host", "mode"),
    [
        ("postgresql://a:Kal3m@db.example.org:5432/x", "db.example.org", "prefer"),
        ("postgres://a:Kal3m@10.0.0.7/x?sslmode=require", "10.0.0.7", "require"),
        ("postgresql://a:Kal3m@db/x?sslmode=verify-ca", "db", "verify-ca"),
        ("postgresql://a:Kal3m@[2001:db8::1]:5432/x", "2001:db8::1", "prefer"),
        ("postgresql://a:Kal3m@localhost,db2:5433/x", "db2", "prefer"),
        ("postgresql://a:Kal3m@/x?host=db3&sslmode=disable", "db3", "disable"),
        ("postgresql://a:K%40l3m@localhost.example.org/x", "localhost.example.org", "prefer"),
    ],
)
def test_another_machine_without_verification_is_named(url: str, host: str, mode: str) -> None:
    problem = unverified_server(url)
    assert problem.startswith(f"the database server at {host} is not verified (sslmode={mode})")
    assert "l3m" not in problem


def test_the_environment_applies_as_in_asyncpg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert "db.example.org" in unverified_server("postgresql://a:b@/x")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert unverified_server("postgresql://a:b@/x") == ""
