"""On call, one thing leads to the next: alert, dashboard, panel, runbook."""

import re

import pytest

from tests.grafana.dashboards import dashboards, panels
from tests.grafana.known_metrics import alerts

RUNBOOK = re.compile(r"\$\{prometheus:raw\}/user/runbooks/(\w+)\.md")


def linked(uid: str) -> set[str]:
    """Return the alerts whose runbooks the panels of a dashboard link to."""
    return {
        found[1]
        for panel in panels(dashboards()[uid])
        for link in panel.get("links", [])
        if (found := RUNBOOK.fullmatch(link["url"]))
    }


def test_every_dashboard_that_an_alert_links_to_exists() -> None:
    assert set(alerts().values()) == dashboards().keys()


@pytest.mark.parametrize("uid", dashboards())
def test_the_dashboard_of_an_alert_has_a_panel_on_it(uid: str) -> None:
    assert {alert for alert, board in alerts().items() if board == uid} - linked(uid) == set()


@pytest.mark.parametrize("uid", dashboards())
def test_every_linked_runbook_belongs_to_an_alert(uid: str) -> None:
    assert linked(uid) - alerts().keys() == set()


@pytest.mark.parametrize("uid", dashboards())
def test_dashboards_lead_to_each_other_and_to_runbooks(uid: str) -> None:
    dashboard = dashboards()[uid]
    assert dashboard["uid"] == uid
    assert "aliaport" in dashboard["tags"]
    others, runbooks, _ = dashboard["links"]
    assert (others["type"], others["tags"]) == ("dashboards", ["aliaport"])
    assert others["keepTime"], "the chosen time would be lost on the way"
    assert others["includeVars"], (
        "the data source, which is the environment, would be lost on the way"
    )
    assert runbooks["url"] == "${prometheus:raw}/user/runbooks/"


@pytest.mark.parametrize("uid", dashboards())
def test_every_description_has_a_question(uid: str) -> None:
    for panel in panels(dashboards()[uid]):
        assert "?" in panel["description"], f"{panel['title']}: {panel['description']}"
        assert panel["description"].endswith((".", "?")), panel["title"]


def test_the_alerts_in_the_table_link_to_their_runbooks() -> None:
    (table,) = (
        panel for panel in panels(dashboards()["aliaport-overview"]) if panel["type"] == "table"
    )
    links = [
        link["url"]
        for override in table["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "Alert"
        for change in override["properties"]
        for link in change["value"]
    ]
    assert links == ["${prometheus:raw}/user/runbooks/${__value.raw}.md"]
