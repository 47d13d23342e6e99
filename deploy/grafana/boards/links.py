"""Links from dashboards. Prometheus serves the runbooks, at the address in a hidden variable."""

from typing import Any

RUNBOOKS = "${prometheus:raw}/user/runbooks/"
TAG = "aliaport"


def link(title: str, url: str, icon: str = "external link", tooltip: str = "") -> dict[str, Any]:
    """A link to a page outside of Grafana."""
    return {
        "type": "link",
        "title": title,
        "url": url,
        "icon": icon,
        "tooltip": tooltip,
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": True,
    }


def runbook(alert: str) -> dict[str, Any]:
    """A panel's link to what to do when an alert on it fires."""
    return link(f"Runbook: {alert}", f"{RUNBOOKS}{alert}.md", icon="doc")


def dashboard_links() -> list[dict[str, Any]]:
    """To the other dashboards, with their data source and time kept, and to what to do."""
    others = {
        **link("Aliaport", ""),
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }
    return [
        others,
        link("Runbooks", RUNBOOKS, "doc", "One page an alert: what it means and what to do"),
        link("Alerts", "${prometheus:raw}/alerts", "bolt", "Prometheus: what fires and what may"),
    ]
