"""Tests of `aliaport-operations seed`: its rows are like rows that the API wrote."""

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from stdnum.tr import tckimlik, vkn

from tests.support.commands import installed
from tests.support.operations import CARI, GATE, ORDER, Operations, serve
from tests.support.operations_clerks import BROKEN_HISTORIES, check_gauges
from tests.support.postgres import TcpPostgres
from tests.support.waiting import wait_until

TABLES = ("accounts", "work_orders", "work_order_changes", "gate_logs")
OUT_OF_TIME = """
SELECT 'order before its account', o.id FROM aliaport_operations_work_orders o
JOIN aliaport_operations_accounts a ON a.id = o.account_id WHERE o.created_at < a.created_at
UNION ALL
SELECT 'order after the end of its account', o.id FROM aliaport_operations_work_orders o
JOIN aliaport_operations_accounts a ON a.id = o.account_id WHERE o.created_at > a.deactivated_at
UNION ALL
SELECT 'passage before its order', g.id FROM aliaport_operations_gate_logs g
JOIN aliaport_operations_work_orders o ON o.id = g.work_order_id WHERE g.passed_at < o.created_at
UNION ALL
SELECT 'change before its order', o.id FROM aliaport_operations_work_orders o
JOIN aliaport_operations_work_order_changes h ON h.work_order_id = o.id
WHERE h.changed_at < o.created_at
LIMIT 5"""
IN_THE_FUTURE = """
SELECT greatest(
    (SELECT max(greatest(created_at, changed_at, deactivated_at))
     FROM aliaport_operations_accounts),
    (SELECT max(greatest(created_at, changed_at)) FROM aliaport_operations_work_orders),
    (SELECT max(passed_at) FROM aliaport_operations_gate_logs)) > now()"""


@pytest.fixture(scope="module")
def seeded(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    """Start a service and seed its database."""
    with serve(server, tmp_path_factory.mktemp("operations") / "run") as api:
        done = api.command("seed", "--accounts", "300", "--seed", "7")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "accounts: 300, work orders: 600, gate logs: 1200, from seed 7\n"
        assert done.stderr == "", "there is no progress bar without a terminal"
        yield api


@pytest.fixture
def empty(seeded: Operations) -> Operations:
    """Return the same service with another, empty database for commands."""
    return replace(seeded, database=seeded.server.new_database("seed"))


def fingerprint(api: Operations) -> dict[str, str]:
    """Return a hash of each table's rows, ignoring their authors."""
    return {
        table: api.sql(
            "SELECT count(*), md5(string_agg(row::text, ' ' ORDER BY row)) FROM (SELECT "
            "to_jsonb(t) - '{created_by,changed_by}'::text[] AS row "
            f"FROM aliaport_operations_{table} t) AS rows"
        )
        for table in TABLES
    }


def counts(api: Operations) -> list[int]:
    return [int(api.sql(f"SELECT count(*) FROM aliaport_operations_{table}")) for table in TABLES]


def test_the_same_seed_gives_the_same_rows(seeded: Operations, empty: Operations) -> None:
    # IDs of other users make no difference.
    assert empty.invoke("user", "list").returncode == 0
    for number in range(3):
        empty.add_user(f"user-{number}")
    done = empty.invoke("seed", "--accounts", "300", "--seed", "7")
    assert done.returncode == 0, done.stderr
    assert fingerprint(empty) == fingerprint(seeded)


def test_another_seed_gives_other_rows_of_any_size(seeded: Operations, empty: Operations) -> None:
    # More than one batch.
    arguments = ("--accounts", "5001", "--orders", "10", "--gate-logs", "0", "--seed", "8")
    done = empty.invoke("seed", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "accounts: 5001, work orders: 10, gate logs: 0, from seed 8\n"
    accounts, orders, _, gate_logs = counts(empty)
    assert (accounts, orders, gate_logs) == (5001, 10, 0)
    first = "SELECT title FROM aliaport_operations_accounts WHERE id <= 100 ORDER BY id"
    assert seeded.sql(first) != empty.sql(first)


def test_the_rows_are_valid_for_the_api(seeded: Operations) -> None:
    assert seeded.sql(BROKEN_HISTORIES) == ""
    numbers = seeded.sql("SELECT tax_number FROM aliaport_operations_accounts").splitlines()
    assert {len(number) for number in numbers} == {10, 11}
    for number in numbers:
        (vkn if len(number) == 10 else tckimlik).validate(number)
    versions = """
        SELECT count(*) FROM aliaport_operations_work_orders o WHERE version <> 1 + (
            SELECT count(*) FROM aliaport_operations_work_order_changes
            WHERE work_order_id = o.id)"""
    assert seeded.sql(versions) == "0"
    statuses = "SELECT count(DISTINCT status) FROM aliaport_operations_work_orders"
    assert seeded.sql(statuses) == "5", "every status occurs"
    check_gauges(seeded)
    # The API must accept its own rows in a PUT.
    for account in seeded.data("GET", CARI, limit=20)["items"]:
        body = {key: account[key] for key in (
            "code", "title", "kind", "tax_number", "currency", "contact", "version"
        )}  # fmt: skip
        assert seeded.data("PUT", f"{CARI}/{account['id']}", body)["title"] == account["title"]


def test_the_times_are_consistent(seeded: Operations) -> None:
    assert seeded.sql(OUT_OF_TIME) == ""
    assert seeded.sql(IN_THE_FUTURE) == "f"


def test_the_api_lists_and_searches_the_rows_and_continues_their_ids(seeded: Operations) -> None:
    some = seeded.data("GET", f"{CARI}/150")
    town, trade, *_ = some["title"].split()
    found = seeded.data("GET", CARI, q=f"{trade.upper()} {town[:4].lower()} 150")["items"]
    assert [account["id"] for account in found] == [150]
    order = seeded.data("GET", f"{ORDER}/600")
    listed = seeded.data("GET", ORDER, account_id=order["account"]["id"])["items"]
    assert listed[0] == order
    moves = seeded.data("GET", f"{ORDER}/600/history")["items"]
    assert len(moves) == order["version"] - 1
    passage = seeded.data("GET", f"{GATE}/1200")
    assert passage in seeded.data("GET", GATE, plate=passage["plate"])["items"]
    active = seeded.data("GET", CARI, state="active", limit=1)["items"][0]
    assert seeded.order(account_id=active["id"])["id"] == 601
    assert seeded.account()["id"] == 301
    assert seeded.data("POST", GATE, {"direction": "in", "plate": "34AB1"})["id"] == 1201
    assert seeded.sign_in("seed", "a password for nobody").status == 401


def test_a_database_with_accounts_is_refused(seeded: Operations) -> None:
    before = counts(seeded)
    done = seeded.invoke("seed", "--accounts", "10")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the database already has accounts" in done.stderr
    assert counts(seeded) == before


def test_production_is_refused(seeded: Operations, empty: Operations) -> None:
    done = empty.invoke("seed", "--accounts", "10", ENVIRONMENT="production")
    assert (done.returncode, done.stdout) == (1, "")
    assert "production" in done.stderr
    assert counts(empty) == [0, 0, 0, 0]


def test_only_a_successful_command_is_in_the_audit_log(empty: Operations, tmp_path: Path) -> None:
    def recorded() -> int:
        logs = (tmp_path / "logs").glob("audit.log*")
        return sum(log.read_text().count('"data.seeded"') > 0 for log in logs)

    environ = {"ALIAPORT_LOG__FOLDER": str(tmp_path / "logs")}
    assert empty.invoke("seed", "--accounts", "10", **environ).returncode == 0
    assert recorded() == 1
    assert empty.invoke("seed", "--accounts", "10", **environ).returncode == 1
    assert recorded() == 1, "a refused command is not recorded"


@pytest.mark.parametrize("arguments", [["--accounts", "0"], ["--orders", "-1"], ["--seed", "x"]])
def test_invalid_sizes_are_reported(seeded: Operations, arguments: list[str]) -> None:
    done = seeded.invoke("seed", *arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert "Traceback" not in done.stderr


class Terminal:
    """The command on its own terminal."""

    def __init__(self, api: Operations, *arguments: str) -> None:
        self.leader, follower = pty.openpty()
        os.set_blocking(self.leader, False)
        self.shown = ""
        self.process = subprocess.Popen(
            [*installed("aliaport-operations"), "seed", *arguments],
            env=api.environ | {"TERM": "xterm", "COLUMNS": "100"},
            cwd=api.service.folder,
            stdout=follower,
            stderr=follower,
        )
        os.close(follower)

    def read(self) -> str:
        """Return the output so far."""
        try:
            while chunk := os.read(self.leader, 65536):
                self.shown += chunk.decode(errors="replace")
        except OSError:  # nothing to read now, or the other end is closed
            pass
        return self.shown

    def end(self) -> int:
        """Wait for the command, and return its exit code."""

        def ended() -> bool:
            self.read()
            return self.process.poll() is not None

        wait_until(ended, "the command ends", 60)
        self.read()
        os.close(self.leader)
        return int(self.process.returncode)


def test_a_terminal_gets_a_progress_bar(empty: Operations) -> None:
    terminal = Terminal(empty, "--accounts", "50")
    assert terminal.end() == 0, terminal.shown
    for table, rows in (("accounts", 50), ("work_orders", 100), ("gate_logs", 200)):
        assert table in terminal.shown
        assert f"{rows}/{rows}" in terminal.shown
    assert "accounts: 50, work orders: 100, gate logs: 200, from seed 1" in terminal.shown


@pytest.mark.parametrize("table", ["accounts", "gate_logs"])
def test_an_interrupt_leaves_nothing_behind(empty: Operations, table: str) -> None:
    size = {"accounts": ("100000", "0", "0"), "gate_logs": ("1", "0", "400000")}[table]
    names = ("--accounts", "--orders", "--gate-logs")
    terminal = Terminal(empty, *(word for pair in zip(names, size, strict=True) for word in pair))
    total = max(map(int, size))
    some = re.compile(rf"{table}.* [1-9][0-9]*/{total}")
    wait_until(lambda: some.search(terminal.read()), "some rows are written", 60)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130, terminal.shown
    assert "Traceback" not in terminal.shown
    assert counts(empty) == [0, 0, 0, 0]
    users = "SELECT count(*) FROM aliaport_operations_users"
    assert empty.sql(users) == "0"
    # It can be run again.
    assert empty.invoke("seed", "--accounts", "10").returncode == 0
    assert counts(empty)[0] == 10
