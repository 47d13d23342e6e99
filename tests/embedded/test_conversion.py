"""Folders of release 3.1, where the service's role was the superuser, are converted."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from aliaport.embedded import EmbeddedPostgres, default_folder
from aliaport.embedded.owner import programs, server_owner
from aliaport.embedded.roles import SUPERUSER
from aliaport.errors import StartupError
from tests.support.sql import run_sql
from tests.support.waiting import wait_until

pytestmark = pytest.mark.service

OBJECTS = """
CREATE TABLE accounts (id serial PRIMARY KEY, name text);
INSERT INTO accounts (name) VALUES ('kept');
CREATE INDEX ON accounts (name);
CREATE VIEW names AS SELECT name FROM accounts;
CREATE MATERIALIZED VIEW stored_names AS SELECT name FROM accounts;
CREATE SEQUENCE numbers;
CREATE SCHEMA "Other one";
CREATE TABLE "Other one"."Orders" (id integer GENERATED ALWAYS AS IDENTITY, at date)
    PARTITION BY RANGE (at);
CREATE TABLE "Other one".y2026 PARTITION OF "Other one"."Orders"
    FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TYPE state AS ENUM ('open');
CREATE TYPE pair AS (a integer, b integer);
CREATE DOMAIN percent AS integer;
CREATE TYPE span AS RANGE (SUBTYPE = integer);
CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE nothing() LANGUAGE sql AS '';
CREATE AGGREGATE total (integer) (SFUNC = int4pl, STYPE = integer);
SELECT lo_create(4711);
"""
OWNERS = """
SELECT string_agg(DISTINCT owner::regrole::text, ', ') FROM (
    SELECT relowner AS owner FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT proowner FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT typowner FROM pg_type WHERE oid >= 16384 AND typname NOT LIKE '%multirange'
    UNION ALL SELECT nspowner FROM pg_namespace WHERE oid >= 16384
    UNION ALL SELECT lomowner FROM pg_largeobject_metadata
    UNION ALL SELECT datdba FROM pg_database WHERE datname = 'aliaport'
) objects"""
SOCKETS = "sockets"


def run(folder: Path, program: str, *arguments: str, stdin: str = "") -> None:
    """Run one of the server's programs in the folder, as 3.1 did."""
    owner = server_owner()
    command: Any = [str(programs(owner) / program), *arguments]
    subprocess.run(
        command, input=stdin, text=True, check=True, timeout=120, cwd=folder, umask=0o077,
        stdout=subprocess.DEVNULL, user=owner.uid, group=owner.gid, extra_groups=[],
    )  # fmt: skip


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a folder as 3.1 left it, with objects of all kinds in the database."""
    folder = default_folder(tmp_path_factory.mktemp("old"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    owner = server_owner()
    os.chown(folder, owner.uid, owner.gid)
    for name in ("start.lock", "users.lock"):
        (folder / name).touch(0o600)
    run(
        folder, "initdb", "-D", "data", "-U", "aliaport", "-A", "trust", "-E", "UTF8",
        "--locale=C", "--no-sync",
    )  # fmt: skip
    run(folder, "postgres", "--single", "-D", "data", "postgres", stdin="CREATE DATABASE aliaport;")
    start_old(folder, str(folder))
    run_sql(f"postgresql://aliaport@/aliaport?host={folder}", OBJECTS)
    run(folder, "pg_ctl", "stop", "-D", "data", "-w")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def start_old(folder: Path, sockets: str) -> None:
    options = f"-c listen_addresses='' -c shared_buffers=16MB -k {sockets}"
    run(folder, "pg_ctl", "start", "-w", "-D", "data", "-l", "server.log", "-o", options)


@pytest.fixture
def old(original: Path, folder: Path) -> Path:
    """Return a copy of the folder."""
    subprocess.run(["cp", "-a", str(original), str(folder)], check=True)
    return folder


def assert_converted(url: str) -> None:
    roles = "SELECT string_agg(rolname, ' ' ORDER BY oid) FROM pg_roles WHERE rolsuper"
    assert run_sql(url, roles) == SUPERUSER
    assert run_sql(url, OWNERS) == "aliaport"
    run_sql(
        url,
        "INSERT INTO accounts (name) VALUES ('added'); ALTER TABLE accounts ADD note text;"
        'INSERT INTO "Other one"."Orders" (at) VALUES (\'2026-02-03\'); DROP TYPE span;'
        "DROP AGGREGATE total (integer); CREATE TABLE later (id integer); CALL nothing()",
    )
    assert run_sql(url, "SELECT string_agg(name, ' ') FROM accounts") == "kept added"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="external program"):
        run_sql(url, "COPY (SELECT 1) TO PROGRAM 'id'")


def test_a_folder_is_converted_once_and_keeps_everything(old: Path) -> None:
    server = EmbeddedPostgres(old)
    url = server.start()
    assert_converted(url)
    server.stop()
    again = EmbeddedPostgres(old)
    assert run_sql(again.start(), "SELECT count(*) FROM accounts") == "2"
    again.stop()


def test_a_running_server_is_converted(old: Path) -> None:
    start_old(old, str(old))  # left by a service of 3.1 that was killed
    server = EmbeddedPostgres(old)
    assert_converted(server.start())
    server.stop()


def test_a_conversion_that_was_killed_is_repeated(old: Path) -> None:
    """The server dies in the middle; the next start finds it unconverted and whole."""
    sockets = old / SOCKETS
    sockets.mkdir(mode=0o700)
    owner = server_owner()
    os.chown(sockets, owner.uid, owner.gid)
    start_old(old, str(sockets))
    url = f"postgresql://aliaport@/aliaport?host={sockets}"
    # A lock on a table stops the conversion before it commits.
    with ThreadPoolExecutor(2) as pool:
        holder = pool.submit(run_sql, url, "BEGIN; LOCK TABLE accounts; SELECT pg_sleep(50)")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        held = "SELECT count(*) FROM pg_locks WHERE relation = 'accounts'::regclass AND granted"
        wait_until(lambda: run_sql(url, held) == "1", "the table is locked")
        starting = pool.submit(EmbeddedPostgres(old).start)
        wait_until(lambda: run_sql(url, waiting) == "1", "the conversion waits for the lock")
        leader = int((old / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(leader, signal.SIGQUIT)
        with pytest.raises(StartupError, match="psql of the embedded database failed"):
            starting.result(60)
        assert holder.exception(60) is not None
    server = EmbeddedPostgres(old)
    assert_converted(server.start())
    server.stop()
