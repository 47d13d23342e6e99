"""The start of the process: early signals, closed descriptors, folders that cannot be written."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.fixtures import Launch
from tests.support.plugins import BUNDLED
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.service

GOOD = {"good": "aliaport_rogues.good:Good"}

SLOW_IMPORT = """
import pathlib, time
pathlib.Path("importing").touch()
time.sleep(3600)
"""


@pytest.mark.needs("root", "unshare")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["serve", "plugins"])
def test_a_signal_during_the_imports_ends_the_first_process_of_a_container(
    tmp_path: Path, number: int, command: str
) -> None:
    (tmp_path / "click.py").write_text(SLOW_IMPORT)
    program = commands.installed("aliaport")
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", *program, command],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until((tmp_path / "importing").exists, "the imports have begun")
    (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    subprocess.run(["kill", f"-{number}", first], check=True)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (128 + number, "")


@pytest.mark.parametrize(
    ("command", "code"), [("serve", -signal.SIGTERM), ("plugins", -signal.SIGHUP)]
)
def test_a_request_to_reopen_the_logs_does_not_end_a_service_that_starts(
    tmp_path: Path, command: str, code: int
) -> None:
    (tmp_path / "click.py").write_text(SLOW_IMPORT)
    process = subprocess.Popen(
        # Not ignored, as it is if the tests run under nohup.
        ["env", "--default-signal=HUP", *commands.installed("aliaport"), command],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
    )
    wait_until((tmp_path / "importing").exists, "the imports have begun")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == code


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_do_not_harm_the_service(launch: Launch, closed: str) -> None:
    service = launch(GOOD, prefix=("sh", "-c", f'exec "$@" {closed}', "sh"))
    for descriptor in range(3):
        opened = Path(f"/proc/{service.process.pid}/fd/{descriptor}").readlink()
        assert str(opened) in ("/dev/null", str(service.folder / "output.txt"))
    service.signal()
    assert service.wait_ended() == 0
    assert service.output() == ""


READ_ONLY = """
mount --make-rprivate /
mount -o bind,remount,ro /
mount --bind /tmp /tmp
mount -o bind,remount,ro /tmp
mkdir -p "$ALIAPORT_LOG__FOLDER"
mount -t tmpfs tmpfs /var/tmp -o ro
mount -t tmpfs tmpfs "$ALIAPORT_LOG__FOLDER"
! touch ./file /file /tmp/file /var/tmp/file 2>/dev/null || exit 99
exec "$@"
"""


@pytest.mark.needs("root", "unshare")
def test_the_service_starts_without_any_folder_for_temporary_files(
    launch: Launch, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    service = launch(
        GOOD,
        allow=BUNDLED,
        wait="listening",
        environ={
            "ALIAPORT_LOG__FOLDER": str(logs),
            "ALIAPORT_LOG__STDOUT": "true",
            "DATABASE_URL": "postgresql://user@127.0.0.1:1/name",
            "TMPDIR": "/nowhere",
        },
        prefix=("unshare", "-m", "sh", "-c", READ_ONLY, "sh"),
    )
    service.wait_for(lambda: '"service.started"' in service.output(), "the service has started")
    assert service.get("/metrics").status == 200
    service.signal()
    assert service.wait_ended() == 0
