"""The real service, with its log on a small disk of its own."""

import os
import signal
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.alerts.stack.program import Program, fetch
from tests.support.distributions import install
from tests.support.service import free_port
from tests.support.tcmb import Tcmb

SCENES = Path(__file__).parents[1] / "e2e/scene_app"
_BUNDLED = ("cpu", "currency_sync", "db", "disk", "memory")
_DAYS = 14
"""The number of past days for which rates are complete."""

_CONFIG = """
database_url = "{dsn}"
[log]
folder = "{logs}"
[selection]
allow = [{allow}]
[plugins.currency_sync]
source = "{source}"
first_day = {first_day}
request_interval = 0
standby_interval = 1
# The load of the test machine does not matter here.
[plugins.cpu]
average_seconds = 900
warn_percent = 100
critical_percent = 100
[plugins.memory]
warn_percent = 100
critical_percent = 100
oom_kill_seconds = 0
[plugins.disk]
# A scene fills the disk of the log: the event of its probe would fail in another file, later.
data_folders = false
warn_percent = 100
critical_percent = 100
"""
_SCENES = """
[plugins.scenes]
folder = "{scenes}"
[apps.scenes]
folder = "{scenes}"
"""
_OPERATIONS = """
[plugins.operations]
totals_interval = 0
"""


def istanbul_today() -> date:
    return datetime.now(ZoneInfo("Europe/Istanbul")).date()


def weekdays(last: date, days: int = _DAYS) -> list[date]:
    """Return the weekdays of the `days` days up to `last`, the oldest first."""
    past = (last - timedelta(days=ago) for ago in range(days, -1, -1))
    return [day for day in past if day.weekday() < 5]


class Backend:
    """The service with the bundled plugins and either the scenes' distribution or operations.

    Both serve /api/cari. The files in the folder `scenes` control the scenes.
    """

    def __init__(
        self, folder: Path, dsn: str, tcmb: Tcmb, *, with_operations: bool = False
    ) -> None:
        self.scenes = folder / "scenes"
        self.scenes.mkdir(parents=True)
        self.first_day = istanbul_today() - timedelta(days=_DAYS)
        self._logs = folder / "logs"
        self._logs.mkdir()
        site = folder / "site"
        install(
            site,
            "aliaport-scenes",
            {"scenes": "aliaport_scenes.plugin:ScenesPlugin"},
            {"scenes": "aliaport_scenes.app:app"},
        )
        self._config = folder / "aliaport.toml"
        own = "operations" if with_operations else "scenes"
        self._config.write_text(
            (_CONFIG + (_OPERATIONS if with_operations else _SCENES)).format(
                dsn=dsn,
                logs=self._logs,
                allow=", ".join(f'"{name}"' for name in (*_BUNDLED, own)),
                source=tcmb.address,
                first_day=self.first_day.isoformat(),
                scenes=self.scenes,
            )
        )
        self.port = free_port()
        self.environ = {
            "PYTHONPATH": os.pathsep.join(map(str, (site, SCENES))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ALIAPORT_CONFIG": str(self._config),
            "ALIAPORT_PORT": str(self.port),
        }
        self.url = f"http://127.0.0.1:{self.port}"
        mount = f'mount -t tmpfs -o size=32m tmpfs {self._logs} && exec "$@"'
        self.program = Program(
            "aliaport",
            ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, "-m", "aliaport", "serve"],
            folder,
            f"{self.url}/ready",
            environ=self.environ,
        )

    def start(self) -> None:
        self.program.start()

    def kill(self) -> None:
        """Kill it, as the kernel kills a process that uses too much memory."""
        self.program.end(signal.SIGKILL)

    def logs(self) -> Path:
        """Return the log folder as the service sees it, reached from outside."""
        return Path(f"/proc/{self.program.pid}/root{self._logs}")

    def status(self) -> str:
        return fetch(f"{self.url}/status", timeout=10)[1]

    def command(
        self, module: str, *arguments: str, typed: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line of a plugin with the service's configuration."""
        run = f"from {module} import main; main()"
        return subprocess.run(
            [sys.executable, "-c", run, *arguments],
            env={"PATH": os.environ["PATH"], **self.environ},
            cwd=self._config.parent,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def tail(self, lines: int = 10) -> str:
        """Return the newest lines of error.log and app.log."""
        if self.program.ended:
            return "--- the logs of aliaport are gone with it"
        shown = []
        for name in ("error.log", "app.log"):
            file = self.logs() / name
            text = file.read_text(errors="replace") if file.exists() else ""
            newest = [line[:300] for line in text.splitlines()[-lines:]]
            shown.append("\n".join([f"--- {name}", *newest]))
        return "\n".join(shown)
