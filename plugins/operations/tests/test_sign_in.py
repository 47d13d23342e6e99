"""Tests of sign-in: its response, what is stored, and what is not revealed."""

import hashlib
import unicodedata
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from aliaport_operations.passwords import DUMMY_HASH, outdated
from argon2 import PasswordHasher, Type, extract_parameters

from tests.support.operations import PASSWORD, PATIENT, ROLES, Operations, replica, serve
from tests.support.postgres import TcpPostgres
from tests.support.service import Response
from tests.support.waiting import wait_until

HIGH_LIMITS = {
    f"ALIAPORT_APPS__OPERATIONS__FAILURES_PER_{limit}": "1000"
    for limit in ("USER_AND_ADDRESS", "ADDRESS", "USER")
} | PATIENT
WRONG = "some other words 42"


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    folder = tmp_path_factory.mktemp("sign-in") / "run"
    with serve(server, folder, **HIGH_LIMITS) as operations:
        yield operations


def new_user(api: Operations, role: str = "clerk") -> str:
    return api.add_user(f"u{uuid.uuid4().hex[:10]}", role)


def hash_of(api: Operations, name: str) -> str:
    return api.sql(f"SELECT password_hash FROM aliaport_operations_users WHERE name = '{name}'")


def set_hash(api: Operations, name: str, password_hash: str) -> None:
    api.sql(
        f"UPDATE aliaport_operations_users SET password_hash = '{password_hash}' "
        f"WHERE name = '{name}'"
    )


def disable(api: Operations, name: str) -> None:
    api.sql(f"UPDATE aliaport_operations_users SET disabled_at = now() WHERE name = '{name}'")


def sessions_of(api: Operations, name: str) -> int:
    return int(
        api.sql(
            "SELECT count(*) FROM aliaport_operations_sessions s "
            f"JOIN aliaport_operations_users u ON u.id = s.user_id WHERE u.name = '{name}'"
        )
    )


def attempts_counted(api: Operations) -> int:
    return int(
        api.sql("SELECT coalesce(sum(failures), 0) FROM aliaport_operations_sign_in_failures")
    )


def signed_in(api: Operations, user: str) -> list[tuple[str, str]]:
    """Return the addresses and outcomes of a user's sign-ins in the audit log, in order."""
    return [
        (event["address"], event["outcome"])
        for event in api.service.events("user.signed_in")
        if event["user"] == user
    ]


@contextmanager
def no_audit_log(api: Operations) -> Iterator[None]:
    """Replace the audit log by a folder, which root cannot write to either."""
    log = api.service.folder / "logs" / "audit.log"
    aside = log.with_name("aside")
    log.rename(aside)
    log.mkdir()
    try:
        yield
    finally:
        log.rmdir()
        aside.rename(log)


def test_signing_in_returns_a_token_and_the_user(api: Operations) -> None:
    name = new_user(api, "viewer")
    response = api.sign_in(name)
    assert response.status == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    data = response.json["data"]
    assert set(data) == {"token", "expires_at", "idle_seconds", "user"}
    assert data["user"] == {"name": name, "role": "viewer"}
    assert data["idle_seconds"] == 30 * 60
    lasting = (
        "SELECT expires_at - created_at, "
        f"expires_at = '{data['expires_at']}' FROM aliaport_operations_sessions "
        f"WHERE token_hash = decode('{hashlib.sha256(data['token'].encode()).hexdigest()}', 'hex')"
    )
    assert api.sql(lasting) == "12:00:00|t"


@pytest.mark.parametrize("role", ROLES)
def test_me_returns_the_role(api: Operations, role: str) -> None:
    me = api.data("GET", "/auth/me", role=role)
    assert set(me) == {"user", "signed_in_at", "expires_at"}
    assert me["user"] == {"name": role, "role": role}
    assert me["signed_in_at"] < me["expires_at"]


def test_each_sign_in_gets_a_new_long_token(api: Operations) -> None:
    name = new_user(api)
    tokens = {api.token(name) for _ in range(5)}
    assert len(tokens) == 5
    assert all(len(token) >= 43 for token in tokens), "256 bits take 43 characters of base64"
    assert len({token[:8] for token in tokens}) == 5, "tokens must not share a prefix"


def test_names_ignore_case_and_passwords_ignore_composition(api: Operations) -> None:
    name = new_user(api)
    decomposed = unicodedata.normalize("NFD", PASSWORD)
    assert decomposed != PASSWORD
    assert api.sign_in(f" {name.upper()} ", decomposed).status == 200
    assert api.sign_in(name, PASSWORD.upper()).status == 401
    assert api.sign_in(name, f"{PASSWORD} ").status == 401, "spaces matter in passwords"


def test_neither_token_nor_password_is_stored_or_logged(api: Operations) -> None:
    name = f"u{uuid.uuid4().hex[:10]}"
    first, second, wrong, mistaken, weak = (f"{n}-{uuid.uuid4().hex}" for n in "abcde")
    weak = f"{name}-{weak}"
    added = api.invoke("user", "add", name, "--role", "clerk", "--password-stdin", typed=first)
    assert added.returncode == 0, added.stderr
    token = api.sign_in(name, first).json["data"]["token"]
    own = {"Authorization": f"Bearer {token}"}
    assert api.sign_in(name, wrong).status == 401
    assert api.sign_in(mistaken, mistaken).status == 401
    body = {"username": "x" * 65, "password": mistaken, mistaken: mistaken}
    assert api.call("POST", "/auth/login", body, role=None).status == 422
    for current, new in ((first, weak), (wrong, second), (first, second)):
        change = {"current_password": current, "new_password": new}
        response = api.call("POST", "/auth/password", change, role=None, headers=own)
    assert response.status == 200, response.text
    assert api.call("POST", "/auth/logout", role=None, headers=own).status == 200
    tables = api.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").splitlines()
    stored = api.sql(" UNION ALL ".join(f"SELECT t::text FROM {table} t" for table in tables))
    hashed = hashlib.sha256(token.encode()).hexdigest()
    assert hashed in stored, "the session is stored with the hash of its token"
    assert api.events(), "the requests are logged"
    files = [path for path in api.service.folder.rglob("*") if path.is_file()]
    assert {"api.log", "audit.log", "output.txt"} <= {path.name for path in files}
    places = {str(path): path.read_text() for path in files}
    places["the log of the database"] = api.server.log(api.database)
    places["the database"] = stored
    for place, text in places.items():
        folded = text.casefold()
        for secret in (token, first, second, wrong, mistaken, weak):
            assert secret.casefold() not in folded, f"{secret} is in {place}"
            assert secret.encode().hex() not in folded, f"{secret} is in {place}"
        assert place == "the database" or hashed not in folded, f"the token's hash is in {place}"


def test_an_unknown_name_a_wrong_password_and_a_disabled_user_look_the_same(
    api: Operations,
) -> None:
    disabled = new_user(api)
    disable(api, disabled)
    responses = [
        api.sign_in(f"u{uuid.uuid4().hex[:10]}"),
        api.sign_in(new_user(api), WRONG),
        api.sign_in(disabled),
    ]
    unknown, wrong, closed = (_without_ids(response) for response in responses)
    assert unknown == wrong == closed
    assert unknown[0] == 401
    assert responses[0].json["error"]["code"] == "wrong_credentials"


def _without_ids(response: Response) -> tuple[Any, ...]:
    error = {k: v for k, v in response.json["error"].items() if k not in ("request_id", "trace_id")}
    ids = ("Date", "X-Request-ID", "traceparent")
    headers = [(k, v) for k, v in response.headers.items() if k not in ids]
    return response.status, set(response.json), error, headers


def test_a_refusal_takes_as_long_for_unknown_and_for_disabled_names(api: Operations) -> None:
    def work() -> int:
        """Return the CPU time of the service: elapsed time grows on a busy machine."""
        total = 0
        for thread in Path(f"/proc/{api.service.process.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # it can end in the meantime
                total += int((thread / "schedstat").read_text().split()[0])
        return total

    names = {"known": new_user(api), "disabled": new_user(api), "unknown": "nobody-of-this-name"}
    disable(api, names["disabled"])
    taken: dict[str, list[int]] = {kind: [] for kind in names}
    for _ in range(7):
        for kind, name in names.items():
            began = work()
            response = api.sign_in(name, WRONG)
            taken[kind].append(work() - began)
            assert response.status == 401, response.text
    medians = {kind: median(times) for kind, times in taken.items()}
    # A refusal without hashing would take a small fraction.
    assert min(medians.values()) > medians["known"] / 2, medians
    assert not outdated(DUMMY_HASH), "it must cost as much as a current hash"


def test_passwords_are_stored_as_argon2id_with_current_parameters(api: Operations) -> None:
    name = f"u{uuid.uuid4().hex[:10]}"
    added = api.invoke("user", "add", name, "--role", "clerk", "--password-stdin", typed=PASSWORD)
    assert added.returncode == 0, added.stderr
    assert hash_of(api, name).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    salts = {hash_of(api, name).split("$")[4]}
    change = {"current_password": PASSWORD, "new_password": WRONG}
    authorization = {"Authorization": f"Bearer {api.token(name)}"}
    api.data("POST", "/auth/password", change, role=None, headers=authorization)
    assert hash_of(api, name).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    salts.add(hash_of(api, name).split("$")[4])
    assert len(salts) == 2, "each hash has its own salt"


def weaker(password: str = PASSWORD) -> str:
    return PasswordHasher(time_cost=1, memory_cost=8192).hash(password)


def test_a_weaker_hash_is_renewed_by_the_next_sign_in(api: Operations) -> None:
    name = new_user(api)
    old = weaker()
    set_hash(api, name, old)
    assert api.sign_in(name, WRONG).status == 401
    assert hash_of(api, name) == old, "a wrong password does not renew the hash"
    assert api.sign_in(name).status == 200
    renewed = extract_parameters(hash_of(api, name))
    assert (renewed.type, renewed.memory_cost, renewed.time_cost) == (Type.ID, 19_456, 2)
    assert api.sign_in(name).status == 200
    assert api.sign_in(name, WRONG).status == 401


def test_concurrent_sign_ins_with_a_weaker_hash_all_succeed(api: Operations) -> None:
    for _ in range(3):
        name = new_user(api)
        set_hash(api, name, weaker())
        with ThreadPoolExecutor(4) as callers:
            responses = list(callers.map(api.sign_in, [name] * 4))
        assert [response.status for response in responses] == [200] * 4, "the password was correct"


def test_a_password_never_expires(api: Operations) -> None:
    name = new_user(api)
    api.sql(
        "UPDATE aliaport_operations_users SET created_at = now() - interval '20 years', "
        f"password_changed_at = now() - interval '20 years' WHERE name = '{name}'"
    )
    assert api.sign_in(name).status == 200


def test_an_invalid_hash_matches_no_password(api: Operations) -> None:
    name = new_user(api)
    set_hash(api, name, "!")
    assert api.sign_in(name).status == 401
    assert api.sign_in(name, "!").status == 401


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"password": PASSWORD}, "body.username"),
        ({"username": "clerk"}, "body.password"),
        ({"username": "", "password": PASSWORD}, "body.username"),
        ({"username": "x" * 65, "password": PASSWORD}, "body.username"),
        ({"username": "clerk", "password": ""}, "body.password"),
        ({"username": "clerk", "password": "x" * 1025}, "body.password"),
        ({"username": "clerk", "password": PASSWORD, "role": "admin"}, "body.role"),
        ({"username": ["clerk"], "password": PASSWORD}, "body.username"),
        ({"username": "cl\0erk", "password": PASSWORD}, "body.username"),
    ],
)
def test_an_invalid_field_is_reported_with_its_path(api: Operations, body: Any, path: str) -> None:
    error = api.refused(422, "POST", "/auth/login", body, role=None)
    assert path in [field["path"] for field in error["fields"]]
    assert PASSWORD not in str(error)


def test_sign_ins_are_counted_by_their_result(api: Operations) -> None:
    name = new_user(api)
    results = ("succeeded", "failed")
    series = [f'aliaport_operations_sign_ins_total{{result="{result}"}}' for result in results]
    before = [api.metric(counter) for counter in series]
    assert [api.sign_in(name, password).status for password in (WRONG, PASSWORD, WRONG)] == [
        401,
        200,
        401,
    ]
    assert [api.metric(counter) for counter in series] == [before[0] + 1, before[1] + 2]


def test_sign_ins_are_recorded_without_unknown_names(api: Operations) -> None:
    name, disabled, nobody = new_user(api), new_user(api), f"nobody{uuid.uuid4().hex[:8]}"
    disable(api, disabled)
    for user, password in (
        (name, WRONG),
        (name.upper(), PASSWORD),
        (disabled, PASSWORD),
        (nobody, PASSWORD),
    ):
        api.sign_in(user, password)
    assert signed_in(api, name) == [("127.0.0.1", "failure"), ("127.0.0.1", "success")]
    assert signed_in(api, disabled) == [("127.0.0.1", "failure")]
    assert signed_in(api, "unknown")[-1] == ("127.0.0.1", "failure")
    logs = api.service.folder / "logs"
    assert not [path.name for path in logs.iterdir() if nobody in path.read_text()]


def test_sign_in_is_refused_if_the_audit_log_cannot_be_written(api: Operations) -> None:
    name = new_user(api)
    with no_audit_log(api):
        responses = [api.sign_in(name, password) for password in (PASSWORD, WRONG)]
    for response in responses:
        assert response.status == 503, response.text
        assert response.json["error"]["code"] == "audit_unavailable"
        assert int(response.headers["Retry-After"]) > 0
    assert sessions_of(api, name) == 0
    assert api.sign_in(name).status == 200, "the service recovers"
    assert signed_in(api, name) == [("127.0.0.1", "success")]


def test_the_service_responds_while_a_password_is_hashed(api: Operations) -> None:
    # The hash is so slow that even a busy machine serves a few other requests during its check.
    # On the service's own loop, none would be served in the meantime.
    name = new_user(api)
    set_hash(api, name, PasswordHasher(time_cost=60, memory_cost=19_456, parallelism=1).hash(WRONG))
    before = attempts_counted(api)
    with ThreadPoolExecutor(1) as caller:
        attempt = caller.submit(api.sign_in, name)
        wait_until(lambda: attempts_counted(api) > before, "the attempt is counted, then checked")
        served = 0
        while not attempt.done() and served < 5:
            assert api.service.get("/health").status == 200
            served += 1
        assert served == 5, f"/health responded only {served} times in the meantime"
        assert not attempt.done(), "the password was checked before /health was requested"
        assert attempt.result().status == 401


def test_too_many_concurrent_sign_ins_are_refused_and_do_not_affect_other_requests(
    api: Operations, tmp_path: Path
) -> None:
    # Only hashing threads must run out, not connections.
    narrow = HIGH_LIMITS | {
        "ALIAPORT_APPS__OPERATIONS__HASHING_THREADS": "1",
        "ALIAPORT_APPS__OPERATIONS__MAX_HASHING": "2",
        "ALIAPORT_APPS__OPERATIONS__POOL_SIZE": "4",
    }
    with replica(api, tmp_path / "narrow", **narrow) as service:
        name = new_user(api)
        shed = 'aliaport_operations_shed_total{reason="hashing"}'
        assert service.metric(shed) == 0
        before = attempts_counted(api)
        health = []
        with ThreadPoolExecutor(40) as callers:
            attempts = [callers.submit(service.sign_in, name) for _ in range(40)]
            while not all(attempt.done() for attempt in attempts):
                health.append(service.service.get("/health").status)
        responses = [attempt.result() for attempt in attempts]
        assert {response.status for response in responses} == {200, 503}
        assert set(health) == {200}
        refused = [response for response in responses if response.status == 503]
        for response in refused:
            assert response.json["error"]["code"] == "overloaded"
            assert int(response.headers["Retry-After"]) > 0
        assert service.metric(shed) == len(refused)
        assert service.sign_in(name).status == 200, "sign-in works again afterwards"
        assert attempts_counted(api) == before, "refused attempts are not counted as guesses"
