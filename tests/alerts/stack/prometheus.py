"""The real Prometheus with the shipped rules and configuration, sped up, on loopback."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.alerts.stack.program import Program, fetch
from tests.alerts.stack.shorten import shorten
from tests.support.service import free_port

SHIPPED = Path(__file__).parents[3] / "deploy/prometheus"
GRAFANA = "http://grafana.test"


def at_loopback(text: str, places: Mapping[str, str]) -> str:
    """Replace each address in `text`, such as `backend:8000`, by another.

    Only whole words are replaced.
    """
    for shipped, here in places.items():
        text = re.sub(rf"(?<![\w.-]){re.escape(shipped)}(?![\w.-])", here, text)
    return text


class Prometheus:
    """Prometheus. `places` maps shipped addresses: `{"backend:8000": "127.0.0.1:4711", …}`."""

    def __init__(
        self, folder: Path, places: Mapping[str, str], runbooks: Path, shipped: Path = SHIPPED
    ) -> None:
        self.port = free_port()
        address = f"127.0.0.1:{self.port}"
        self.url = f"http://{address}"
        self.data = folder / "data"
        config = folder / "config"
        places = {**places, "localhost:9090": address}
        for file in shipped.rglob("*.yml"):
            target = config / file.relative_to(shipped)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(at_loopback(shorten(file.read_text()), places))
        shown = (config / "prometheus.yml").read_text()
        self.jobs = set(re.findall(r"job_name: ([\w-]+)", shown))
        assets = folder / "assets"
        assets.mkdir()
        (assets / "runbooks").symlink_to(runbooks)
        self.program = Program(
            "prometheus",
            [
                "prometheus",
                f"--config.file={config / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.data}",
                f"--web.listen-address={address}",
                f"--web.external-url={self.url}",
                f"--web.user-assets={assets}",
                "--enable-feature=expand-external-labels",
                "--rules.alert.resend-delay=1s",
                # Prometheus would show an ended series for minutes, which are hours here.
                "--query.lookback-delta=10s",
            ],
            folder,
            f"{self.url}/-/ready",
            environ={"ENVIRONMENT": "production", "GRAFANA_URL": GRAFANA},
        )

    def get(self, path: str) -> Any:
        """Return the data of a response of the HTTP API."""
        status, text = fetch(f"{self.url}/api/v1/{path}", timeout=10)
        assert status == 200, f"Prometheus returned {status} to {path}: {text[:2000]}"
        return json.loads(text)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query."""
        found: list[dict[str, Any]] = self.get(f"query?query={quote(expression)}")["result"]
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """Return the pending and firing alerts."""
        found: list[dict[str, Any]] = self.get("alerts")["alerts"]
        return found

    def targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("targets?state=active")["activeTargets"]
        return found
