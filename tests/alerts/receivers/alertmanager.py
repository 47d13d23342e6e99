"""The real Alertmanager with the shipped configuration, faster, and with receivers on loopback."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from zoneinfo import ZoneInfo

from tests.alerts.receivers.receivers import Receivers
from tests.alerts.stack.program import Program, fetch
from tests.support.service import free_port

SHIPPED = Path(__file__).parents[3] / "deploy/alertmanager"
EXTERNAL_URL = "http://alertmanager.test"
ISTANBUL = ZoneInfo("Europe/Istanbul")

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(
    r"(?P<key>(?:group_wait|group_interval|repeat_interval): )"
    r"(?P<number>\d+)(?P<unit>[smh])$",
    re.MULTILINE,
)
_OFFICE_HOURS = '          - start_time: "08:00"\n            end_time: "18:00"\n'


@cache
def program() -> str:
    """Return the path of the program, under Debian's name or its own."""
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert found, "no Alertmanager is installed"
    return found


@cache
def version() -> tuple[int, int]:
    """Return the version, such as (0, 25)."""
    done = subprocess.run([program(), "--version"], capture_output=True, text=True, timeout=30)
    found = re.search(r"version (\d+)\.(\d+)", done.stdout + done.stderr)
    assert found, done.stdout + done.stderr
    return int(found[1]), int(found[2])


def for_test(
    shipped: str, receivers: Receivers, *, factor: float = 1.0, office_hours: bool = True
) -> str:
    """Return the shipped alertmanager.yml with other paths and shorter durations.

    The durations of routes are divided by `factor`, but none falls below a second. `office_hours`
    decides whether it is office hours now, whatever the clock says.
    """
    text = _replaced(shipped, "/run/secrets/", f"{receivers.secrets}/")
    text = _replaced(text, "/etc/alertmanager/", f"{SHIPPED}/")
    text = _replaced(text, "mail.aliaport.com:587", f"127.0.0.1:{receivers.smtp.port}")
    text = _replaced(
        text, "      - send_resolved: false\n        sigv4:", f"      - send_resolved: false\n        api_url: {receivers.sns.url}\n        sigv4:"
    )  # fmt: skip
    if version() < (0, 26):
        text = _replaced(
            text, f"url_file: {receivers.secrets}/heartbeat_url", f"url: {receivers.heartbeat.url}"
        )
    # A window around what a clock in Istanbul shows now, or around what one in London's winter does.
    around = datetime.now(ISTANBUL if office_hours else UTC)
    text = _replaced(text, "[monday:friday]", "[sunday:saturday]")
    text = _replaced(text, _OFFICE_HOURS, _window(around.time()))
    if factor == 1:
        return text

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found["number"]) * _SECONDS[found["unit"]] / factor
        return f"{found['key']}{max(1000, round(seconds * 1000))}ms"

    return _DURATION.sub(shorter, text)


def alert(
    name: str,
    labels: Mapping[str, str] | None = None,
    *,
    annotations: Mapping[str, str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    **more: str,
) -> dict[str, Any]:
    """Return an alert as Prometheus posts it, with `more` labels; a past `until` resolves it."""
    posted: dict[str, Any] = {
        "labels": {"alertname": name, **(labels or {}), **more},
        "annotations": {"summary": f"Summary of {name}"} if annotations is None else annotations,
        "generatorURL": "http://prometheus.test/graph",
    }
    if since:
        posted["startsAt"] = since.isoformat()
    if until:
        posted["endsAt"] = until.isoformat()
    return posted


class Alertmanager:
    """A started and ready Alertmanager; `.url` and `.port` are its API, `.log` is its output.

    `config`, if given, replaces the shipped configuration as adapted by `for_test`.
    """

    def __init__(
        self,
        folder: Path,
        receivers: Receivers,
        *,
        factor: float = 1.0,
        office_hours: bool = True,
        config: str | None = None,
    ) -> None:
        if config is None:
            shipped = (SHIPPED / "alertmanager.yml").read_text()
            config = for_test(shipped, receivers, factor=factor, office_hours=office_hours)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "alertmanager.yml"
        file.write_text(config)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.program = Program(
            "alertmanager",
            [
                program(),
                f"--config.file={file}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                f"--web.external-url={EXTERNAL_URL}",
                "--cluster.listen-address=",
                # Only at this level it logs what it held back outside office hours.
                "--log.level=debug",
            ],
            folder,
            f"{self.url}/-/ready",
            environ={
                "TZ": ISTANBUL.key,
                "AWS_SHARED_CREDENTIALS_FILE": str(receivers.secrets / "aws_credentials"),
                "SSL_CERT_FILE": str(receivers.smtp.authority),
            },
        )
        self.log = self.program.log
        self.program.start()
        try:
            self.program.wait_ready()
        except AssertionError:
            self.stop()
            raise

    def post(self, *alerts: dict[str, Any]) -> None:
        request = Request(
            f"{self.url}/api/v2/alerts",
            json.dumps(alerts).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=30) as response:
            response.read()

    def alerts(self) -> list[dict[str, Any]]:
        """Return all alerts, including muted ones: see `status.state` and `status.inhibitedBy`."""
        status, text = fetch(f"{self.url}/api/v2/alerts", timeout=30)
        assert status == 200, f"Alertmanager returned {status}: {text[:2000]}"
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def metrics(self) -> str:
        """Return Alertmanager's own metrics."""
        return fetch(f"{self.url}/metrics", timeout=30)[1]

    def tail(self) -> str:
        """Return the end of its output, for a failing test to show."""
        return self.program.tail()

    def stop(self) -> None:
        self.program.end(signal.SIGKILL)


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"the shipped configuration no longer has {old!r}"
    return text.replace(old, new)


def _window(now: time) -> str:
    """Return an hour to each side of now; a part beyond midnight becomes a second range."""
    day = timedelta(days=1)
    middle = timedelta(hours=now.hour, minutes=now.minute)
    hour = timedelta(hours=1)
    start, end = (middle - hour) % day, (middle + hour) % day
    ranges = [(start, end)] if start < end else [(start, day), (timedelta(), end)]
    return "".join(
        f'          - start_time: "{_clock(first)}"\n            end_time: "{_clock(last)}"\n'
        for first, last in ranges
        if first < last
    )


def _clock(since_midnight: timedelta) -> str:
    minutes = int(since_midnight.total_seconds()) // 60
    return f"{minutes // 60:02}:{minutes % 60:02}"
