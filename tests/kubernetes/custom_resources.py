"""Closed schemas for the parts of Prometheus Operator's custom resources that are used here.

Derived from its types (monitoring.coreos.com/v1); the operator itself was not run.
"""

from typing import Any

import jsonschema  # type: ignore[import-untyped]

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
LABEL: Schema = {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}
DURATION: Schema = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
    "minLength": 1,
}


def closed(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def list_of(item: Schema, min_items: int = 1) -> Schema:
    return {"type": "array", "items": item, "minItems": min_items}


RULE: Schema = {
    **closed(
        ("expr",),
        alert=TEXT,
        record={"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"},
        expr=TEXT,
        **{"for": DURATION},
        keep_firing_for=DURATION,
        labels=TEXTS,
        annotations=TEXTS,
    ),
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}
RELABELING = closed(
    action={
        "enum": [
            "replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep",
            "lowercase", "uppercase", "keepequal", "dropequal",
        ]
    },
    sourceLabels=list_of(LABEL),
    targetLabel=LABEL,
    regex=TEXT,
    replacement={"type": "string"},
    separator={"type": "string"},
    modulus={"type": "integer"},
)  # fmt: skip
SELECTOR = closed(("matchLabels",), matchLabels=TEXTS)
ENDPOINT = closed(
    ("port", "path"),
    port=TEXT,
    path={"type": "string", "pattern": "^/"},
    scheme={"enum": ["http", "https"]},
    params={"type": "object", "additionalProperties": list_of(TEXT)},
    interval=DURATION,
    scrapeTimeout=DURATION,
    honorLabels={"type": "boolean"},
    relabelings=list_of(RELABELING),
    metricRelabelings=list_of(RELABELING),
)
STATIC = closed(
    ("static",), static=list_of(TEXT), labels=TEXTS, relabelingConfigs=list_of(RELABELING)
)
SPECS = {
    "PrometheusRule": closed(
        ("groups",),
        groups=list_of(
            closed(("name", "rules"), name=TEXT, interval=DURATION, rules=list_of(RULE))
        ),
    ),
    "ServiceMonitor": closed(
        ("selector", "endpoints"), selector=SELECTOR, endpoints=list_of(ENDPOINT), jobLabel=TEXT
    ),
    "Probe": closed(
        ("jobName", "module", "prober", "targets"),
        jobName=TEXT,
        interval=DURATION,
        scrapeTimeout=DURATION,
        module=TEXT,
        prober=closed(("url",), url={"type": "string", "pattern": "^[^/]+$"}),
        targets=closed(("staticConfig",), staticConfig=STATIC),
    ),
}


def problems(resource: dict[str, Any]) -> list[str]:
    """Return the problems of a custom resource."""
    schema = closed(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": "monitoring.coreos.com/v1"},
        kind={"enum": list(SPECS)},
        metadata=closed(("name", "labels"), name=TEXT, namespace=TEXT, labels=TEXTS),
        spec=SPECS[resource["kind"]],
    )
    found = jsonschema.Draft202012Validator(schema).iter_errors(resource)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in found]
