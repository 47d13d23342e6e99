"""The base and the monitoring file together, with all services except Grafana."""

import json
import re
import subprocess
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.compose.files import service
from tests.containers.drain import watch_stop
from tests.containers.engine import get, inside, inspect, podman, try_podman
from tests.containers.stack import PASSWORD, Stack
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        stack.up()
        yield stack
    finally:
        stack.close()


def query(expression: str) -> dict[str, float]:
    """Return the values by job and, if there are several, by instance."""
    status, body = get(9090, f"/api/v1/query?query={quote(expression)}")
    assert status == 200, body
    return {
        "/".join(
            sample["metric"][name] for name in ("job", "monitor") if name in sample["metric"]
        ): float(sample["value"][1])
        for sample in json.loads(body)["data"]["result"]
    }


def test_all_services_become_healthy(stack: Stack) -> None:
    for name in stack.services:
        state = inspect(stack.name(name))["State"]
        assert state["Health"]["Status"] == "healthy", f"{name}: {state}"
    assert get(8000, "/ready")[0] == 200


def test_the_programs_have_the_pinned_versions(stack: Stack) -> None:
    """Compare versions, so that the results apply to what will run."""
    commands = {
        "prometheus": "prometheus --version",
        "alertmanager": "alertmanager --version",
        "node-exporter": "node_exporter --version",
        "postgres-exporter": "postgres_exporter --version",
        "blackbox-exporter": "blackbox_exporter --version",
        "db": "postgres --version",
    }
    for name, command in commands.items():
        tag = service(name).get("image").rpartition(":")[2].removeprefix("v").partition("-")[0]
        done = inside(stack.name(name), command)
        version = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
        assert version is not None
        assert version[0] == tag, f"{name}: rebuild the stand-ins, or pin {version[0]}"


def test_restrictions_are_in_force_in_each_container(stack: Stack) -> None:
    for name in stack.services:
        container = stack.name(name)
        status = inside(container, "cat /proc/1/status").stdout
        if name == "node-exporter":  # it shares the machine's processes
            status = inside(container, "cat /proc/self/status").stdout
        assert "\nCapEff:\t0000000000000000\n" in status, name
        assert "\nNoNewPrivs:\t1\n" in status, name
        assert "\nUid:\t0\t" not in status, name
        assert inside(container, "touch /x").returncode != 0, name
        host = inspect(container)["HostConfig"]
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["NanoCpus"] > 0, name


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    """Check the network namespace that represents the machine."""
    said = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    listening = {tuple(line.split()[3].rsplit(":", 1)) for line in said.splitlines()}
    ports = {"8000", "9090", "9093", "9100", "9115", "9187"}
    assert {port for address, port in listening if address == "127.0.0.1"} >= ports
    assert not {port for address, port in listening if address != "127.0.0.1"} & {*ports, "5432"}


def test_only_the_service_and_the_exporter_reach_the_database(stack: Stack) -> None:
    script = "python3 -c 'import socket; socket.create_connection((\"{}\", 5432), 3)'"
    address = inspect(stack.name("db"))["NetworkSettings"]["Networks"]["aliaport_database"]
    for name, reaches in (("postgres-exporter", True), ("blackbox-exporter", False)):
        for host in ("db", address["IPAddress"]):
            done = inside(stack.name(name), script.format(host))
            assert (done.returncode == 0) is reaches, f"{name} to {host}: {done.stderr}"


def test_the_service_reaches_what_doctor_checks_but_not_the_node_exporter(stack: Stack) -> None:
    script = "python -c 'import socket; socket.create_connection((\"{}\", {}), 3)'"
    for host, port, reaches in (
        *(("prometheus", 9090, True), ("alertmanager", 9093, True)),
        ("node-exporter", 9100, False),
    ):
        done = inside(stack.name("backend"), script.format(host, port))
        assert (done.returncode == 0) is reaches, f"{host}: {done.stderr}"


def test_the_roles_have_only_the_rights_that_they_need(stack: Stack) -> None:
    ask = "SELECT rolname, rolsuper, rolcreaterole FROM pg_roles WHERE rolcanlogin ORDER BY 1"
    said = stack.compose("exec", "-T", "db", "psql", "-U", "aliaport", "-Atc", ask)
    assert said.split() == ["aliaport|f|f", "exporter|f|f", "postgres|t|t"]
    by_network = "PGPASSWORD='{}' psql -h $(hostname -i | cut -d' ' -f1) -U aliaport -c 'SELECT 1'"
    assert inside(stack.name("db"), by_network.format(PASSWORD)).returncode == 0
    assert inside(stack.name("db"), by_network.format("wrong")).returncode != 0
    assert PASSWORD not in try_podman("logs", stack.name("db")).stdout


def test_slow_statements_are_logged(stack: Stack) -> None:
    stack.compose("exec", "-T", "db", "psql", "-U", "aliaport", "-c", "SELECT pg_sleep(1.1)")
    said = stack.compose("logs", "--no-log-prefix", "db")
    assert re.search(r"aliaport@aliaport psql .*duration: 1\d{3}\.\d+ ms .*pg_sleep", said)


def test_prometheus_scrapes_everything(stack: Stack) -> None:
    wanted = {
        **dict.fromkeys(("aliaport-backend", "prometheus", "alertmanager", "node", "blackbox"), 1),
        **dict.fromkeys(("uptime/health", "uptime/ready", "uptime/status"), 1),
        # Ten times pg_up, which has the same job as its exporter's up.
        "postgres": 10,
    }

    def up() -> bool:
        seen = {**query("up"), **query("probe_success"), **query("pg_up * 10")}
        return all(seen.get(name) == value for name, value in wanted.items())

    wait_until(up, f"{wanted}; at first {query('up')}", seconds=120)
    assert "filebeat" not in query("up"), "nothing ships logs here"
    for family in (
        "node_memory_MemTotal_bytes",
        "node_filesystem_size_bytes",
        "node_vmstat_oom_kill",
    ):
        found = query(f"count by (job) ({family})")
        assert found.get("node", 0) >= 1, f"the node exporter does not see the machine: no {family}"
    rules = json.loads(get(9090, "/api/v1/rules")[1])["data"]["groups"]
    assert sum(len(group["rules"]) for group in rules) > 60
    assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}


def test_an_alert_reaches_alertmanager_with_its_links(stack: Stack) -> None:
    def watchdog() -> list[dict[str, dict[str, str]]]:
        found = json.loads(get(9093, "/api/v2/alerts")[1] or "[]")
        return [alert for alert in found if alert["labels"]["alertname"] == "Watchdog"]

    wait_until(lambda: bool(watchdog()), "Watchdog at Alertmanager", seconds=90)
    (alert,) = watchdog()
    assert alert["labels"]["env"] == "production"
    assert alert["annotations"]["dashboard_url"].startswith("http://localhost:3000/d/")
    page = alert["annotations"]["runbook_url"].removeprefix("http://localhost:9090")
    status, text = get(9090, page)
    assert status == 200
    assert text.startswith("# Watchdog")
    status, text = get(9093, "/api/v2/status")
    assert json.loads(text)["cluster"]["status"] == "disabled"
    checked = stack.compose(
        "exec", "-T", "alertmanager", "amtool", "check-config", "/etc/alertmanager/alertmanager.yml"
    )
    assert "SUCCESS" in checked


def test_logs_are_on_the_volume_and_outlive_the_container(stack: Stack) -> None:
    before = inside(stack.name("backend"), "head -n 1 /app/logs/audit.log").stdout
    assert '"event.dataset":"aliaport.audit"' in before
    stack.compose(
        "up", "--detach", "--pull=never", "--no-build", "--force-recreate", "--wait", "backend"
    )
    assert inside(stack.name("backend"), "head -n 1 /app/logs/audit.log").stdout == before


def test_without_its_database_it_is_alive_and_not_ready(stack: Stack) -> None:
    stack.compose("stop", "db")
    wait_until(lambda: get(8000, "/ready")[0] == 503, "503 without the database", seconds=30)
    assert get(8000, "/health")[0] == 200
    assert inspect(stack.name("db"))["State"]["ExitCode"] == 0, "a clean shutdown"
    stack.compose("start", "db")
    wait_until(lambda: get(8000, "/ready")[0] == 200, "200 with the database again", seconds=60)


def test_compose_drains_the_service_before_it_stops(stack: Stack) -> None:
    stop = watch_stop(["docker-compose", "stop", "backend"], 8000, stack.folder, stack.environ)
    assert stop.code == 0
    assert [seen[1:] for seen in stop.seen][:2] == [(200, 200), (503, 200)], stop.seen
    assert 4.0 < stop.first(0) - stop.first(503) < 8.0, stop.seen
    assert inspect(stack.name("backend"))["State"]["ExitCode"] == 0


def test_everything_stops_in_time_and_nothing_is_left(stack: Stack) -> None:
    names = {name: stack.name(name) for name in stack.services}
    stack.compose("stop")
    codes = {name: inspect(container)["State"]["ExitCode"] for name, container in names.items()}
    # The exporters exit on the signal (with 2, as Go programs do): they have nothing to finish.
    assert {name: code for name, code in codes.items() if code not in (0, 2, 143)} == {}
    assert {codes[name] for name in ("backend", "db", "prometheus", "alertmanager")} == {0}
    stack.compose("down", "--volumes")
    assert podman("ps", "--all", "--quiet") == ""
    assert podman("volume", "ls", "--quiet") == ""
