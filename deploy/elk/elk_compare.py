"""Compares objects on a server with our files, ignoring differences that the server introduces."""

import json
from typing import Any

BY_SERVER = {
    "created_date",
    "created_date_millis",
    "effective_retention",
    "metadata",
    "modified_date",
    "modified_date_millis",
    "retention_determined_by",
    "transient_metadata",
}
"""Keys that Elasticsearch adds."""


def left_out(key: str, value: Any) -> bool:
    """Return whether a key on one side only is insignificant: a default or added by the server."""
    return key in BY_SERVER or value in (None, False, "", []) or (key, value) == ("enabled", True)


def same(ours: Any, theirs: Any) -> bool:
    """Return whether both are equal, however the server writes numbers and defaults."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return all(
            same(ours[key], theirs[key])
            if key in ours and key in theirs
            else left_out(key, ours.get(key, theirs.get(key)))
            for key in ours.keys() | theirs.keys()
        )
    if isinstance(ours, list) and isinstance(theirs, list):
        if any(isinstance(item, dict | list) for item in ours + theirs):
            return len(ours) == len(theirs) and all(map(same, ours, theirs))
        return sorted(map(str, ours)) == sorted(map(str, theirs))
    return str(ours).lower() == str(theirs).lower()


def decoded(value: Any) -> Any:
    """Decode a value of a saved object; Kibana stores some objects as JSON strings."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def holds(ours: Any, theirs: Any) -> bool:
    """Return whether `theirs` contains all of `ours`; Kibana adds keys when it stores an object."""
    ours, theirs = decoded(ours), decoded(theirs)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return all(key in theirs and holds(value, theirs[key]) for key, value in ours.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(holds, ours, theirs))
    return bool(ours == theirs)
