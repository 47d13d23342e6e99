"""Tests of `aliaport-operations user`, which manages users on the command line."""

import fcntl
import json
import os
import pty
import pwd
import select
import signal
import subprocess
import termios
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.support.commands import installed
from tests.support.operations import PASSWORD, Operations
from tests.support.service import free_port

NEW = "ganz andere Worte 7"
OPERATOR = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def name() -> str:
    return f"u{uuid.uuid4().hex[:10]}"


def user(api: Operations, *arguments: str, typed: str | None = None, **environ: str) -> str:
    """Run `user …`, which must succeed, and return its output."""
    done = api.invoke("user", *arguments, typed=typed, **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def add(api: Operations, name: str, role: str = "clerk") -> str:
    return user(api, "add", name, "--role", role, "--password-stdin", typed=f"{PASSWORD}\n")


def rows(api: Operations) -> str:
    """Return everything that the command can change."""
    return api.sql("SELECT u::text FROM aliaport_operations_users u ORDER BY id") + api.sql(
        "SELECT s::text FROM aliaport_operations_sessions s ORDER BY token_hash"
    )


def recorded(api: Operations, user: str) -> list[dict[str, Any]]:
    """Return the events about a user in the audit logs of commands, in order."""
    lines = [
        json.loads(line)
        for path in (api.service.folder / "logs").glob("audit.log.*")
        for line in path.read_text().splitlines()
    ]
    about = [line for line in lines if line.get("user.name") == user]
    return sorted(about, key=lambda event: str(event["@timestamp"]))


def me(api: Operations, token: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"}
    return api.call("GET", "/auth/me", role=None, headers=bearer).status


def test_a_user_is_added_listed_disabled_and_enabled(api: Operations, name: str) -> None:
    assert add(api, name, "viewer") == f"added {name} with the role viewer\n"
    token = api.token(name)
    assert user(api, "disable", name) == f"{name} is disabled; sessions ended: 1\n"
    assert (me(api, token), api.sign_in(name).status) == (401, 401)
    (line,) = [row for row in user(api, "list").splitlines() if name in row]
    days = api.sql(
        "SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), "
        "to_char(disabled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') "
        f"FROM aliaport_operations_users WHERE name = '{name}'"
    )
    assert [cell.strip() for cell in line.split("│")[1:-1]] == [name, "viewer", *days.split("|")]
    assert user(api, "enable", name) == f"{name} is enabled\n"
    assert me(api, token) == 401, "an ended session stays ended"
    assert api.sign_in(name).status == 200
    added, disabled, enabled = recorded(api, name)
    assert (added["message"], added["labels.role"]) == ("user.added", "viewer")
    assert disabled["message"] == "user.disabled"
    assert disabled["aliaport.numbers.ended_sessions"] == 1
    assert enabled["message"] == "user.enabled"
    assert {event["event.outcome"] for event in (added, disabled, enabled)} == {"success"}
    assert {event["labels.operator"] for event in (added, disabled, enabled)} == {OPERATOR}


def test_a_changed_role_applies_to_an_open_session(api: Operations, name: str) -> None:
    api.add_user(name, "viewer")
    token = api.token(name)
    assert user(api, "role", name, "--role", "admin") == f"{name} now has the role admin\n"
    bearer = {"Authorization": f"Bearer {token}"}
    me = api.data("GET", "/auth/me", role=None, headers=bearer)
    assert me["user"] == {"name": name, "role": "admin"}
    (event,) = recorded(api, name)
    assert (event["message"], event["labels.role"]) == ("user.role_changed", "admin")
    assert event["labels.operator"] == OPERATOR


def test_a_reset_password_ends_the_sessions(api: Operations, name: str) -> None:
    api.add_user(name)
    tokens = [api.token(name) for _ in range(2)]
    output = user(api, "reset", name, "--password-stdin", typed=f"{NEW}\n")
    assert output == f"{name} has a new password; sessions ended: 2\n"
    assert [me(api, token) for token in tokens] == [401, 401]
    assert [api.sign_in(name, password).status for password in (PASSWORD, NEW)] == [401, 200]
    (event,) = recorded(api, name)
    assert event["message"] == "user.password_reset"
    assert event["labels.operator"] == OPERATOR
    assert event["aliaport.numbers.ended_sessions"] == 2
    assert NEW not in str(event)
    assert "argon2" not in str(event)


def test_sessions_are_listed_and_ended(api: Operations, name: str) -> None:
    api.add_user(name)
    tokens = [api.token(name) for _ in range(2)]
    # A part of it, :a:, is also the name of an emoji.
    long = "2001:db8:1111:a:3333:4444:5555:6666"
    of_user = f"user_id = (SELECT id FROM aliaport_operations_users WHERE name = '{name}')"
    api.sql(f"UPDATE aliaport_operations_sessions SET address = '{long}' WHERE {of_user}")
    shown = user(api, "sessions", name)
    ends = api.sql(
        "SELECT to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') "
        f"FROM aliaport_operations_sessions WHERE {of_user} ORDER BY created_at"
    )
    lines = [line for line in shown.splitlines() if long in line]
    assert len(lines) == 2, shown
    for line, end in zip(lines, ends.splitlines(), strict=True):
        assert f"{end} UTC" in line, shown
    assert not [token for token in tokens if token in shown]
    assert recorded(api, name) == [], "listing sessions is not recorded"
    assert user(api, "sessions", name, "--end") == f"{name} is signed out; sessions ended: 2\n"
    assert [me(api, token) for token in tokens] == [401, 401]
    assert user(api, "sessions", name) == f"{name} has no sessions\n"
    assert api.sign_in(name).status == 200
    (event,) = recorded(api, name)
    assert event["message"] == "user.sessions_ended"
    assert event["labels.operator"] == OPERATOR
    assert event["aliaport.numbers.ended_sessions"] == 2


def test_the_operator_is_the_user_of_the_process_whatever_the_environment_says(
    api: Operations, name: str
) -> None:
    api.add_user(name)
    user(api, "enable", name, LOGNAME="somebody", USER="somebody")
    assert [event["labels.operator"] for event in recorded(api, name)] == [OPERATOR]


@pytest.mark.needs("root", "unshare")
def test_an_operator_without_a_name_is_recorded_by_user_id(api: Operations, name: str) -> None:
    # In a container, the command can run with a user ID that has no name.
    api.add_user(name)
    as_nobody = ["unshare", "--user", "--map-user=54321", *installed("aliaport-operations")]
    done = subprocess.run(
        [*as_nobody, "user", "disable", name],
        cwd=api.service.folder,
        env=api.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [event["labels.operator"] for event in recorded(api, name)] == ["54321"]


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "message"),
    [
        (("add", "{new}", "--role", "clerk"), "elf Zeichen\n", 1, "at least 12 characters"),
        (("add", "{new}", "--role", "clerk"), "\n" + PASSWORD, 1, "at least 12 characters"),
        (("add", "{new}", "--role", "clerk"), "x {new} 12", 1, "must not contain the user name"),
        (("add", "clerk", "--role", "admin"), PASSWORD, 1, "user 'clerk' already exists"),
        (("reset", "clerk"), "elf Zeichen", 1, "at least 12 characters"),
        (("reset", "{new}"), PASSWORD, 1, "there is no user '{new}'"),
    ],
)
def test_a_wrong_password_or_name_changes_nothing(
    api: Operations, name: str, arguments: tuple[str, ...], typed: str, code: int, message: str
) -> None:
    before = rows(api)
    words = [argument.format(new=name) for argument in arguments]
    done = api.invoke("user", *words, "--password-stdin", typed=typed.replace("{new}", name))
    assert done.returncode == code
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("aliaport-operations: ")
    assert message.format(new=name) in line
    assert rows(api) == before
    assert recorded(api, name) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("disable", "{new}"),
        ("role", "{new}", "--role", "clerk"),
        ("sessions", "{new}", "--end"),
    ],
)
def test_an_unknown_user_is_reported(
    api: Operations, name: str, arguments: tuple[str, ...]
) -> None:
    done = api.invoke("user", *(argument.format(new=name) for argument in arguments))
    assert done.returncode == 1
    expected = f"there is no user '{name}'; list all users with `user list`"
    assert done.stderr == f"aliaport-operations: {expected}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "Deneme", "--role", "clerk", "--password-stdin"), "Invalid value for NAME"),
        (("add", "deneme\n", "--role", "clerk", "--password-stdin"), "Invalid value for NAME"),
        (("role", "clerk", "--role", "Admin"), "'Admin' is not one of"),
        (("add", "deneme", "--role", "clerk"), "no terminal to prompt for the password"),
    ],
)
def test_wrong_arguments_change_nothing(
    api: Operations, arguments: tuple[str, ...], message: str
) -> None:
    before = rows(api)
    done = api.invoke("user", *arguments, typed=PASSWORD)
    assert done.returncode == 2
    assert "\nError: " in done.stderr
    assert message in done.stderr
    assert rows(api) == before


def test_a_password_that_is_not_utf8_is_refused_in_one_line(api: Operations, name: str) -> None:
    done = subprocess.run(
        [
            *installed("aliaport-operations"),
            "user",
            "add",
            name,
            "--role",
            "clerk",
            "--password-stdin",
        ],
        cwd=api.service.folder,
        env=api.environ,
        input="öyle bir parola".encode("iso8859-9"),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr.decode(errors="replace")


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        (
            "postgresql://aliaport:geheim42@127.0.0.1:{closed}/service",
            'cannot use the database: nothing is listening at the address: database "service" at ',
        ),
        (
            "postgresql://aliaport:geheim42@127.0.0.1:{port}/service",
            "cannot use the database: the server rejected the password: ",
        ),
    ],
)
def test_an_unreachable_database_is_reported_in_one_line(
    api: Operations, dsn: str, reason: str
) -> None:
    url = dsn.format(closed=free_port(), port=api.server.port)
    done = api.invoke("user", "list", DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith(f"aliaport-operations: {reason}")
    assert done.stderr.endswith("; nothing was changed\n")
    assert done.stderr.count("\n") == 1
    assert "geheim42" not in done.stdout + done.stderr


def test_nothing_changes_if_the_audit_log_cannot_be_written(api: Operations, name: str) -> None:
    # A file in place of the log folder stops root too.
    file = api.service.folder / "no-folder"
    file.write_text("")
    before = rows(api)
    arguments = ("add", name, "--role", "clerk", "--password-stdin")
    folder = {"ALIAPORT_LOG__FOLDER": str(file / "logs")}
    done = api.invoke("user", *arguments, typed=PASSWORD, **folder)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "the action was refused because the audit log cannot record it" in line
    assert rows(api) == before


class Terminal:
    """A command on its own terminal, with a simulated user."""

    def __init__(self, leader: int, process: "subprocess.Popen[bytes]") -> None:
        self._leader = leader
        self.process = process
        self.shown = ""
        self._at = 0

    def wait_for(self, text: str) -> None:
        """Read until this text appears after the previous one."""
        while (found := self.shown.find(text, self._at)) < 0:
            ready, _, _ = select.select([self._leader], [], [], 30)
            assert ready, f"{text!r} was never shown: {self.shown!r}"
            self.shown += os.read(self._leader, 4096).decode()
        self._at = found + len(text)

    def type(self, text: str) -> None:
        os.write(self._leader, text.encode())

    def read_to_end(self) -> int:
        """Read the rest of the output, and return the exit code."""
        while True:
            try:
                more = os.read(self._leader, 4096)
            except OSError:  # the command has ended and closed its side
                more = b""
            if not more:
                return self.process.wait(30)
            self.shown += more.decode()


@contextmanager
def terminal(api: Operations, *arguments: str) -> Iterator[Terminal]:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*installed("aliaport-operations"), "user", *arguments],
        cwd=api.service.folder,
        env=api.environ | {"TERM": "xterm"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        # The command prompts on the terminal of the session, regardless of its input.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(follower)
    try:
        yield Terminal(leader, process)
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def test_the_password_is_prompted_for_twice_and_not_shown(api: Operations, name: str) -> None:
    with terminal(api, "add", name, "--role", "clerk") as screen:
        screen.wait_for(f"Password for {name}: ")
        screen.type("elf Zeichen\n")
        screen.wait_for("Repeat for confirmation: ")
        screen.type(f"{PASSWORD}\n")
        screen.wait_for("The two entered values do not match.")
        screen.wait_for(f"Password for {name}: ")
        screen.type(f"{PASSWORD}\n")
        screen.wait_for("Repeat for confirmation: ")
        screen.type(f"{PASSWORD}\n")
        screen.wait_for(f"added {name} with the role clerk")
        assert screen.read_to_end() == 0
    assert PASSWORD not in screen.shown
    assert "elf Zeichen" not in screen.shown
    assert api.sign_in(name).status == 200


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_an_aborted_prompt_changes_nothing(api: Operations, name: str, key: str) -> None:
    before = rows(api)
    with terminal(api, "reset", "clerk") as screen:
        screen.wait_for("Password for clerk: ")
        screen.type(key)
        assert screen.read_to_end() in (130, -signal.SIGINT)
    assert "Traceback" not in screen.shown
    assert rows(api) == before


def test_the_first_user_can_be_added_before_the_service_has_run(api: Operations, name: str) -> None:
    """Run the installed program, as an operator does."""
    empty = replace(api, database=api.server.new_database("empty"))
    assert user(empty, "list") == "there are no users; add one with `user add`\n"
    done = empty.command("user", "add", name, "--role", "admin", "--password-stdin", typed=PASSWORD)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"added {name} with the role admin\n"
    assert empty.sql("SELECT name, role FROM aliaport_operations_users") == f"{name}|admin"
    wrong = empty.command("user", "role", name, "--role", "Admin")
    assert (wrong.returncode, wrong.stdout) == (2, "")
