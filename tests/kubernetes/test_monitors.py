"""Prometheus finds the replicas under the names that rules and dashboards use."""

import re
from pathlib import Path

import pytest
import yaml

from aliaport.web import handlers
from tests.kubernetes.render import KUBERNETES, Resource, build, of_kind, one
from tests.kubernetes.scrape import target, visible
from tests.support import metric_lists

DEPLOY = KUBERNETES.parent
ENVIRONMENTS = ("staging", "production")
MODULES = yaml.safe_load((DEPLOY / "prometheus/blackbox.yml").read_text())["modules"]
CONFIG = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
JOBS = {job["job_name"] for job in CONFIG["scrape_configs"]}
EXTERNAL = set(CONFIG["global"]["external_labels"])


def found(overlay: str, name: str, service: str, folder: Path) -> dict[str, str]:
    resources = build(overlay)
    monitor = one(resources, "ServiceMonitor", name)
    return target(monitor, one(resources, "Service", service), folder)


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_a_replica_is_scraped_under_the_names_of_the_rules(overlay: str, tmp_path: Path) -> None:
    labels = found(overlay, "backend", "backend-internal", tmp_path)
    assert labels["__address__"] == "10.1.2.3:8001"
    assert labels["__metrics_path__"] == "/metrics"
    assert visible(labels) == {
        "job": "aliaport-backend",
        "instance": "backend-5d9c7b-x2x4z",
        "namespace": f"aliaport-{overlay}",
    }


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_no_label_of_a_target_hides_one_of_ours(overlay: str, tmp_path: Path) -> None:
    """Check the labels: Prometheus would rename ours to exported_…, and rules would not find them."""
    ours = {label for metric in metric_lists.own().values() for label in metric["labels"]}
    assert "endpoint" in ours
    labels = found(overlay, "backend", "backend-internal", tmp_path)
    assert not set(visible(labels)) & (ours | EXTERNAL)


@pytest.mark.needs("promtool")
def test_without_our_relabelings_the_route_of_a_request_would_be_hidden(tmp_path: Path) -> None:
    resources = build("production")
    monitor = one(resources, "ServiceMonitor", "backend")
    monitor["spec"]["endpoints"][0]["relabelings"] = []
    labels = visible(target(monitor, one(resources, "Service", "backend-internal"), tmp_path))
    assert {"endpoint", "service"} <= set(labels)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_each_replica_is_probed_for_its_status(overlay: str, tmp_path: Path) -> None:
    labels = found(overlay, "backend-status", "backend-internal", tmp_path)
    assert labels["__metrics_path__"] == "/probe"
    assert labels["__param_target"] == "http://10.1.2.3:8001/status"
    assert labels["__param_module"] == "aliaport_status"
    assert labels["__address__"].startswith("blackbox-exporter.")
    assert visible(labels) == {
        "job": "uptime",
        "instance": "http://10.1.2.3:8001/status",
        "monitor": "status",
        "namespace": f"aliaport-{overlay}",
    }


@pytest.mark.needs("promtool")
def test_each_filebeat_is_probed_for_its_statistics(tmp_path: Path) -> None:
    labels = found("logging", "filebeat", "filebeat", tmp_path)
    assert labels["__param_target"] == "http://10.1.2.3:5066/stats"
    assert labels["__param_module"] == "filebeat_stats"
    assert labels["job"] == "filebeat"
    assert not set(visible(labels)) & EXTERNAL


def probes(overlay: str) -> list[Resource]:
    return of_kind(build(overlay), "Probe")


@pytest.mark.parametrize("overlay", ENVIRONMENTS)
def test_the_public_pages_are_probed_at_their_public_addresses(overlay: str) -> None:
    (rule,) = one(build(overlay), "Ingress")["spec"]["rules"]
    probed = {probe["spec"]["targets"]["staticConfig"]["static"][0] for probe in probes(overlay)}
    assert probed == {f"https://{rule['host']}/health", f"https://{rule['host']}/ready"}
    for probe in probes(overlay):
        (url,) = probe["spec"]["targets"]["staticConfig"]["static"]
        assert probe["spec"]["module"] == f"aliaport_{url.rpartition('/')[2]}"


@pytest.mark.parametrize("overlay", [*ENVIRONMENTS, "logging"])
def test_modules_jobs_and_times_match_prometheus(overlay: str) -> None:
    for monitor in of_kind(build(overlay), "ServiceMonitor", "Probe"):
        spec = monitor["spec"]
        for endpoint in spec.get("endpoints", [spec]):
            module = endpoint.get("module") or endpoint.get("params", {}).get("module", [None])[0]
            assert module is None or module in MODULES
            jobs = {
                r["replacement"]
                for r in endpoint.get("relabelings", [])
                if r.get("targetLabel") == "job"
            }
            assert (jobs | {spec["jobName"]} if "jobName" in spec else jobs) <= JOBS
            assert endpoint["interval"] == CONFIG["global"]["scrape_interval"]
            assert endpoint["scrapeTimeout"] == CONFIG["global"]["scrape_timeout"]
            if module is None:
                assert seconds(endpoint["scrapeTimeout"]) > handlers.SCRAPE_BUDGET
            else:
                assert seconds(endpoint["scrapeTimeout"]) > seconds(MODULES[module]["timeout"])


def test_readme_lists_every_job_that_must_not_be_absent() -> None:
    rules = (DEPLOY / "prometheus/pipeline.rules.yml").read_text()
    jobs = set(re.findall(r'absent\(up\{job="([\w-]+)"\}\)', rules))
    assert len(jobs) >= 6
    text = (KUBERNETES / "README.md").read_text()
    assert not {job for job in jobs if f"`{job}`" not in text}
