"""The whole stack after an incident, so that every command of the runbooks has something to show."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.alerts.runbooks import ROOT
from tests.alerts.stack.program import Program, fetch
from tests.alerts.stack.stack import Stack
from tests.support.service import free_port
from tests.support.service_files import service_files
from tests.support.waiting import wait_until


class Site(Program):
    """A web server with a certificate of its own, in place of the public address."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        folder.mkdir()
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ),
                *("-nodes", "-days", "30", "-subj", "/CN=site.test", "-keyout", str(key)),
                *("-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
            timeout=30,
        )
        command = shlex.split(f"openssl s_server -quiet -accept {self.port} -www")
        super().__init__(
            "site", [*command, "-key", str(key), "-cert", str(certificate)], folder, ready=""
        )


@dataclass
class UnhealthyInstallation:
    """The unhealthy installation. `shell` runs a command against `stack` as an operator would."""

    stack: Stack
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def shell(
        self, text: str, environ: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", "-ec", text],
            cwd=self.folder,
            env=environ or self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
        )


@contextmanager
def unhealthy_installation(folder: Path) -> Iterator[UnhealthyInstallation]:
    """Start everything, cause faults, and yield it with the operator's variables set."""
    site = Site(folder / "site")
    try:
        site.start()
        with Stack(folder / "stack") as stack:
            _cause_faults(stack)
            operator = folder / "operator"
            operator.mkdir()
            (operator / "deploy").symlink_to(ROOT / "deploy")
            environ = _environ(stack, f"127.0.0.1:{site.port}", folder)
            yield UnhealthyInstallation(stack, operator, environ)
    finally:
        site.end()


def _cause_faults(stack: Stack) -> None:
    """Let requests fail, let a probe hang and hold the interpreter, and restart the database."""
    backend = stack.backend

    def logged(file: str, *texts: str) -> bool:
        known = (backend.logs() / file).read_text()
        return all(text in known for text in texts)

    (backend.scenes / "fail").write_text("1")
    (backend.scenes / "hang").touch()
    backend.status()
    (backend.scenes / "hold").touch()
    stack.database.stop()
    wait_until(
        lambda: (
            backend.status()
            and logged("error.log", '"request.failed"', '"http_loop.stalled"', '"job.failed"')
            and logged("app.log", '"probe.slow"', '"connection_refused"', '"collector.failed"')
        ),
        "the log records everything",
        seconds=90,
    )
    stack.database.start()
    stack.database.wait_ready()
    wait_until(lambda: fetch(f"{backend.url}/ready")[0] == 200, "it is ready again")
    wait_until(lambda: logged("app.log", '"job.recovered"'), "its job works again")


def _environ(stack: Stack, site: str, folder: Path) -> dict[str, str]:
    backend = stack.backend
    return {
        **backend.environ,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "HOME": str(folder),
        "ALIAPORT": backend.url,
        "ALERTMANAGER": stack.alertmanager.url,
        "BLACKBOX": stack.blackbox.ready.removesuffix("/-/healthy"),
        "DATABASE_URL": stack.database.dsn(),
        "PGSERVICE": "aliaport",
        **service_files(
            folder,
            {
                "aliaport": stack.database.dsn(),
                "administrator": stack.database.dsn(user="postgres"),
            },
        ),
        "FILEBEAT": f"http://127.0.0.1:{stack.filebeat.port}",
        "FILEBEAT_TARGET": f"http://127.0.0.1:{stack.filebeat.port}/stats",
        "LOGS": str(backend.logs()),
        "MOUNTPOINT": str(folder),
        "NODE_EXPORTER": f"http://127.0.0.1:{stack.machine.port}",
        "POSTGRES_EXPORTER": stack.postgres_exporter.ready.rstrip("/"),
        "PROMETHEUS": stack.prometheus.url,
        "SITE": site,
        "SITE_NAME": "site.test",
        "SOURCE": stack.tcmb.address,
        "STATUS_TARGET": f"{backend.url}/status",
        "TARGET": f"{backend.url}/ready",
    }
