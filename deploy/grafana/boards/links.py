"""Links from dashboards. Prometheus serves the runbooks at the address in a hidden variable."""

from typing import Any

RUNBOOKS = "${prometheus:raw}/user/runbooks/"
TAG = "aliaport"


def link(title: str, url: str, icon: str = "external link", tooltip: str = "") -> dict[str, Any]:
    """Return a link to a page outside Grafana."""
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
    """Return a panel's link to the runbook of an alert."""
    return link(f"Runbook: {alert}", f"{RUNBOOKS}{alert}.md", icon="doc")


def dashboard_links() -> list[dict[str, Any]]:
    """Return links to the other dashboards, keeping data source and time, and to the runbooks."""
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
        link("Runbooks", RUNBOOKS, "doc", "One page for each alert: its meaning and what to do"),
        link("Alerts", "${prometheus:raw}/alerts", "bolt", "Prometheus: firing and pending alerts"),
    ]
