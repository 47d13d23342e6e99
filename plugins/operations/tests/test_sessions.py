"""Tests of sessions: their duration, their end, and the number of active users."""

import hashlib
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.operations import CARI, PASSWORD, PATIENT, Operations, replica
from tests.support.operations_locks import blocked, held, wait_for_blocked
from tests.support.waiting import wait_until

NEW = "ganz andere Worte 7"
WRONG = "some other words 42"
ACTIVE = "aliaport_active_users"

SHORT = {
    "ALIAPORT_APPS__OPERATIONS__SESSION_HOURS": str(1 / 3600),
    "ALIAPORT_APPS__OPERATIONS__IDLE_MINUTES": "1",
    "ALIAPORT_APPS__OPERATIONS__POOL_SIZE": "3",
    **PATIENT,
}


@pytest.fixture(scope="module")
def short(api: Operations, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    """Start a replica with sessions of one second, or one minute without a request."""
    folder = tmp_path_factory.mktemp("short") / "run"
    with replica(api, folder, **SHORT) as operations:
        yield operations


@pytest.fixture
def name(api: Operations) -> str:
    return api.add_user(f"u{uuid.uuid4().hex[:10]}")


@pytest.fixture(autouse=True)
def reset_throttle(api: Operations) -> None:
    """Forget failed sign-ins, since all tests call from one address."""
    api.sql("DELETE FROM aliaport_operations_sign_in_failures")


def call(api: Operations, token: str, method: str, path: str, body: Any = None) -> Any:
    bearer = {"Authorization": f"Bearer {token}"}
    return api.call(method, path, body, role=None, headers=bearer)


def me(api: Operations, token: str) -> int:
    return int(call(api, token, "GET", "/auth/me").status)


def change(api: Operations, token: str, current: str = PASSWORD, new: str = NEW) -> Any:
    body = {"current_password": current, "new_password": new}
    return call(api, token, "POST", "/auth/password", body)


def move(api: Operations, token: str, column: str, change: str) -> None:
    """Change a time of the session, such as by `- interval '1 hour'`."""
    hashed = hashlib.sha256(token.encode()).hexdigest()
    api.sql(
        f"UPDATE aliaport_operations_sessions SET {column} = {column} {change} "
        f"WHERE token_hash = decode('{hashed}', 'hex')"
    )


def lasting(api: Operations, token: str) -> float:
    """Return the seconds between a session's start and its expiry."""
    hashed = hashlib.sha256(token.encode()).hexdigest()
    return float(
        api.sql(
            "SELECT extract(epoch FROM expires_at - created_at) FROM aliaport_operations_sessions "
            f"WHERE token_hash = decode('{hashed}', 'hex')"
        )
    )


def idle_seconds(api: Operations, token: str) -> float:
    hashed = hashlib.sha256(token.encode()).hexdigest()
    return float(
        api.sql(
            "SELECT extract(epoch FROM now() - last_used_at) FROM aliaport_operations_sessions "
            f"WHERE token_hash = decode('{hashed}', 'hex')"
        )
    )


def recorded(api: Operations, action: str, user: str) -> list[dict[str, Any]]:
    return [event for event in api.service.events(action) if event["user"] == user]


def test_signing_out_ends_this_session_and_no_other(api: Operations, name: str) -> None:
    here, there = api.token(name), api.token(name)
    response = call(api, here, "POST", "/auth/logout")
    assert (response.status, response.json["data"]) == (200, {"signed_out": True})
    assert (me(api, here), me(api, there)) == (401, 200)
    assert call(api, here, "POST", "/auth/logout").status == 401
    assert [event["outcome"] for event in recorded(api, "user.signed_out", name)] == ["success"]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer x{token}",
        "Bearer {hash}",
        "Bearer {token} {token}",
        "Bearer " + "x" * 201,
    ],
)
def test_an_invalid_token_is_refused(api: Operations, name: str, authorization: str) -> None:
    token = api.tokens["clerk"]
    hashed = hashlib.sha256(token.encode()).hexdigest()
    headers = {"Authorization": authorization.format(token=token, hash=hashed)}
    response = api.call("GET", "/auth/me", role=None, headers=headers)
    assert response.status == 401, response.text
    assert response.json["error"]["code"] == "not_signed_in"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert token not in response.text


def test_a_session_expires_even_if_it_is_used(api: Operations, name: str) -> None:
    token = api.token(name)
    for column in ("created_at", "expires_at"):
        move(api, token, column, "- interval '11 hours 59 minutes'")
    assert me(api, token) == 200
    for column in ("created_at", "expires_at"):
        move(api, token, column, "- interval '1 minute'")
    assert me(api, token) == 401


def test_an_idle_session_expires(api: Operations, name: str) -> None:
    token = api.token(name)
    move(api, token, "last_used_at", "- interval '29 minutes'")
    assert me(api, token) == 200, "half an hour is allowed"
    assert idle_seconds(api, token) < 60, "the request updates the last use"
    move(api, token, "last_used_at", "- interval '30 minutes'")
    assert me(api, token) == 401
    assert idle_seconds(api, token) > 1800, "a refused request does not revive the session"


def test_the_last_use_is_updated_at_most_twice_a_minute(api: Operations, name: str) -> None:
    token = api.token(name)
    move(api, token, "last_used_at", "- interval '20 seconds'")
    assert me(api, token) == 200
    assert idle_seconds(api, token) >= 20
    move(api, token, "last_used_at", "- interval '11 seconds'")
    assert me(api, token) == 200
    assert idle_seconds(api, token) < 20


def test_the_options_set_the_duration_of_sessions(
    api: Operations, short: Operations, name: str
) -> None:
    token = short.token(name)
    assert lasting(api, token) == 1
    wait_until(lambda: me(short, token) == 401, "the session of one second expires")
    longer = api.token(name)
    assert short.sign_in(name).json["data"]["idle_seconds"] == 60
    move(api, longer, "last_used_at", "- interval '61 seconds'")
    assert (me(short, longer), me(api, longer)) == (401, 200)


def test_a_session_is_valid_on_all_replicas(api: Operations, short: Operations, name: str) -> None:
    token = api.token(name)
    assert me(short, token) == 200
    assert call(short, token, "POST", "/auth/logout").status == 200
    assert me(api, token) == 401


def test_a_disabled_user_is_signed_out_and_cannot_sign_in(api: Operations, name: str) -> None:
    token = api.token(name)
    disable = "UPDATE aliaport_operations_users SET disabled_at = {} WHERE name = '{}'"
    api.sql(disable.format("now()", name))
    assert me(api, token) == 401
    assert call(api, token, "POST", CARI, {}).status == 401
    assert change(api, token).status == 401
    assert api.sign_in(name).status == 401
    api.sql(disable.format("NULL", name))
    assert api.sign_in(name).status == 200


def test_a_changed_role_applies_to_the_next_request(api: Operations, name: str) -> None:
    token = api.token(name)
    code = f"T-{uuid.uuid4().hex[:10].upper()}"
    body = {"code": code, "title": "Deneme 1", "kind": "customer"}
    path = f"{CARI}/{call(api, token, 'POST', CARI, body).json['data']['id']}/deactivate"
    version = {"version": 1}
    for role, status in (("viewer", 403), ("clerk", 403), ("admin", 200)):
        api.sql(f"UPDATE aliaport_operations_users SET role = '{role}' WHERE name = '{name}'")
        assert call(api, token, "GET", "/auth/me").json["data"]["user"]["role"] == role
        response = call(api, token, "POST", path, version)
        assert response.status == status, response.text


def test_a_changed_password_ends_all_other_sessions(api: Operations, name: str) -> None:
    here, *others = [api.token(name) for _ in range(3)]
    other_user = api.token(api.add_user(f"{name}.other"))
    response = change(api, here)
    assert (response.status, response.json["data"]) == (200, {"ended_sessions": 2}), response.text
    assert [me(api, token) for token in (here, *others, other_user)] == [200, 401, 401, 200]
    assert [api.sign_in(name, password).status for password in (PASSWORD, NEW)] == [401, 200]
    (event,) = recorded(api, "user.password_changed", name)
    assert (event["outcome"], event["ended_sessions"]) == ("success", 2)
    assert event["address"] == "127.0.0.1"


def test_a_wrong_current_password_changes_nothing_and_counts_as_a_guess(
    api: Operations, name: str
) -> None:
    token, other = api.token(name), api.token(name)
    for _ in range(5):
        response = change(api, token, WRONG)
        assert response.status == 403, response.text
        assert response.json["error"]["code"] == "wrong_password"
    refused = change(api, token)
    assert refused.status == 429, refused.text
    assert int(refused.headers["Retry-After"]) > 0
    assert api.sign_in(name).status == 429, "wrong passwords count for sign-in too"
    assert (me(api, token), me(api, other)) == (200, 200)
    api.sql("DELETE FROM aliaport_operations_sign_in_failures")
    assert api.sign_in(name).status == 200, "the old password is still valid"
    outcomes = [event["outcome"] for event in recorded(api, "user.password_change_failed", name)]
    assert outcomes == ["failure"] * 5


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("elf Zeichen", "12 characters"),
        ("ababababababab", "5 different characters"),
        ("x{name} 12345", "user name"),
        ("X{NAME} 12345", "user name"),
        ("my Aliaport account", "the word aliaport"),
        ("abcdef" * 171, "1024 characters"),
        ("", "12 characters"),
    ],
)
def test_a_weak_new_password_is_refused_with_its_path(
    api: Operations, name: str, new: str, message: str
) -> None:
    token, other = api.token(name), api.token(name)
    response = change(api, token, new=new.format(name=name, NAME=name.upper()))
    assert response.status == 422, response.text
    (field,) = response.json["error"]["fields"]
    assert field["path"] == "body.new_password"
    assert message in field["message"]
    assert me(api, other) == 200
    assert api.sign_in(name).status == 200


@pytest.mark.parametrize("new", ["abcdefghijklmnop" * 64, "🚢 ⚓️ ş\t漢字 𝔘 'x'", "0123456789" * 7])
def test_a_long_password_of_any_characters_is_accepted_and_not_truncated(
    api: Operations, name: str, new: str
) -> None:
    assert change(api, api.token(name), new=new).status == 200
    assert [api.sign_in(name, tried).status for tried in (new, new[:-1])] == [200, 401]


def test_only_one_of_two_concurrent_changes_succeeds(api: Operations, name: str) -> None:
    tokens = [api.token(name) for _ in range(2)]
    news = [f"{NEW} {number}" for number in range(2)]
    with ThreadPoolExecutor(2) as callers:
        responses = list(
            callers.map(
                lambda pair: change(api, pair[0], new=pair[1]), zip(tokens, news, strict=True)
            )
        )
    won = [response.status == 200 for response in responses]
    assert sorted(won) == [False, True], [response.text for response in responses]
    lost = responses[won.index(False)]
    # By then, the other password is wrong, or the session has ended.
    assert lost.status in (401, 403, 409), lost.text
    assert [me(api, token) == 200 for token in tokens] == won
    assert [api.sign_in(name, new).status == 200 for new in news] == won


def test_nothing_changes_if_the_audit_log_cannot_be_written(api: Operations, name: str) -> None:
    token, other = api.token(name), api.token(name)
    log = api.service.folder / "logs" / "audit.log"
    aside = log.rename(log.with_name("aside"))
    log.mkdir()  # a folder, which root cannot write to either
    try:
        responses = [change(api, token), call(api, token, "POST", "/auth/logout")]
    finally:
        log.rmdir()
        aside.rename(log)
    for response in responses:
        assert response.status == 503, response.text
        assert response.json["error"]["code"] == "audit_unavailable"
    assert (me(api, token), me(api, other)) == (200, 200)
    assert api.sign_in(name).status == 200, "the old password is still valid"


def test_a_sign_in_with_the_old_password_does_not_survive_its_reset(
    api: Operations, name: str
) -> None:
    before = api.token(name)
    # Ending the user's sessions must wait for this lock.
    lock = (
        "SELECT FROM aliaport_operations_sessions s "
        f"JOIN aliaport_operations_users u ON u.id = s.user_id WHERE u.name = '{name}' "
        "FOR UPDATE OF s"
    )
    with ThreadPoolExecutor(2) as threads:
        with held(api, lock):
            reset = threads.submit(
                api.command, "user", "reset", name, "--password-stdin", typed=NEW
            )
            # It has written the new password, and waits for the session's row before its commit.
            wait_for_blocked(api, 1)
            sign_in = threads.submit(api.sign_in, name)
            wait_until(
                lambda: sign_in.done() or blocked(api) == 2,
                "the sign-in has finished, or waits for the reset",
            )
        done, response = reset.result(60), sign_in.result(30)
    assert done.returncode == 0, done.stderr
    assert me(api, before) == 401
    if response.status == 200:
        token = response.json["data"]["token"]
        assert me(api, token) == 401, "a session started with the old password is still open"
    else:
        assert response.status == 401, response.text
    assert [api.sign_in(name, password).status for password in (PASSWORD, NEW)] == [401, 200]


def test_active_users_are_counted_across_all_replicas(
    api: Operations, short: Operations, name: str
) -> None:
    # Recent enough for the sessions of the other tests not to expire.
    everybody = "UPDATE aliaport_operations_sessions SET last_used_at = now() - interval '{}'"
    api.sql(everybody.format("16 minutes"))
    assert (api.metric(ACTIVE), short.metric(ACTIVE)) == (0, 0)
    mine, mine_too = api.token(name), short.token(name)
    assert (api.metric(ACTIVE), short.metric(ACTIVE)) == (1, 1), "one user with two sessions"
    other = api.add_user(f"{name}.other")
    theirs = api.token(other)
    assert (api.metric(ACTIVE), short.metric(ACTIVE)) == (2, 2)
    for token in (mine, mine_too, theirs):
        move(api, token, "last_used_at", "- interval '15 minutes'")
    assert (api.metric(ACTIVE), short.metric(ACTIVE)) == (0, 0)
    assert me(api, theirs) == 200
    assert (api.metric(ACTIVE), short.metric(ACTIVE)) == (1, 1), (
        "a request makes a user active again"
    )
    assert call(api, theirs, "POST", "/auth/logout").status == 200
    assert api.metric(ACTIVE) == 1, "a user who has just signed out was active"
