"""The files that Grafana reads when it starts match the dashboards and the rest of deploy/."""

from typing import Any

import yaml

from tests.grafana.dashboards import GRAFANA, dashboards, variable
from tests.support.metric_lists import DEPLOY

SOURCE_KEYS = {"name", "uid", "type", "access", "url", "isDefault", "editable", "jsonData"}
PROVIDER_KEYS = {
    *("name", "orgId", "folder", "folderUid", "type", "disableDeletion", "editable"),
    *("updateIntervalSeconds", "allowUiUpdates", "options"),
}
"""Keys from Grafana's documentation; Grafana silently ignores unknown ones."""


def read(name: str) -> Any:
    return yaml.safe_load((GRAFANA / "provisioning" / name).read_text())


def test_the_data_source_is_the_default_of_the_dashboards() -> None:
    content = read("datasources/prometheus.yml")
    assert content["apiVersion"] == 1
    (source,) = content["datasources"]
    assert source.keys() <= SOURCE_KEYS
    assert source["url"] == "http://prometheus:9090"
    assert source["type"] == "prometheus"
    assert source["isDefault"]
    assert not source["editable"]
    for dashboard in dashboards().values():
        chosen = variable(dashboard, "datasource")
        assert chosen is not None
        assert chosen["current"] == {"text": source["name"], "value": source["uid"]}


def test_it_knows_how_often_prometheus_scrapes() -> None:
    """Compare the scrape intervals: with a too small $__rate_interval, graphs have gaps."""
    (source,) = read("datasources/prometheus.yml")["datasources"]
    settings = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == settings["global"]["scrape_interval"]


def test_dashboards_cannot_be_changed_in_the_browser() -> None:
    content = read("dashboards/aliaport.yml")
    assert content["apiVersion"] == 1
    (provider,) = content["providers"]
    assert provider.keys() <= PROVIDER_KEYS
    assert provider["folder"] == "Aliaport"
    assert provider["type"] == "file"
    assert provider["disableDeletion"]
    assert not provider["allowUiUpdates"]
    assert provider["options"] == {"path": "/var/lib/grafana/dashboards"}
