"""The health check finds the address that the service has published, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aliaport.process import address
from tests.support.fixtures import Launch
from tests.support.service import Service, free_port
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.service

OWN_PROCESSES = (
    *("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"),
    *("env", "--unset", "ALIAPORT_PORT"),
)


def check_inside(
    service: Service, *arguments: str, **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Run the health check among the processes of the service, as a container engine does."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    first = wait_until(children.read_text, "the first process runs").strip()
    return subprocess.run(
        ["nsenter", "--target", first, "--pid", "--mount",
         sys.executable, "-m", "aliaport", "healthcheck", *arguments],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )  # fmt: skip


@pytest.mark.needs("root", "unshare")
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_check_needs_no_configuration(launch: Launch, tmp_path: Path, host: str) -> None:
    port = free_port()
    (tmp_path / "env").write_text(f"ALIAPORT_PORT= {port} \n")
    other = tmp_path / "image.toml"
    other.write_text(f"port = {free_port()}\n")
    service = launch(
        {"good": "aliaport_rogues.good:Good"},
        wait="",
        config=f"port = {free_port()}\nhost = '{host}'\n",
        arguments=("--env-file", str(tmp_path / "env")),
        prefix=OWN_PROCESSES,
    )

    def passes(*arguments: str, **environ: str) -> bool:
        done = check_inside(service, *arguments, **environ)
        return done.returncode == 0 and '"service":"aliaport-api"' in done.stdout

    # Its timeout is two seconds, which a busy machine may need.
    service.wait_for(passes, "the service is healthy")
    service.wait_for(lambda: passes(ALIAPORT_CONFIG=str(other)), "whatever a file says")
    service.wait_for(lambda: passes(ALIAPORT_PORT=str(port)), "by its port")
    assert not passes(ALIAPORT_PORT=str(free_port()))


def test_a_fork_of_the_service_is_not_another_service() -> None:
    script = """
import os
from aliaport.process.address import find, publish
publish([("127.0.0.1", 7)])
child = os.fork()
line = f"{sorted(found for found in find() if found[0][1] == 7)}\\n"
os.write(1, line.encode())  # in one piece, since both write at the same time
child and os.waitpid(child, 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout == 2 * "[(('127.0.0.1', 7),)]\n", done.stderr


def test_an_output_that_cannot_be_written_says_nothing_about_the_service(launch: Launch) -> None:
    service = launch({"good": "aliaport_rogues.good:Good"})
    script = (
        f"{sys.executable} -m aliaport healthcheck --port {service.port} >/dev/full && "
        f"{sys.executable} -m aliaport.healthcheck --port {service.port} >&-"
    )
    service.wait_for(
        lambda: subprocess.run(["sh", "-c", script], timeout=PATIENCE).returncode == 0,
        "the service is healthy",
    )


def test_a_machine_that_hides_its_processes_has_no_services() -> None:
    assert address._entries(Path("/proc/self/nothing")) == []  # noqa: SLF001
