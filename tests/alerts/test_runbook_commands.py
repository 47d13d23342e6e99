"""Runs every command that only reads, and every query, against an unhealthy installation."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.alerts.runbooks import Block, distinct, filters, selectors
from tests.alerts.stack.program import fetch
from tests.alerts.unhealthy_installation import UnhealthyInstallation, unhealthy_installation
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.needs(
        "root", "unshare", "promtool", "prometheus", "alertmanager", "exporters", "postgresql15"
    ),
    pytest.mark.timeout(300),
]

AT_ONCE = 4
PATIENCE = 60.0
"""Seconds within which a query must have a result: rates need several scrapes."""
NOT_HERE = {"probe_ssl_earliest_cert_expiry"}
"""Blackbox exporter probes nothing over TLS here."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnhealthyInstallation]:
    with unhealthy_installation(tmp_path_factory.mktemp("unhealthy")) as found:
        alerts = f"{found.environ['ALERTMANAGER']}/api/v2/alerts"
        wait_until(lambda: "Watchdog" in fetch(alerts)[1], "Alertmanager knows of an alert")
        yield found


def complaints(found: dict[str, Block], problem: Callable[[str], str]) -> list[str]:
    """Return the problems that `problem` finds in the texts, several at once; '' means none."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        said = pool.map(problem, found)
    return [f"{block}\n{block.text}\n-> {text}" for block, text in zip(found.values(), said, strict=True) if text]  # fmt: skip


def test_each_command_works_and_shows_something(installation: UnhealthyInstallation) -> None:
    def problem(command: str) -> str:
        done = installation.shell(command)
        # The service's own programs log to standard error.
        silent = command.startswith("aliaport") or not done.stderr.strip()
        if done.returncode == 0 and done.stdout.strip() and silent:
            return ""
        return f"exit code {done.returncode}, output {done.stdout[-300:]!r}, complaint {done.stderr[-600:]!r}"

    commands = distinct("sh")
    assert len(commands) > 50
    assert not (said := complaints(commands, problem)), "\n\n".join(said)


def test_each_query_has_a_result(installation: UnhealthyInstallation) -> None:
    def problem(query: str) -> str:
        names = {selector.name for selector in selectors(query)}
        result = installation.stack.prometheus.query(query)
        if result or filters(query) or names & NOT_HERE:
            return ""
        try:
            wait_until(lambda: installation.stack.prometheus.query(query), "a result", PATIENCE)
        except AssertionError as error:
            return str(error)
        return ""

    queries = distinct("promql")
    assert len(queries) > 50
    assert not (said := complaints(queries, problem)), "\n\n".join(said)


def test_the_page_of_an_alert_is_where_its_link_leads(installation: UnhealthyInstallation) -> None:
    """Check the link to the runbook, which Prometheus itself serves."""
    for alert in installation.stack.prometheus.alerts():
        status, text = fetch(alert["annotations"]["runbook_url"])
        assert status == 200, alert
        assert text.startswith(f"# {alert['labels']['alertname']}\n")


def test_commands_that_change_something_work_unless_they_need_a_container(
    installation: UnhealthyInstallation,
) -> None:
    environ = installation.environ | {
        "ALERT": "Watchdog",
        "PGSERVICE": "administrator",
        "PID": "0",  # no session, for which PostgreSQL only warns
    }
    commands = [text for text in distinct("sh changes") if "docker" not in text]
    # First add the silence that another command expires.
    commands.sort(key=lambda text: "silence add" not in text)
    assert len(commands) > 8
    for command in commands:
        done = installation.shell(command, environ)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if "silence add" in command:
            environ["SILENCE"] = done.stdout.strip()
    kept = {
        file.name for file in (installation.folder / "evidence").iterdir() if file.stat().st_size
    }
    assert kept >= {"status.json", "metrics.txt", "activity.txt", "threads.txt", "error.log"}
