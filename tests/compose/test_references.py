"""Everything that the files name exists: paths, networks, volumes, secrets, scrape targets."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.compose.files import (
    BASE,
    COMPOSE,
    DEPLOY,
    FILES,
    MONITORING,
    SERVICES,
    Service,
    each_file,
    each_service,
    service,
)

PORTS = {
    "backend": 8000,
    "db": 5432,
    "filebeat": 5066,
    "prometheus": 9090,
    "alertmanager": 9093,
    "grafana": 3000,
    "node-exporter": 9100,
    "postgres-exporter": 9187,
    "blackbox-exporter": 9115,
}
"""The ports that services listen on by default."""
OWN_LINK = "aliaport-network"
PROMETHEUS = DEPLOY / "prometheus"


def links(name: str) -> set[str]:
    return set(service(name).get("networks"))


@each_service
def test_mounted_files_are_in_the_repository(service: Service) -> None:
    for target, (source, options) in service.mounts().items():
        if source.startswith("./"):
            assert (DEPLOY / source).exists(), f"{source}: Docker would create an empty folder"
            assert options == "ro", f"{target} could be changed from within"
        elif source.startswith("/"):
            assert service.name == "node-exporter", "only the node exporter reads the machine"
            assert options.split(",")[0] == "ro"


@each_file
def test_g5_names_are_declared_and_used(file: str) -> None:
    compose = COMPOSE[file]
    services = [service for service in SERVICES if service.file == file]
    volumes = {
        source
        for service in services
        for source, _ in service.mounts().values()
        if source[0] not in "./"
    }
    assert volumes == set(compose["volumes"])
    assert {name for service in services for name in service.get("networks")} == set(
        compose["networks"]
    )
    assert {name for service in services for name in service.secrets().values()} == set(
        compose["secrets"]
    )


def test_g5_the_files_declare_the_same_networks_and_secrets() -> None:
    for kind in ("networks", "secrets", "volumes"):
        said: dict[str, Any] = {}
        for file in FILES:
            for name, value in COMPOSE[file][kind].items():
                assert said.setdefault(name, value) == value, f"{kind}: {name} in {file}"
    assert COMPOSE[BASE]["networks"][OWN_LINK] == {"name": OWN_LINK}


def test_the_database_cannot_be_reached_from_outside() -> None:
    assert links("db") == {"database"}
    assert COMPOSE[BASE]["networks"]["database"] == {"internal": True}
    assert {service.name for service in SERVICES if "database" in service.get("networks")} == {
        *("backend", "db", "postgres-exporter")
    }


def test_the_service_reaches_the_watchers_that_doctor_checks() -> None:
    for name in ("prometheus", "alertmanager", "grafana"):
        assert links(name) & links("backend"), name
    for name in ("node-exporter", "postgres-exporter"):
        assert not links(name) & links("backend") - {"database"}, name


def test_names_that_people_rely_on_are_unchanged() -> None:
    """Check the names used in runbooks and scripts, and known by heart."""
    assert {service.name for service in SERVICES} >= {"backend", "db", *PORTS}
    assert service("prometheus").get("container_name") == "aliaport-prometheus"
    assert service("grafana").get("container_name") == "aliaport-grafana"
    for name in ("backend", "prometheus", "grafana", "elasticsearch", "kibana", "filebeat"):
        assert OWN_LINK in links(name), name
    assert {"prometheus_data", "grafana_data"} <= set(COMPOSE[MONITORING]["volumes"])
    assert "prometheus_data" in service("prometheus").mounts()["/prometheus"]
    assert "grafana_data" in service("grafana").mounts()["/var/lib/grafana"]


def test_ports_match_the_runbooks() -> None:
    for published in SERVICES:
        ports = published.values.get("ports", [])
        if published.name in ("db", "filebeat") or published.file.startswith("elk/"):
            continue
        assert ports == [f"127.0.0.1:{PORTS[published.name]}:{PORTS[published.name]}"], (
            published.name
        )


def targets() -> list[tuple[str, str]]:
    """Return each address that Prometheus scrapes, with the service that sends the request."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    found = [
        ("prometheus", target)
        for manager in config["alerting"]["alertmanagers"]
        for group in manager["static_configs"]
        for target in group["targets"]
    ]
    for job in config["scrape_configs"]:
        for group in job.get("static_configs", []):
            found += [("prometheus", target) for target in group["targets"]]
        for relabel in job.get("relabel_configs", []):
            if relabel.get("target_label") == "__address__":
                found.append(("prometheus", relabel["replacement"]))
        for files in job.get("file_sd_configs", []):
            for name in files["files"]:
                for group in yaml.safe_load((PROMETHEUS / name).read_text()):
                    found += [
                        ("blackbox-exporter", urlsplit(target).netloc)
                        for target in group["targets"]
                    ]
    return found


@pytest.mark.parametrize(("scraper", "address"), targets())
def test_g5_scrape_targets_are_services_in_the_same_network(scraper: str, address: str) -> None:
    host, _, port = address.partition(":")
    if "." in host:
        return  # on the Internet
    if host == "localhost":
        assert int(port) == PORTS[scraper]
        return
    assert int(port) == PORTS[host]
    assert links(scraper) & links(host), f"{scraper} does not reach {host}"


def test_there_are_more_than_10_targets() -> None:
    assert len(targets()) > 10


def test_grafana_queries_prometheus_at_its_address() -> None:
    file = DEPLOY / "grafana/provisioning/datasources/prometheus.yml"
    (source,) = yaml.safe_load(file.read_text())["datasources"]
    address = urlsplit(source["url"])
    assert address.port == PORTS[str(address.hostname)]
    assert links("grafana") & links(str(address.hostname))


def test_g3_grafana_s_mounts_match_its_readme() -> None:
    readme = (DEPLOY / "grafana/README.md").read_text()
    documented = dict(re.findall(r"^\| `([\w/]+)` \| `(/[\w/]+)` \|$", readme, re.MULTILINE))
    assert len(documented) == 3
    mounts = service("grafana").mounts()
    for source, target in documented.items():
        assert mounts[target] == (f"./grafana/{source}", "ro")


def test_prometheus_and_alertmanager_get_what_their_readmes_require() -> None:
    prometheus, alertmanager = service("prometheus"), service("alertmanager")
    flags = prometheus.get("command")
    assert not any("expand-external-labels" in flag for flag in flags), "3.x has no such feature"
    (assets,) = [flag.partition("=")[2] for flag in flags if flag.startswith("--web.user-assets=")]
    assert prometheus.mounts()[f"{assets}/runbooks"] == ("./runbooks", "ro")
    assert {"ENVIRONMENT", "GRAFANA_URL"} <= prometheus.environment.keys()
    assert any(flag.startswith("--web.external-url=") for flag in flags)
    assert any(flag.startswith("--web.external-url=") for flag in alertmanager.get("command"))
    assert alertmanager.environment["TZ"] == "Europe/Istanbul"
    config = (DEPLOY / "alertmanager/alertmanager.yml").read_text()
    wanted = set(re.findall(r"^[^#\n]*/run/secrets/([\w.]+)", config, re.MULTILINE))
    given = alertmanager.environment["AWS_SHARED_CREDENTIALS_FILE"]
    assert {*wanted, given.rpartition("/")[2]} == set(alertmanager.secrets())


def test_filebeat_is_scraped_only_where_it_runs() -> None:
    source, _ = service("prometheus").mounts()["/etc/prometheus/targets/filebeat.yml"]
    assert yaml.safe_load((DEPLOY / source).read_text()) == []
    filebeat = yaml.safe_load((DEPLOY / "elk/filebeat.yml").read_text())
    variable = re.fullmatch(r"\$\{(\w+):localhost\}", filebeat["http"]["host"])
    assert variable, "where nothing scrapes it, it listens on loopback only"
    assert service("filebeat").environment[variable[1]] == "0.0.0.0"
    assert filebeat["http"]["port"] == PORTS["filebeat"]


def test_filebeat_reads_the_logs_that_the_service_writes() -> None:
    assert (
        service("backend").mounts()["/app/logs"][0] == service("filebeat").mounts()["/app/logs"][0]
    )
    assert service("filebeat").mounts()["/app/logs"][1] == "ro"
