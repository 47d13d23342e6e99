"""Signing in: what it answers, what it stores, and what it tells nobody."""

import hashlib
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from tests.support.operations import PASSWORD, PATIENT, ROLES, Operations, replica, serve
from tests.support.postgres import TcpPostgres
from tests.support.service import Response
from tests.support.waiting import wait_until

SELDOM_THROTTLED = {
    f"ALIAPORT_APPS__OPERATIONS__FAILURES_PER_{each}": "1000"
    for each in ("USER_AND_ADDRESS", "ADDRESS", "USER")
} | PATIENT
WRONG = "some other words 42"


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    folder = tmp_path_factory.mktemp("sign-in") / "run"
    with serve(server, folder, **SELDOM_THROTTLED) as operations:
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
    """The address and outcome of a user's recorded sign-ins, in their order."""
    return [
        (each["address"], each["outcome"])
        for each in api.service.events("user.signed_in")
        if each["user"] == user
    ]


@contextmanager
def no_audit_log(api: Operations) -> Iterator[None]:
    """Put a folder where the audit log should be, which not even root can write as a file."""
    log = api.service.folder / "logs" / "audit.log"
    aside = log.with_name("aside")
    log.rename(aside)
    log.mkdir()
    try:
        yield
    finally:
        log.rmdir()
        aside.rename(log)


def test_signing_in_answers_a_token_and_who_one_is(api: Operations) -> None:
    name = new_user(api, "viewer")
    answer = api.sign_in(name)
    assert answer.status == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    data = answer.json["data"]
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
def test_everybody_is_told_the_own_role(api: Operations, role: str) -> None:
    me = api.data("GET", "/auth/me", role=role)
    assert set(me) == {"user", "signed_in_at", "expires_at"}
    assert me["user"] == {"name": role, "role": role}
    assert me["signed_in_at"] < me["expires_at"]


def test_each_sign_in_has_a_long_token_of_its_own(api: Operations) -> None:
    name = new_user(api)
    tokens = {api.token(name) for _ in range(5)}
    assert len(tokens) == 5
    assert all(len(token) >= 43 for token in tokens), "256 bits take 43 characters of base64"
    assert len({token[:8] for token in tokens}) == 5, "they share a beginning"


def test_a_name_is_known_in_any_case_and_a_password_in_any_spelling(api: Operations) -> None:
    name = new_user(api)
    decomposed = unicodedata.normalize("NFD", PASSWORD)
    assert decomposed != PASSWORD
    assert api.sign_in(f" {name.upper()} ", decomposed).status == 200
    assert api.sign_in(name, PASSWORD.upper()).status == 401
    assert api.sign_in(name, f"{PASSWORD} ").status == 401, "blanks count in passwords"


def test_neither_token_nor_password_is_written_anywhere(api: Operations) -> None:
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
        answer = api.call("POST", "/auth/password", change, role=None, headers=own)
    assert answer.status == 200, answer.text
    assert api.call("POST", "/auth/logout", role=None, headers=own).status == 200
    tables = api.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").splitlines()
    stored = api.sql(" UNION ALL ".join(f"SELECT t::text FROM {table} t" for table in tables))
    hashed = hashlib.sha256(token.encode()).hexdigest()
    assert hashed in stored, "the session is known by its token's hash"
    assert api.events(), "all is logged"
    files = [path for path in api.service.folder.rglob("*") if path.is_file()]
    assert {"api.log", "audit.log", "output.txt"} <= {path.name for path in files}
    places = {str(path): path.read_text() for path in files}
    places["the log of the database"] = api.server.log(api.database)
    places["the database"] = stored
    for place, text in places.items():
        folded = text.casefold()
        for secret in (token, first, second, wrong, mistaken, weak):
            assert secret.casefold() not in folded, f"{secret} stands in {place}"
            assert secret.encode().hex() not in folded, f"{secret} stands in {place}"
        assert place == "the database" or hashed not in folded, f"the token's hash is in {place}"


def test_an_unknown_name_a_wrong_password_and_a_disabled_user_look_the_same(
    api: Operations,
) -> None:
    disabled = new_user(api)
    disable(api, disabled)
    answers = [
        api.sign_in(f"u{uuid.uuid4().hex[:10]}"),
        api.sign_in(new_user(api), WRONG),
        api.sign_in(disabled),
    ]
    unknown, wrong, closed = (_without_ids(each) for each in answers)
    assert unknown == wrong == closed
    assert unknown[0] == 401
    assert answers[0].json["error"]["code"] == "wrong_credentials"


def _without_ids(answer: Response) -> tuple[Any, ...]:
    error = {k: v for k, v in answer.json["error"].items() if k not in ("request_id", "trace_id")}
    ids = ("Date", "X-Request-ID", "traceparent")
    headers = [(k, v) for k, v in answer.headers.items() if k not in ids]
    return answer.status, set(answer.json), error, headers


def measured(
    api: Operations, clock: Callable[[], float], names: dict[str, str]
) -> dict[str, float]:
    """The median by `clock` of 15 attempts under each name: interleaved, as noise hits all."""
    taken: dict[str, list[float]] = {kind: [] for kind in names}
    for _ in range(15):
        for kind, name in names.items():
            began = clock()
            answer = api.sign_in(name, WRONG)
            taken[kind].append(clock() - began)
            assert answer.status == 401, answer.text
    return {kind: median(each) for kind, each in taken.items()}


def test_the_time_of_a_refusal_does_not_tell_whether_the_name_is_known(api: Operations) -> None:
    names = {"known": new_user(api), "disabled": new_user(api), "unknown": "nobody-of-this-name"}
    disable(api, names["disabled"])
    # No matter of speed but of a side channel: a refusal without hashing would be several times
    # faster, so a generous bound does. A busy machine may spoil one round; a channel spoils all.
    rounds = []
    for _ in range(4):
        rounds.append(measured(api, perf_counter, names))
        if max(rounds[-1].values()) / min(rounds[-1].values()) < 2:
            return
    raise AssertionError(f"the times differ, round by round: {rounds}")


def test_a_password_is_hashed_for_unknown_names_too(api: Operations) -> None:
    # The work of the service's process and not the time, which a busy machine stretches.
    def work() -> float:
        total = 0
        for thread in Path(f"/proc/{api.service.process.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread may end meanwhile
                total += int((thread / "schedstat").read_text().split()[0])
        return total

    work_done = measured(api, work, {"known": new_user(api), "unknown": "nobody-of-this-name"})
    assert work_done["unknown"] > work_done["known"] / 2, work_done


def test_passwords_are_stored_as_argon2id_of_today(api: Operations) -> None:
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
    assert len(salts) == 2, "each hash has a salt of its own"


def weaker(password: str = PASSWORD) -> str:
    return PasswordHasher(time_cost=1, memory_cost=8192).hash(password)


def test_an_older_weaker_hash_is_renewed_by_the_next_sign_in(api: Operations) -> None:
    name = new_user(api)
    old = weaker()
    set_hash(api, name, old)
    assert api.sign_in(name, WRONG).status == 401
    assert hash_of(api, name) == old, "a wrong password renews nothing"
    assert api.sign_in(name).status == 200
    renewed = extract_parameters(hash_of(api, name))
    assert (renewed.type, renewed.memory_cost, renewed.time_cost) == (Type.ID, 19_456, 2)
    assert api.sign_in(name).status == 200
    assert api.sign_in(name, WRONG).status == 401


def test_signing_in_twice_at_once_with_an_older_hash_succeeds_twice(api: Operations) -> None:
    for _ in range(3):
        name = new_user(api)
        set_hash(api, name, weaker())
        with ThreadPoolExecutor(4) as callers:
            answers = list(callers.map(api.sign_in, [name] * 4))
        assert [each.status for each in answers] == [200] * 4, "the password was right each time"


def test_a_hash_that_is_none_lets_nobody_in(api: Operations) -> None:
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
def test_a_wrong_body_is_told_by_its_field(api: Operations, body: Any, path: str) -> None:
    error = api.refused(422, "POST", "/auth/login", body, role=None)
    assert path in [each["path"] for each in error["fields"]]
    assert PASSWORD not in str(error)


def test_sign_ins_are_counted_by_their_result(api: Operations) -> None:
    name = new_user(api)
    results = ("succeeded", "failed")
    series = [f'aliaport_operations_sign_ins_total{{result="{each}"}}' for each in results]
    before = [api.metric(each) for each in series]
    assert [api.sign_in(name, each).status for each in (WRONG, PASSWORD, WRONG)] == [401, 200, 401]
    assert [api.metric(each) for each in series] == [before[0] + 1, before[1] + 2]


def test_sign_ins_are_recorded_but_not_the_names_that_are_no_users(api: Operations) -> None:
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


def test_no_sign_in_is_granted_that_cannot_be_recorded(api: Operations) -> None:
    name = new_user(api)
    with no_audit_log(api):
        answers = [api.sign_in(name, each) for each in (PASSWORD, WRONG)]
    for answer in answers:
        assert answer.status == 503, answer.text
        assert answer.json["error"]["code"] == "audit_unavailable"
        assert int(answer.headers["Retry-After"]) > 0
    assert sessions_of(api, name) == 0
    assert api.sign_in(name).status == 200, "it heals by itself"
    assert signed_in(api, name) == [("127.0.0.1", "success")]


def test_the_service_goes_on_while_a_password_is_hashed(api: Operations) -> None:
    # A hash so slow that hundreds of other requests fit into the time of its check, so a few do
    # on any machine; on the service's own loop none would be answered meanwhile.
    name = new_user(api)
    set_hash(api, name, PasswordHasher(time_cost=60, memory_cost=19_456, parallelism=1).hash(WRONG))
    before = attempts_counted(api)
    with ThreadPoolExecutor(1) as caller:
        attempt = caller.submit(api.sign_in, name)
        wait_until(lambda: attempts_counted(api) > before, "the attempt is counted, then checked")
        answered = 0
        while not attempt.done() and answered < 5:
            assert api.service.get("/health").status == 200
            answered += 1
        assert answered == 5, f"/health was answered only {answered} times meanwhile"
        assert not attempt.done(), "the password was checked before /health was asked"
        assert attempt.result().status == 401


def test_too_many_sign_ins_at_once_are_turned_away_and_harm_nothing_else(
    api: Operations, tmp_path: Path
) -> None:
    # Hashing alone is to be short, and nobody waits in vain for a connection.
    narrow = SELDOM_THROTTLED | {
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
            while not all(each.done() for each in attempts):
                health.append(service.service.get("/health").status)
        answers = [each.result() for each in attempts]
        assert {each.status for each in answers} == {200, 503}
        assert set(health) == {200}
        refused = [each for each in answers if each.status == 503]
        for each in refused:
            assert each.json["error"]["code"] == "overloaded"
            assert int(each.headers["Retry-After"]) > 0
        assert service.metric(shed) == len(refused)
        assert service.sign_in(name).status == 200, "it is over with the rush"
        assert attempts_counted(api) == before, "who was turned away has guessed nothing"
