"""Tests of the throttle: it slows down guessing, and nothing else."""

import http.client
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.support.operations import PASSWORD, PATIENT, Operations, replica, serve
from tests.support.postgres import TcpPostgres
from tests.support.service import Response

BOTH, ADDRESS, USER = 5, 8, 12
"""Limits by user and address, by address, and by user; the last two are below the defaults."""

LIMITS = {
    "ALIAPORT_APPS__OPERATIONS__FAILURES_PER_ADDRESS": str(ADDRESS),
    "ALIAPORT_APPS__OPERATIONS__FAILURES_PER_USER": str(USER),
    "ALIAPORT_APPS__OPERATIONS__POOL_SIZE": "5",
    **PATIENT,
}
WRONG = "some other words 42"
WINDOW = 15 * 60
_numbers = count(1)


@pytest.fixture(scope="module")
def api(server: TcpPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    """Start a service behind a proxy, so that each test can use its own addresses."""
    folder = tmp_path_factory.mktemp("throttle") / "run"
    config = 'trusted_proxies = ["127.0.0.0/8"]\n'
    with serve(server, folder, config=config, **LIMITS) as operations:
        yield operations


@pytest.fixture(scope="module")
def direct(api: Operations, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operations]:
    """Start a replica that trusts no proxy."""
    folder = tmp_path_factory.mktemp("direct") / "run"
    with replica(api, folder, **LIMITS) as operations:
        yield operations


@pytest.fixture
def name(api: Operations) -> str:
    return api.add_user(f"u{uuid.uuid4().hex[:10]}")


@pytest.fixture
def address() -> str:
    return new_address()


def new_address() -> str:
    number = next(_numbers)
    return f"10.7.{number // 256}.{number % 256}"


def guess(api: Operations, name: str, address: str, password: str = WRONG) -> Response:
    return api.sign_in(name, password, headers={"X-Forwarded-For": address})


def statuses(api: Operations, name: str, address: str, times: int) -> list[int]:
    return [guess(api, name, address).status for _ in range(times)]


def throttled(api: Operations, address: str) -> int:
    """Return how often the audit log has a throttled sign-in from this address."""
    events = api.service.events("user.sign_in_throttled")
    return sum(1 for event in events if event["address"] == address)


def move_windows(api: Operations, seconds: int) -> None:
    """Move the start of all windows back by some seconds."""
    api.sql(
        "UPDATE aliaport_operations_sign_in_failures "
        f"SET since = since - interval '{seconds} seconds'"
    )


def test_after_five_wrong_passwords_even_the_right_one_is_refused(
    api: Operations, name: str, address: str
) -> None:
    assert statuses(api, name, address, BOTH) == [401] * BOTH
    for password in (WRONG, PASSWORD):
        response = guess(api, name, address, password)
        assert response.status == 429, response.text
        assert response.json["error"]["code"] == "too_many_attempts"
        wait = int(response.headers["Retry-After"])
        assert WINDOW - 60 < wait <= WINDOW
        assert f"try again in {wait} s" in response.json["error"]["message"]


def test_other_addresses_of_the_user_and_other_users_are_not_locked_out(
    api: Operations, name: str, address: str
) -> None:
    token = api.token(name)
    statuses(api, name, address, BOTH)
    assert guess(api, name, address, PASSWORD).status == 429
    assert guess(api, name, new_address(), PASSWORD).status == 200
    other = api.add_user(f"{name}.other")
    assert guess(api, other, address, PASSWORD).status == 200
    bearer = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}
    assert api.call("GET", "/auth/me", role=None, headers=bearer).status == 200


def test_unknown_names_are_throttled_like_users(api: Operations, name: str, address: str) -> None:
    elsewhere = new_address()
    known = [guess(api, name, address) for _ in range(BOTH + 1)]
    unknown = [guess(api, f"{name}.nobody", elsewhere) for _ in range(BOTH + 1)]
    assert [response.status for response in known] == [response.status for response in unknown]
    assert set(known[-1].headers) == set(unknown[-1].headers)
    assert known[-1].json["error"]["code"] == unknown[-1].json["error"]["code"]


def test_other_spellings_of_a_name_count_as_the_same_name(
    api: Operations, name: str, address: str
) -> None:
    for spelling in (name, name.upper(), f" {name}", f"{name}  ", name.title()):
        assert guess(api, spelling, address).status == 401
    assert guess(api, name, address, PASSWORD).status == 429


def test_one_address_cannot_try_many_names(api: Operations, name: str, address: str) -> None:
    tried = [guess(api, f"{name}.{number}", address).status for number in range(ADDRESS)]
    assert tried == [401] * ADDRESS
    assert guess(api, name, address, PASSWORD).status == 429
    assert guess(api, name, new_address(), PASSWORD).status == 200


def test_successful_sign_ins_do_not_reset_the_count_of_an_address(
    api: Operations, name: str, address: str
) -> None:
    for number in range(ADDRESS - 1):
        assert guess(api, f"{name}.{number}", address).status == 401
        assert guess(api, name, address, PASSWORD).status == 200
    assert guess(api, f"{name}.last", address).status == 401
    assert guess(api, name, address, PASSWORD).status == 429


def test_many_addresses_cannot_try_one_name(api: Operations, name: str) -> None:
    addresses = [new_address() for _ in range(USER // 4)]
    for address in addresses:
        assert statuses(api, name, address, 4) == [401] * 4
    assert guess(api, name, new_address(), PASSWORD).status == 429
    assert guess(api, f"{name}.other", addresses[0]).status == 401


def test_the_wait_gets_shorter_and_expires(api: Operations, name: str, address: str) -> None:
    statuses(api, name, address, BOTH)
    move_windows(api, WINDOW - 100)
    response = guess(api, name, address)
    assert response.status == 429
    assert 0 < int(response.headers["Retry-After"]) <= 100, (
        "refused attempts do not extend the wait"
    )
    move_windows(api, 100)
    assert statuses(api, name, address, BOTH) == [401] * BOTH, "the count starts again"
    assert guess(api, name, address).status == 429


def test_refused_attempts_do_not_count_against_the_user_elsewhere(
    api: Operations, name: str, address: str
) -> None:
    statuses(api, name, address, BOTH)
    assert statuses(api, name, address, USER) == [429] * USER
    assert guess(api, name, new_address(), PASSWORD).status == 200


def test_concurrent_guesses_do_not_exceed_the_limit(
    api: Operations, name: str, address: str
) -> None:
    with ThreadPoolExecutor(20) as callers:
        responses = list(callers.map(lambda _: guess(api, name, address).status, range(20)))
    assert set(responses) == {401, 429}
    assert responses.count(401) <= BOTH
    assert guess(api, name, address, PASSWORD).status == 429


def test_a_right_password_clears_earlier_failures(api: Operations, name: str, address: str) -> None:
    assert statuses(api, name, address, BOTH - 1) == [401] * (BOTH - 1)
    assert guess(api, name, address, PASSWORD).status == 200
    # The four failures still count for the address.
    assert statuses(api, name, address, ADDRESS - BOTH + 1) == [401] * (ADDRESS - BOTH + 1)


def test_an_ipv6_network_counts_as_one_address(api: Operations, name: str) -> None:
    network = f"2001:db8:7:{next(_numbers):x}"
    hosts = ["::1", ":1:2:3:4", "::ffff:ffff", ":ffff:ffff:ffff:ffff", "::2"]
    tried = [guess(api, name, network + host).status for host in hosts]
    assert tried == [401] * BOTH
    assert guess(api, name, f"{network}:a:b:c:d", PASSWORD).status == 429
    neighbour = f"2001:db8:7:{next(_numbers):x}::1"
    assert guess(api, name, neighbour, PASSWORD).status == 200


def test_an_ipv4_mapped_ipv6_address_counts_as_the_ipv4_address(
    api: Operations, name: str, address: str
) -> None:
    for form in (address, f"::ffff:{address}", f"::FFFF:{address}", address, address):
        assert guess(api, name, form).status == 401
    assert guess(api, name, f"::ffff:{address}", PASSWORD).status == 429
    assert guess(api, name, f"::ffff:{new_address()}", PASSWORD).status == 200


def test_a_forged_header_before_that_of_the_proxy_does_not_help(
    api: Operations, name: str, address: str
) -> None:
    for number in range(BOTH):
        assert forged(api, name, [f"10.9.0.{number}", address]) == 401
    assert forged(api, name, ["10.9.1.1", address]) == 429
    assert forged(api, name, [f"10.9.1.2, {address}"]) == 429
    assert forged(api, name, [f"127.0.0.1, {address}, 127.0.0.2"]) == 429


def forged(api: Operations, name: str, lines: list[str]) -> int:
    """Return the status of a sign-in with these lines of X-Forwarded-For."""
    password = PASSWORD if len(lines) == 1 or lines[0].startswith("10.9.1.") else WRONG
    body = json.dumps({"username": name, "password": password}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", api.service.port, timeout=30)
    try:
        connection.putrequest("POST", "/auth/login")
        for line in lines:
            connection.putheader("X-Forwarded-For", line)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_header_is_ignored_without_a_trusted_proxy(
    api: Operations, direct: Operations, name: str
) -> None:
    tried = [guess(direct, name, new_address()).status for _ in range(BOTH)]
    assert tried == [401] * BOTH
    assert guess(direct, name, new_address(), PASSWORD).status == 429
    assert guess(api, name, new_address(), PASSWORD).status == 200, (
        "behind a trusted proxy, the header counts"
    )


def test_replicas_count_together(api: Operations, direct: Operations) -> None:
    api.sql("DELETE FROM aliaport_operations_sign_in_failures")
    name = api.add_user(f"u{uuid.uuid4().hex[:10]}")
    both = [api, direct, api, direct, api]
    # The header names only a trusted address, so both replicas use the peer's address.
    assert [guess(service, name, "127.0.0.1").status for service in both] == [401] * BOTH
    for service in (api, direct):
        assert guess(service, name, "127.0.0.1", PASSWORD).status == 429
    api.sql("DELETE FROM aliaport_operations_sign_in_failures")


def test_throttling_is_recorded_once_and_counted_each_time(
    api: Operations, name: str, address: str
) -> None:
    series = 'aliaport_operations_sign_ins_total{result="throttled"}'
    before = api.metric(series)
    statuses(api, name, address, BOTH)
    assert throttled(api, address) == 0
    assert statuses(api, name, address, 4) == [429] * 4
    assert api.metric(series) == before + 4
    assert throttled(api, address) == 1, "guessing must not fill the audit log"
    move_windows(api, WINDOW)
    statuses(api, name, address, BOTH + 2)
    assert throttled(api, address) == 2, "it is recorded again in the next window"


def test_typed_names_and_addresses_are_stored_only_as_hashes(api: Operations, address: str) -> None:
    typed = f"a-secret-{uuid.uuid4().hex}"
    guess(api, typed, address)
    kept = api.sql("SELECT encode(key, 'escape') FROM aliaport_operations_sign_in_failures")
    assert kept
    assert typed not in kept
    assert address not in kept
    lengths = "SELECT DISTINCT octet_length(key) FROM aliaport_operations_sign_in_failures"
    assert api.sql(lengths) == "32"
