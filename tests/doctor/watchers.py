"""A real Prometheus and Alertmanager, and one web server in place of all exporters."""

import signal
from collections.abc import Mapping
from pathlib import Path

from tests.alerts.stack.program import Program
from tests.alerts.stack.prometheus import Prometheus
from tests.support.service import free_port
from tests.support.stand_in import Reply, Request, StandIn

RUNBOOKS = Path(__file__).parents[2] / "deploy/runbooks"


class Exporters(StandIn):
    """Responds to every scrape and probe with one good sample."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def reply_to(self, request: Request) -> Reply:
        return Reply(200, b"probe_success 1\n", {"Content-Type": "text/plain; version=0.0.4"})


def shipped_prometheus(folder: Path, targets: Mapping[str, str], exporters: str) -> Prometheus:
    """Return a Prometheus with the shipped configuration and rules; all exporters share one address."""
    names = ("node-exporter:9100", "postgres-exporter:9187", "blackbox-exporter:9115")
    everywhere = dict.fromkeys(names, exporters)
    return Prometheus(folder, {**everywhere, **targets}, RUNBOOKS)


class BarePrometheus:
    """Prometheus without the shipped rules and Alertmanager: one rule that fails, one dead target."""

    def __init__(self, folder: Path, dead: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        folder.mkdir()
        # Many-to-many matching fails as soon as both sides have series.
        (folder / "broken.rules.yml").write_text(
            "groups: [{name: broken, interval: 1s, rules: [{alert: Broken, "
            'expr: \'label_replace(up, "a", "", "", "") '
            "+ ignoring (instance, job) up'}]}]\n"
        )
        own = self.url.removeprefix("http://")
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            "rule_files: [broken.rules.yml]\n"
            "scrape_configs:\n"
            f"  - {{job_name: strange, static_configs: [{{targets: ['{own}']}}]}}\n"
            f"  - {{job_name: aliaport-backend, static_configs: [{{targets: ['{dead}']}}]}}\n"
        )
        self.program = Program(
            "prometheus",
            [
                "prometheus",
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address={own}",
            ],
            folder,
            f"{self.url}/-/ready",
        )

    def start(self) -> None:
        self.program.start()
        self.program.wait_ready()

    def stop(self) -> None:
        self.program.end(signal.SIGKILL)
