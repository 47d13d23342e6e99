"""What the mappings of a log line have to be: the registry of fields, said in Elasticsearch's words."""

from typing import Any

from aliaport.logs.fields import ECS_FIELDS, LABELS, NUMBERS, OWN_FIELDS

IGNORE_ABOVE = 1024
"""The longest keyword that is searchable, as in the Elastic Common Schema; the text stays in _source."""

UNSEARCHED = {"type": "keyword", "index": False, "doc_values": False}
"""For what only makes a file's first line long: kept, if at all, but never searched."""


def field(kind: str) -> dict[str, Any]:
    """The mapping of one type of the registry; a list is mapped as what it holds."""
    kind = kind.removesuffix("[]")
    return {"type": kind, "ignore_above": IGNORE_ABOVE} if kind == "keyword" else {"type": kind}


def properties() -> dict[str, Any]:
    """All fields of the registry as nested properties."""
    root: dict[str, Any] = {}
    for name, kind in {**ECS_FIELDS, **OWN_FIELDS}.items():
        *parents, last = name.split(".")
        here = root
        for parent in parents:
            here = here.setdefault(parent, {"properties": {}})["properties"]
        here[last] = dict(UNSEARCHED) if name == "aliaport.padding" else field(kind)
    return root


def dynamic_templates() -> list[dict[str, Any]]:
    """What is in no table goes by its prefix, and any other text is a keyword."""
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
