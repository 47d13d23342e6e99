"""What Grafana reads at its start fits the dashboards and the rest of deploy/."""

from typing import Any

import yaml

from tests.grafana.dashboards import GRAFANA, dashboards, variable
from tests.support.metric_lists import DEPLOY

SOURCE_KEYS = {"name", "uid", "type", "access", "url", "isDefault", "editable", "jsonData"}
PROVIDER_KEYS = {
    *("name", "orgId", "folder", "folderUid", "type", "disableDeletion", "editable"),
    *("updateIntervalSeconds", "allowUiUpdates", "options"),
}
"""Of the keys in Grafana's documentation; one that it does not know it would ignore in silence."""


def read(name: str) -> Any:
    return yaml.safe_load((GRAFANA / "provisioning" / name).read_text())


def test_the_data_source_is_the_one_that_dashboards_begin_with() -> None:
    told = read("datasources/prometheus.yml")
    assert told["apiVersion"] == 1
    (source,) = told["datasources"]
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
    """$__rate_interval is four times that: too small, and graphs have gaps."""
    (source,) = read("datasources/prometheus.yml")["datasources"]
    settings = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == settings["global"]["scrape_interval"]


def test_dashboards_cannot_be_changed_in_the_browser() -> None:
    told = read("dashboards/aliaport.yml")
    assert told["apiVersion"] == 1
    (provider,) = told["providers"]
    assert provider.keys() <= PROVIDER_KEYS
    assert provider["folder"] == "Aliaport"
    assert provider["type"] == "file"
    assert provider["disableDeletion"]
    assert not provider["allowUiUpdates"]
    assert provider["options"] == {"path": "/var/lib/grafana/dashboards"}
