"""The marker `service`: set for fixtures that start child processes, and checked against the facts.

A test counts as starting a child when it, or a fixture set up or torn down for it, does.
"""

import multiprocessing.util
import os
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import pytest

FIXTURES = {
    ("tests.support.fixtures", name)
    for name in ("launch", "server", "own_server", "embedded_folder")
}
NO_PROGRAMS = {"root", "fuse"}
"""Needs that are not programs; all other needs start a child process."""
EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"}

_started: list[str] = []
_marked_ran: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in EVENTS:
        _started.append(f"{event} {arguments[:2]}"[:300])


def pytest_configure() -> None:
    """Watch every start of a child process from now on; an audit hook cannot be removed."""
    sys.addaudithook(_watch)
    _watch_multiprocessing()
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        _measure_children_with_own_environment()


def _watch_multiprocessing() -> None:
    """Watch the start methods spawn and forkserver, which raise no audit event."""
    original = multiprocessing.util.spawnv_passfds

    def spawn(path: Any, *arguments: Any) -> int:
        _watch("subprocess.Popen", (path,))
        return original(path, *arguments)

    multiprocessing.util.spawnv_passfds = spawn  # type: ignore[assignment]


def _measure_children_with_own_environment() -> None:
    """Pass coverage's setting to children for which a test sets the whole environment."""
    original = subprocess.Popen.__init__

    def init(self: "subprocess.Popen[Any]", *arguments: Any, **options: Any) -> None:
        if options.get("env") is not None:
            name = "COVERAGE_PROCESS_CONFIG"
            options["env"] = {name: os.environ[name], **options["env"]}
        original(self, *arguments, **options)

    subprocess.Popen.__init__ = init  # type: ignore[method-assign]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests whose fixtures or programs are child processes, before `-m` selects."""
    for item in items:
        needs = {name for marker in item.iter_markers("needs") for name in marker.args}
        if needs - NO_PROGRAMS or _has_starting_fixture(item):
            item.add_marker(pytest.mark.service)


def _has_starting_fixture(item: pytest.Item) -> bool:
    definitions = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
    return any(
        (definition.func.__module__, name) in FIXTURES
        for name, overrides in definitions.items()
        for definition in overrides
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Fail the set-up of an unmarked test that starts a child process."""
    _started.clear()
    yield
    _check(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail an unmarked test that starts a child process."""
    yield
    _check(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail the teardown of an unmarked test that starts a child process.

    The last test of a module or session also tears down the fixtures of marked tests. Therefore
    this applies only if no marked test ran before, as with `-m "not service"`.
    """
    yield
    if not _marked_ran:
        _check(item)


def _check(item: pytest.Item) -> None:
    if item.get_closest_marker("service") is not None:
        _marked_ran.append(item.nodeid)
    elif _started:
        started = "\n".join(_started)
        _started.clear()
        pytest.fail(
            "this test starts a child process: mark it with @pytest.mark.service, or add its "
            f"fixture to tests/support/child_processes.py:\n{started}",
            pytrace=False,
        )
