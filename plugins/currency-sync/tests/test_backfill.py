"""Tests the plugin's command as an operator types it."""

import os
import pty
import subprocess
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from aliaport_currency_sync import backfill as backfilling
from aliaport_currency_sync.cli import main

from tests.support.commands import Finished, installed, invoke
from tests.support.fixtures import Rows
from tests.support.tcmb import Tcmb, archive_path, document, error_page

pytestmark = pytest.mark.service


def environ(tcmb: Tcmb, database: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database,
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
        "ALIAPORT_PLUGINS__CURRENCY_SYNC__REQUEST_INTERVAL": "0",
    }


def backfill(folder: Path, variables: dict[str, str], *arguments: str) -> Finished:
    """Run the command in this process."""
    return invoke(main, "backfill", *arguments, folder=folder, environ=variables)


def installed_backfill(folder: Path, variables: dict[str, str], *arguments: str) -> Finished:
    """Run the installed program."""
    return subprocess.run(
        [*installed("aliaport-currency-sync"), "backfill", *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_range_is_stored_once_even_if_the_command_is_repeated(
    tcmb: Tcmb, database: str, rows: Rows, tmp_path: Path
) -> None:
    # Around the nine days of Kurban Bayramı 2026; two days have no file.
    days = [date(2026, 5, day) for day in (20, 21, 22, 25)] + [date(2026, 6, 1), date(2026, 6, 2)]
    tcmb.publish(*days)
    variables = environ(tcmb, database)
    first = installed_backfill(tmp_path, variables, "--from", "2026-05-20", "--to", "2026-06-03")
    assert first.returncode == 0, first.stderr
    assert first.stdout == "2026-05-20 to 2026-06-03: 8 days: 6 stored, 2 no file\n"
    open_days = [*days[:4], date(2026, 5, 26), *days[4:], date(2026, 6, 3)]
    assert tcmb.paths() == [archive_path(day) for day in open_days], "closed days are not requested"
    content = "SELECT * FROM aliaport_currency_bulletins b JOIN aliaport_currency_rates r USING (day, revision) ORDER BY day, code"
    before = rows(content)
    assert len(before) == 9 * 6
    tcmb.requests.clear()
    again = backfill(tmp_path, variables, "--from", "2026-05-20", "--to", "2026-06-03")
    assert again.stdout == "2026-05-20 to 2026-06-03: 8 days: 6 stored before, 2 no file\n"
    assert len(tcmb.requests) == 2
    whole = backfill(tmp_path, variables, "--from", "2026-05-20", "--to", "2026-06-03", "--again")
    assert whole.stdout == "2026-05-20 to 2026-06-03: 8 days: 6 unchanged, 2 no file\n"
    assert rows(content) == before


def test_again_finds_corrections(tcmb: Tcmb, database: str, rows: Rows, tmp_path: Path) -> None:
    day = date(2026, 6, 1)
    tcmb.publish(day)
    variables = environ(tcmb, database)
    backfill(tmp_path, variables, "--from", str(day), "--to", str(day))
    tcmb.publish(day, percent=1)
    done = backfill(tmp_path, variables, "--from", str(day), "--to", str(day), "--again")
    assert done.stdout == "2026-06-01 to 2026-06-01: 1 day: 1 stored\n"
    assert "currency_sync.revised" in done.stderr
    assert rows("SELECT revision FROM aliaport_currency_bulletins ORDER BY 1") == ["1", "2"]


def test_bulletins_of_2010_are_stored(
    tcmb: Tcmb, database: str, rows: Rows, tmp_path: Path
) -> None:
    published = Path(__file__).with_name("published") / "2010-08-06.xml"
    tcmb.bulletins[date(2010, 8, 6)] = published.read_bytes()
    day = ("--from", "2010-08-06", "--to", "2010-08-06")
    done = backfill(tmp_path, environ(tcmb, database), *day)
    assert done.stdout == "2010-08-06 to 2010-08-06: 1 day: 1 stored\n"
    count = "SELECT b.number, count(*) FROM aliaport_currency_bulletins b"
    assert rows(f"{count} JOIN aliaport_currency_rates USING (day) GROUP BY 1") == ["|17"]


def test_jumps_are_sought_since_the_business_day_before_only(
    tcmb: Tcmb, database: str, rows: Rows, tmp_path: Path
) -> None:
    # The last two surround Kurban Bayramı, and are neighbours.
    days = [date(2013, 6, 3), date(2026, 5, 22), date(2026, 5, 25), date(2026, 6, 1)]
    for day, percent in zip(days, (-95, 0, 0, 20), strict=True):
        tcmb.publish(day, percent=percent)
    variables = environ(tcmb, database)
    backfill(tmp_path, variables, "--from", "2026-05-22", "--to", "2026-06-01")
    done = backfill(tmp_path, variables, "--from", "2013-06-03", "--to", "2013-06-03")
    assert "1 stored" in done.stdout
    assert "currency_sync.jumped" not in done.stderr
    jumps = "SELECT day, jump_percent FROM aliaport_currency_rates WHERE jump_percent IS NOT NULL"
    assert rows(f"{jumps} AND code = 'USD'") == ["2026-06-01|20.00"]


def test_rejected_days_are_listed_and_the_others_stored(
    tcmb: Tcmb, database: str, rows: Rows, tmp_path: Path
) -> None:
    tcmb.publish(date(2026, 6, 1), date(2026, 6, 2))
    tcmb.bulletins[date(2026, 6, 1)] = document(date(2026, 6, 1))[:900]
    variables = environ(tcmb, database)
    done = installed_backfill(tmp_path, variables, "--from", "2026-06-01", "--to", "2026-06-02")
    assert done.returncode == 1
    assert "refused: 2026-06-01: not_xml: " in done.stderr
    assert rows("SELECT day FROM aliaport_currency_bulletins") == ["2026-06-02"]


def test_a_terminal_shows_a_progress_bar(tcmb: Tcmb, database: str, tmp_path: Path) -> None:
    tcmb.publish(date(2026, 6, 1))
    leader, follower = pty.openpty()
    command = ["backfill", "--from", "2026-06-01", "--to", "2026-06-01"]
    process = subprocess.Popen(
        [*installed("aliaport-currency-sync"), *command],
        cwd=tmp_path,
        env={**environ(tcmb, database), "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    os.close(follower)
    shown = _read_terminal(leader)
    assert process.wait(60) == 0, shown
    assert "━" in shown
    assert "1/1" in shown


def _read_terminal(leader: int) -> str:
    """Return all that is written until no process has the terminal open; then close it."""
    shown = b""
    with suppress(OSError):  # Linux reports the end as an error
        while True:
            shown += os.read(leader, 4096)
    os.close(leader)
    return shown.decode()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing option '--from'"),
        (["--from", "1.6.2026"], "does not match the format"),
        (["--from", "2004-12-31", "--to", "2005-01-05"], "must be 2005-01-01 or later"),
        (["--from", "2026-06-02", "--to", "2026-06-01"], "must not be after the last day"),
        (["--from", "2999-01-01"], "must not be after the last day"),
        (["--from", "2026-06-01", "--config", "nowhere.toml"], "nowhere.toml: No such file"),
    ],
)
def test_wrong_arguments_are_explained(
    tcmb: Tcmb, database: str, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = backfill(tmp_path, environ(tcmb, database), *arguments)
    assert done.returncode == 2
    assert message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert tcmb.requests == []


def test_a_wrong_option_and_an_unreachable_database_fail_clearly(
    tcmb: Tcmb, tmp_path: Path
) -> None:
    unreachable = environ(tcmb, "postgresql://aliaport:geheim@127.0.0.1:1/service")
    done = backfill(tmp_path, unreachable, "--from", "2026-06-01", "--to", "2026-06-02")
    assert done.returncode == 1
    assert "cannot use the database" in done.stderr
    assert "geheim" not in done.stderr
    wrong = backfill(
        tmp_path,
        {**unreachable, "ALIAPORT_PLUGINS__CURRENCY_SYNC__JUMP_PERCENT": "much"},
        "--from", "2026-06-01",
    )  # fmt: skip
    assert wrong.returncode == 2
    assert "ALIAPORT_PLUGINS__CURRENCY_SYNC__JUMP_PERCENT" in wrong.stderr


def test_an_unavailable_source_stops_it_and_keeps_what_is_stored(
    tcmb: Tcmb, database: str, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tcmb.publish(date(2026, 6, 1), date(2026, 6, 2))
    tcmb.behave(archive_path(date(2026, 6, 2)), error_page(503))
    monkeypatch.setattr(backfilling, "PAUSES", (0.01, 0.01))
    variables = environ(tcmb, database)
    done = backfill(tmp_path, variables, "--from", "2026-06-01", "--to", "2026-06-02")
    assert done.returncode == 1
    assert "2026-06-02: the source is unavailable" in done.stderr
    assert "run the same command again later" in done.stderr
    assert tcmb.paths().count(archive_path(date(2026, 6, 2))) == 3
    assert rows("SELECT day FROM aliaport_currency_bulletins") == ["2026-06-01"]


def test_in_development_it_uses_the_embedded_database_of_the_folder(
    tcmb: Tcmb, tmp_path: Path, embedded_folder: Path
) -> None:
    tcmb.publish(date(2026, 6, 1))
    variables = {**environ(tcmb, ""), "HOME": str(tmp_path)}
    del variables["DATABASE_URL"]
    for expected in ("1 stored", "1 stored before"):
        day = ("--from", "2026-06-01", "--to", "2026-06-01")
        done = installed_backfill(embedded_folder, variables, *day)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
