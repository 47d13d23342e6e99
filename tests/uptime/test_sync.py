"""`sync` creates and updates the monitors of the list, and touches nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uptime_robot

from tests.support.commands import Done, captured
from tests.support.scripts import script
from tests.uptime.stand_in import CONTACTS, KEY, Robot, refusal

pytestmark = pytest.mark.service

UPTIME = Path(__file__).parents[2] / "deploy/uptime"
OUTSIDE = ["Production Health", "Production Ready", "Production API", "Staging Health"]
SYNC = script(UPTIME / "sync")
MINE = {"friendlyName": "A page of somebody else", "url": "https://example.com", "interval": 60}


@pytest.fixture
def robot() -> Iterator[Robot]:
    with Robot() as robot:
        yield robot


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    return file


def sync(robot: Robot, key: Path, *options: str, code: int = 0) -> Done:
    arguments = ["--key-file", str(key), "--url", robot.url, "--per-minute", "1000", *options]
    done = captured(lambda: int(SYNC.main(arguments)))
    assert done.code == code, done.out + done.err
    assert KEY not in done.out + done.err
    return done


def outcomes(written: str) -> list[tuple[str, str]]:
    lines = [line.partition("  [aliaport] ") for line in written.splitlines()]
    return [(outcome, name) for outcome, _, name in lines]


def test_a_separate_process_needs_no_packages_and_exits_with_the_right_code(
    robot: Robot, key: Path
) -> None:
    def sync_process(*options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-S", "-B", str(UPTIME / "sync"), "--key-file", str(key),
             "--url", robot.url, *options],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    assert os.access(UPTIME / "sync", os.X_OK)
    done = sync_process("--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert outcomes(done.stdout) == [("would be created", name) for name in OUTSIDE]
    robot.script.append(refusal(500))
    refused = sync_process()
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("sync: ")
    wrong = sync_process("--per-minute", "0")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "must be more than 0" in wrong.stderr


def test_the_first_run_creates_all_and_the_second_changes_nothing(robot: Robot, key: Path) -> None:
    robot.add(**MINE)
    assert outcomes(sync(robot, key).out) == [("created", name) for name in OUTSIDE]
    assert len(robot.monitors) == 1 + len(OUTSIDE)
    robot.requests.clear()
    assert outcomes(sync(robot, key).out) == [("unchanged", name) for name in OUTSIDE]
    assert robot.changes() == []


def test_the_fields_of_a_monitor(robot: Robot, key: Path) -> None:
    sync(robot, key)
    (api,) = [
        monitor for monitor in robot.monitors.values() if monitor["url"].endswith("/api/cari")
    ]
    assert api == {
        "id": api["id"],
        "status": "UP",
        "friendlyName": "[aliaport] Production API",
        "url": "https://aliaport.com/api/cari",
        "type": "KEYWORD",
        "interval": 300,
        "timeout": 10,
        "httpMethodType": "GET",
        "successHttpResponseCodes": ["401"],
        "keywordType": "ALERT_NOT_EXISTS",
        "keywordValue": '"code":"not_signed_in"',
        "assignedAlertContacts": [
            {"alertContactId": number, "threshold": 0, "recurrence": 0} for number in (11, 12, 13)
        ],
    }


def test_a_change_by_hand_is_undone_and_nothing_else_is_sent(robot: Robot, key: Path) -> None:
    sync(robot, key)
    number = next(iter(robot.monitors))
    robot.monitors[number] |= {"interval": 60, "keywordValue": "x", "tags": ["by hand"]}
    robot.requests.clear()
    done = sync(robot, key)
    assert outcomes(done.out)[0] == ("changed", "Production Health (interval, keywordValue)")
    body = {"interval": 300, "keywordValue": '"status":"healthy"'}
    assert robot.changes() == [("PATCH", f"monitors/{number}", body)]


def test_extra_fields_of_a_contact_are_not_a_change(robot: Robot, key: Path) -> None:
    sync(robot, key)
    for monitor in robot.monitors.values():
        for contact in monitor["assignedAlertContacts"]:
            contact["alertContactId"] = str(contact["alertContactId"])
            contact["type"] = "EMAIL"
    assert {outcome for outcome, _ in outcomes(sync(robot, key).out)} == {"unchanged"}


def test_a_dry_run_only_reads(robot: Robot, key: Path) -> None:
    done = sync(robot, key, "--dry-run")
    assert outcomes(done.out) == [("would be created", name) for name in OUTSIDE]
    assert robot.changes() == []


def test_our_surplus_monitors_are_reported_and_deleted_only_on_request(
    robot: Robot, key: Path
) -> None:
    mine = robot.add(**MINE)
    robot.add(friendlyName="[aliaport] Old page", url="https://aliaport.com/old")
    sync(robot, key)
    robot.add(**robot.monitors[max(robot.monitors)] | {"id": max(robot.monitors) + 1})
    surplus = {("surplus", "Staging Health"), ("surplus", "Old page")}
    assert surplus <= set(outcomes(sync(robot, key).out)), (
        "a second monitor of the same name is surplus too"
    )
    assert robot.changes()[len(OUTSIDE) :] == []
    done = sync(robot, key, "--delete", "--dry-run")
    assert ("would be deleted", "Old page") in outcomes(done.out)
    assert ("deleted", "Old page") in outcomes(sync(robot, key, "--delete").out)
    assert mine in robot.monitors
    assert len(robot.monitors) == 1 + len(OUTSIDE)


def test_it_waits_for_the_servers_limit(robot: Robot) -> None:
    robot.script += [refusal(429, **{"Retry-After": "1"}), refusal(429, **{"Retry-After": "7"})]
    waited: list[float] = []
    client = uptime_robot.Robot(robot.url, KEY, per_minute=1000, sleep=waited.append)
    assert client.contacts() == CONTACTS
    assert waited == [1.0, 7.0]


def test_too_long_a_limit_is_an_error(robot: Robot, key: Path) -> None:
    robot.script.append(refusal(429, **{"Retry-After": "3600"}))
    assert "requires a wait of 3600 s; run this again later" in sync(robot, key, code=1).err


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "403 to GET user/alert-contacts: not now; the key is read-only"), (500, "500 to GET")],
)
def test_a_refusal_is_one_line(robot: Robot, key: Path, status: int, message: str) -> None:
    robot.script.append(refusal(status))
    done = sync(robot, key, code=1)
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_a_wrong_key_an_unknown_contact_and_a_next_page_elsewhere(
    robot: Robot, key: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "monitors.toml"
    listed.write_text((UPTIME / "monitors.toml").read_text().replace('"SMS"', '"Pager"'))
    done = sync(robot, key, "--list", str(listed), code=1)
    assert (
        "UptimeRobot has no contact 'Pager'; it has: Operators, #aliaport-alerts, SMS" in done.err
    )
    robot.next_link = "https://elsewhere.example.com/v3/monitors?cursor=1"
    assert "its next page is on another server" in sync(robot, key, code=1).err
    key.write_text("another-key")
    assert "401 to GET user/alert-contacts" in sync(robot, key, code=1).err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("interval = 600", "interval = 5", "interval must be from 30 to 86400 seconds"),
        ("interval = 600", "intervall = 600", "intervall is unknown"),
        ("interval = 600", 'interval = "600"', "interval has a value of the wrong type: '600'"),
        ("interval = 600\n", "", "nothing checks it"),
        ('"Staging Health"', '"Production API"', "name 'Production API' is used twice"),
        ("https://staging.", "staging.", "write the url as https://host/path"),
        ('monitor = "ready"\n', "", "set both monitor and module, or neither"),
        ("[[monitors]]", "[[monitors]", "cannot be read"),
    ],
)
def test_a_wrong_list_is_reported_before_any_request(
    robot: Robot, key: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    listed = tmp_path / "monitors.toml"
    text = (UPTIME / "monitors.toml").read_text()
    assert old in text
    listed.write_text(text.replace(old, new, 1) if "[[" in old else text.replace(old, new))
    assert message in sync(robot, key, "--list", str(listed), code=2).err
    assert robot.requests == []


def test_wrong_commands(robot: Robot, key: Path, tmp_path: Path) -> None:
    key.write_text("two words")
    assert "must contain only the API key" in sync(robot, key, code=2).err
    assert "cannot be read" in sync(robot, tmp_path / "absent", code=2).err
