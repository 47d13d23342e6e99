"""A model of an ingest node, limited to the processors and conditions that our pipeline uses."""

import copy
import re
from collections.abc import Callable
from typing import Any

Document = dict[str, Any]

CONDITIONS: dict[str, Callable[[Document, str | None], bool]] = {
    "ctx._id != null": lambda ctx, id_: id_ is not None,
    "ctx.error?.type == 'json' && ctx.event?.action == null": lambda ctx, id_: (
        value(ctx, "error.type") == "json" and value(ctx, "event.action") is None
    ),
    "ctx.event?.action == 'log.unparsable'": lambda ctx, id_: (
        value(ctx, "event.action") == "log.unparsable"
    ),
}
"""The meaning of each condition. There is no Painless here, so add new ones by hand."""


def value(document: Document, field: str) -> Any:
    """Return a field by its dotted name, or None if it does not exist."""
    here: Any = document
    for part in field.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    return here


def put(document: Document, field: str, new: Any) -> None:
    """Set a field by its dotted name."""
    *parents, last = field.split(".")
    here = document
    for parent in parents:
        here = here.setdefault(parent, {})
    here[last] = new


def remove(document: Document, field: str) -> None:
    """Remove a field if it exists."""
    parent, _, last = field.rpartition(".")
    holder = value(document, parent) if parent else document
    if isinstance(holder, dict):
        holder.pop(last, None)


def processed(pipeline: Document, document: Document, id_: str | None, now: str) -> Document:
    """Return the document after the pipeline."""
    done = copy.deepcopy(document)
    known = {"_id": id_ or "", "_ingest.timestamp": now}
    for processor in pipeline["processors"]:
        ((kind, step),) = processor.items()
        if "if" in step and not CONDITIONS[step["if"]](done, id_):
            continue
        if kind == "remove":
            remove(done, step["field"])
            continue
        assert kind == "set", f"the model does not support the processor {kind}"
        if step.get("override") is False and value(done, step["field"]) is not None:
            continue
        if "copy_from" in step:
            put(done, step["field"], value(done, step["copy_from"]))
        else:
            put(done, step["field"], re.sub(r"{{{(.*?)}}}", lambda m: known[m[1]], step["value"]))
    return done
