"""The service and everything that monitors it, together."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.alerts.receivers import Alertmanager, Receivers
from tests.alerts.stack.backend import Backend, istanbul_today, weekdays
from tests.alerts.stack.database import Database
from tests.alerts.stack.exporters import blackbox_exporter, postgres_exporter
from tests.alerts.stack.filebeat import Filebeat
from tests.alerts.stack.history import write_history
from tests.alerts.stack.machine import Machine
from tests.alerts.stack.program import Program, fetch
from tests.alerts.stack.prometheus import SHIPPED, Prometheus
from tests.alerts.stack.shorten import FACTOR
from tests.alerts.stack.traffic import Traffic
from tests.support.tcmb import Tcmb
from tests.support.waiting import wait_until

RUNBOOKS = SHIPPED.parent / "runbooks"
ROUTE = "/api/cari"
PER_SECOND = 20.0


class Stack:
    """Enter it to start everything; `folder` takes files and output of all programs.

    Each part is an attribute: `database`, `backend`, `machine`, `prometheus` and so on. With
    operations, the test itself must send the traffic to it.
    """

    def __init__(self, folder: Path, *, with_operations: bool = False) -> None:
        self._ends: list[Callable[[], None]] = []
        self._folder = folder
        self._with_operations = with_operations

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def _start(self) -> None:
        folder = self._folder
        self.receivers = Receivers(folder / "receivers")
        self._ends.append(self.receivers.stop)
        self.alertmanager = Alertmanager(folder / "alertmanager", self.receivers, factor=FACTOR)
        self._ends.append(self.alertmanager.stop)
        self.tcmb = Tcmb()
        self._ends.append(self.tcmb.stop)
        self.tcmb.publish(*weekdays(istanbul_today()))
        self.filebeat = Filebeat()
        self._ends.append(self.filebeat.stop)
        self.machine = Machine(folder / "machine")
        self._ends.append(self.machine.end)
        self.machine.start()
        self.database = Database()
        self._ends.append(self.database.remove)
        dsn = self.database.dsn(user="exporter", database="postgres", options="?sslmode=disable")
        self.postgres_exporter, postgres_port = postgres_exporter(folder / "exporters", dsn)
        self.blackbox, blackbox_port = blackbox_exporter(
            folder / "exporters", SHIPPED / "blackbox.yml"
        )
        self.backend = Backend(
            folder / "backend",
            self.database.dsn(),
            self.tcmb,
            with_operations=self._with_operations,
        )
        for program in (self.postgres_exporter, self.blackbox, self.backend.program):
            self._ends.append(program.end)
            program.start()
        self.prometheus = Prometheus(
            folder / "prometheus",
            {
                "backend:8000": f"127.0.0.1:{self.backend.port}",
                "https://aliaport.com": self.backend.url,
                "alertmanager:9093": f"127.0.0.1:{self.alertmanager.port}",
                "node-exporter:9100": f"127.0.0.1:{self.machine.port}",
                "postgres-exporter:9187": f"127.0.0.1:{postgres_port}",
                "blackbox-exporter:9115": f"127.0.0.1:{blackbox_port}",
                "filebeat:5066": f"127.0.0.1:{self.filebeat.port}",
            },
            RUNBOOKS,
        )
        write_history(
            self.prometheus.data,
            {"job": "aliaport-backend", "instance": f"127.0.0.1:{self.backend.port}"},
            {ROUTE: PER_SECOND, "/health": 1.0},
        )
        self.programs: list[Program] = [
            self.alertmanager.program,
            self.database,
            self.machine.program,
            self.postgres_exporter,
            self.blackbox,
            self.backend.program,
        ]
        for program in self.programs:
            program.wait_ready()
        route = "/api/currency/rates" if self._with_operations else ROUTE
        self.traffic = Traffic(self.backend.port, route, PER_SECOND)
        self._ends.append(self.traffic.end)
        self.traffic.start()
        wait_until(self._is_well, "the service has all rates and responds to requests")
        self.programs.append(self.prometheus.program)
        self._ends.append(self.prometheus.program.end)
        self.prometheus.program.start()
        self.prometheus.program.wait_ready()

    def _is_well(self) -> bool:
        metrics = fetch(f"{self.backend.url}/metrics")[1]
        return (
            "\naliaport_currency_sync_missed_bulletins 0" in metrics
            and self.traffic.statuses["200"] > 0
        )

    def watched(self) -> bool:
        """Return whether Prometheus has scraped every target of every job."""
        targets = self.prometheus.targets()
        jobs = {target["scrapePool"] for target in targets}
        return jobs == self.prometheus.jobs and all(target["health"] == "up" for target in targets)

    def describe(self) -> str:
        """Return the state that a failing test shows."""
        lines = ["--- alerts in Prometheus"]
        for alert in self.prometheus.alerts():
            labels = {k: v for k, v in alert["labels"].items() if k != "alertname"}
            lines.append(
                f"{alert['labels']['alertname']} {alert['state']} since {alert['activeAt']}, "
                f"value {alert['value']}: {labels}"
            )
        lines.append("--- targets that are down")
        for target in self.prometheus.targets():
            if target["health"] != "up":
                lines.append(f"{target['scrapeUrl']}: {target['health']} {target['lastError']}")
        lines.append(f"--- requests of people: {Counter(self.traffic.statuses)}")
        lines.append(self.backend.tail())
        lines += [program.tail(1500) for program in self.programs]
        return "\n".join(lines)

    def end(self) -> None:
        """End everything, the newest first, whatever fails."""
        problems = []
        while self._ends:
            end = self._ends.pop()
            try:
                end()
            except Exception as error:
                problems.append(f"{end}: {error!r}")
        assert not problems, problems
