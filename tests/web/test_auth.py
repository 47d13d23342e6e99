"""The file with status tokens while it is rotated: what can be read later is read later."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from aliaport.settings import Settings
from aliaport.testing.runner import _logger
from aliaport.web.auth import OperatorAuth

OLD, NEW = "old-token-0123456789", "new-token-0123456789"


@pytest.fixture
def logged() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text(OLD)
    return file


@pytest.fixture
def auth(file: Path, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> OperatorAuth:
    monkeypatch.setattr("aliaport.web.auth.REREAD_EVERY", 0.0)
    settings = Settings(environment="production", status_token_file=file)
    return OperatorAuth(settings, _logger(logged))


def valid(auth: OperatorAuth) -> list[str]:
    requests = {
        token: make_mocked_request("GET", "/status", {"Authorization": f"Bearer {token}"})
        for token in (OLD, NEW)
    }
    return [token for token, request in requests.items() if auth.is_operator(request)]


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def problems(logged: list[dict[str, Any]]) -> list[str]:
    return [event["reason"] for event in logged if event["event"] == "status_token.unreadable"]


def test_a_file_that_could_not_be_read_once_is_read_again(
    auth: OperatorAuth, file: Path, logged: list[dict[str, Any]]
) -> None:
    assert valid(auth) == [OLD]
    file.write_text(NEW)
    with no_descriptor_left():
        assert valid(auth) == valid(auth) == [OLD], "the tokens that were read last"
    assert valid(auth) == [NEW]
    assert problems(logged) == [f"{file}: Too many open files"], "once"


def test_the_tokens_of_a_deleted_file_end_until_there_is_a_new_one(
    auth: OperatorAuth, file: Path, logged: list[dict[str, Any]]
) -> None:
    assert valid(auth) == [OLD]
    file.rename(file.with_name("away"))
    assert valid(auth) == valid(auth) == []
    assert problems(logged) == [f"{file}: does not exist, so its tokens are no longer valid"]
    file.with_name("away").rename(file)
    assert valid(auth) == [OLD], "even if it is the same file"


def test_a_change_that_leaves_the_modification_time_is_noticed(
    auth: OperatorAuth, file: Path
) -> None:
    assert valid(auth) == [OLD]
    found = file.stat()
    file.write_text(NEW)
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert valid(auth) == [NEW]
