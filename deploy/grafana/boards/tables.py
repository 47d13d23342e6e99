"""Tables of current values."""

from typing import Any

from .links import RUNBOOKS
from .panels import PLAIN, Panel, overridden, panel, steps, targets
from .queries import Query

SEVERITIES = {"critical": "red", "warning": "orange", "info": "blue"}


def alerts(title: str, description: str, runbooks: tuple[str, ...], size: tuple[int, int]) -> Panel:
    """Return a table of the firing alerts and their start; each name links to its runbook.

    ALERTS does not have the start; ALERTS_FOR_STATE does.
    """
    expr = (
        "1000 * (ALERTS_FOR_STATE and ignoring (alertstate)"
        ' ALERTS{alertstate="firing",alertname!="Watchdog"})'
    )
    severities: list[dict[str, Any]] = [
        {
            "type": "value",
            "options": {
                name: {"index": index, "text": name, "color": colour}
                for index, (name, colour) in enumerate(SEVERITIES.items())
            },
        }
    ]
    what_to_do = [
        {
            "title": "What to do",
            "url": f"{RUNBOOKS}${{__value.raw}}.md",
            "targetBlank": True,
        }
    ]
    columns = {"severity": "Severity", "alertname": "Alert", "Value": "Since"}
    order = ("severity", "alertname", "Value", "job", "instance")
    return panel(
        "table",
        title,
        description,
        size=size,
        runbooks=runbooks,
        fieldConfig={
            "defaults": {
                "unit": "string",
                "color": {"mode": "thresholds"},
                "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
                "mappings": [],
                "noValue": "No alert fires",
                "thresholds": steps(PLAIN),
            },
            "overrides": [
                overridden("Since", unit="dateTimeFromNow"),
                overridden("Alert", links=what_to_do),
                overridden(
                    "Severity",
                    mappings=severities,
                    custom__cellOptions={"type": "color-background", "mode": "basic"},
                    custom__width=100,
                ),
            ],
        },
        options={
            "cellHeight": "sm",
            "frameIndex": 0,
            "showHeader": True,
            "sortBy": [{"displayName": "Since", "desc": True}],
        },
        targets=targets([Query(expr, "")], range=False, instant=True, format="table"),
        transformations=[
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "includeByName": {},
                    "indexByName": {name: index for index, name in enumerate(order)},
                    "renameByName": columns,
                },
            }
        ],
    )
