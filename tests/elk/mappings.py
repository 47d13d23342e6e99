"""The required mappings of a log line: the registry of fields in Elasticsearch's terms."""

from typing import Any

from aliaport.logs.fields import ECS_FIELDS, LABELS, NUMBERS, OWN_FIELDS

IGNORE_ABOVE = 1024
"""The maximum length of a searchable keyword, as in the Elastic Common Schema; _source has the text."""

UNSEARCHED = {"type": "keyword", "index": False, "doc_values": False}
"""For the padding of a file's first line: never searched, if it is kept at all."""


def field(kind: str) -> dict[str, Any]:
    """Return the mapping of one type of the registry; a list has the mapping of its items."""
    kind = kind.removesuffix("[]")
    return {"type": kind, "ignore_above": IGNORE_ABOVE} if kind == "keyword" else {"type": kind}


def properties() -> dict[str, Any]:
    """Return all fields of the registry as nested properties."""
    root: dict[str, Any] = {}
    for name, kind in {**ECS_FIELDS, **OWN_FIELDS}.items():
        *parents, last = name.split(".")
        here = root
        for parent in parents:
            here = here.setdefault(parent, {"properties": {}})["properties"]
        here[last] = dict(UNSEARCHED) if name == "aliaport.padding" else field(kind)
    return root


def dynamic_templates() -> list[dict[str, Any]]:
    """Return the templates for unlisted fields: by prefix, and keyword for any other text."""
    return [
        {
            "numbers": {
                "path_match": f"{NUMBERS}*",
                "match_mapping_type": ["long", "double"],
                "mapping": {"type": "double"},
            }
        },
        {
            "labels": {
                "path_match": f"{LABELS}*",
                "match_mapping_type": "string",
                "mapping": field("keyword"),
            }
        },
        {"strings": {"match_mapping_type": "string", "mapping": field("keyword")}},
    ]
