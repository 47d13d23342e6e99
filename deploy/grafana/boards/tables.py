"""Tables: lists of things of this moment."""

from typing import Any

from .links import RUNBOOKS
from .panels import PLAIN, Panel, overridden, panel, steps, targets
from .queries import Query

SEVERITIES = {"critical": "red", "warning": "orange", "info": "blue"}


def alerts(title: str, description: str, runbooks: tuple[str, ...], size: tuple[int, int]) -> Panel:
    """What fires now, since when, and what to do: each name leads to its runbook.

    ALERTS itself does not say since when, the series of the alerts' own state does.
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
                "noValue": "Nothing fires",
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
