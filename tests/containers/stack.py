"""The compose files, started by Docker Compose through podman's socket."""

import os
import shutil
import subprocess
import threading
from pathlib import Path

from tests.compose.files import DEPLOY, SERVICES
from tests.containers.engine import healthy, podman
from tests.support.waiting import wait_until

ABSENT = {"grafana"}
PASSWORD = "p/ss @:%w"
"""The password of the role aliaport, with every character that a URL has to encode."""


class Nurse(threading.Thread):
    """Runs the health checks of all containers, as systemd's timers or Docker would."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(1.0):
            for container in podman("ps", "--quiet").split():
                healthy(container)

    def stop(self) -> None:
        self._done.set()
        self.join()


class Stack:
    """A copy of deploy/ with secrets, and its running services."""

    services = sorted(
        {
            service.name
            for service in SERVICES
            if not service.file.startswith("elk/") and service.name not in ABSENT
        }
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "deploy"
        shutil.copytree(DEPLOY, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(self.folder / ".env.production.example", self.folder / ".env.production")
        secrets = self.folder / "secrets"
        secrets.mkdir(exist_ok=True)
        url = secrets / "database_url"
        url.write_text("postgresql://aliaport:p%2Fss%20%40%3A%25w@db:5432/aliaport\n")
        url.chmod(0o444)
        subprocess.run(
            [str(secrets / "create")], stdin=subprocess.DEVNULL, check=True, capture_output=True
        )
        socket = Path(os.environ["ALIAPORT_CONTAINERS"]) / "run" / "podman.sock"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "COMPOSE_ENV_FILES": ".env.production",
            "DOCKER_HOST": f"unix://{socket}",
        }
        self._server = subprocess.Popen(
            ["podman", "system", "service", "--time=0", f"unix://{socket}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(socket.exists, "podman's socket")
        self._nurse = Nurse()
        self._nurse.start()

    def compose(self, *arguments: str, timeout: float = 300) -> str:
        done = self.try_compose(*arguments, timeout=timeout)
        assert done.returncode == 0, f"compose {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def try_compose(
        self, *arguments: str, timeout: float = 300
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["docker-compose", *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def up(self) -> None:
        self.compose("up", "--detach", "--pull=never", "--no-build", "--wait", *self.services)

    def name(self, service: str) -> str:
        """Return the name of the service's container."""
        return podman(
            "ps",
            "--all",
            "--filter",
            f"label=com.docker.compose.service={service}",
            "--format={{.Names}}",
        )

    def close(self) -> None:
        self.try_compose("down", "--volumes", "--timeout=1")
        self._nurse.stop()
        self._server.terminate()
        self._server.wait(30)
