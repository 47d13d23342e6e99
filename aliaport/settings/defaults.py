"""Recognizes problems of options that the author of a plugin caused, by a wrong default."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def wrong_default(
    model: type[BaseModel], given: Mapping[str, Any], location: Sequence[str], message: str
) -> str:
    """Return the class and option whose default is wrong; '' if the operator set what is wrong.

    `given` holds the options that are set, `location` says where the problem is, and `message` what
    it is: the problem of a whole table names its options only there. A validator may compare a
    default with what is set, or derive it from that: a default is wrong only if it fails alone.
    """
    for name in location:
        if name in model.model_fields and name not in given:
            wrong = _fails(model, {}, (name,))
            return f"the default of {_named(model)}.{name}" if wrong else ""
        table, inside = table_of(model, name), given.get(name)
        if table is None or not isinstance(inside, Mapping):
            return ""
        model, given = table, inside
    words = set(re.findall(r"\w+", message)) & model.model_fields.keys()
    fields = model.model_fields
    required = {
        name: given[name] for name in given if name in fields and fields[name].is_required()
    }
    if any(name in given for name in words or given.keys() - required.keys()):
        return ""
    if not _fails(model, required, ()):
        return ""
    return f"a combination of the defaults of {_named(model)}"


def _fails(model: type[BaseModel], given: Mapping[str, Any], place: tuple[str, ...]) -> bool:
    """Return True if `model` reports a problem at `place` with the options of `given` only."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        return any(detail["loc"][: len(place) or None] == place for detail in error.errors())
    except Exception:  # a bulkhead: a validator of the author that needs what is not given
        return False
    return False


def failing_factory(model: type[BaseModel], given: Mapping[str, Any], error: BaseException) -> str:
    """Return the option whose `default_factory` raised `error`; '' if none did.

    The factories are called again: an exception says where it was raised, but not for which option.
    """
    found = next(_failing_factories(model, given, type(error)), "")
    if isinstance(error, ValidationError):
        if error.title == (model.model_config.get("title") or model.__name__):
            return ""  # that of a factory has the title of another model
        return found or f"a default of {_named(model)}, of the type {error.title}"
    return found


def _failing_factories(
    model: type[BaseModel], given: Mapping[str, Any], kind: type[BaseException]
) -> Iterator[str]:
    for name, field in model.model_fields.items():
        make: Any = field.default_factory
        inside = given.get(name, {} if make else None)
        table = table_of(model, name)
        if table is not None and isinstance(inside, Mapping):
            yield from _failing_factories(table, inside, kind)
        if make is None or name in given:
            continue
        takes_data = field.default_factory_takes_validated_data
        if _raises(make, [{**_fixed_defaults(model), **given}] if takes_data else [], kind):
            yield f"the default of {_named(model)}.{name}"


def _raises(make: Any, arguments: Sequence[Any], kind: type[BaseException]) -> bool:
    try:
        make(*arguments)
    except kind:
        return True
    except (Exception, SystemExit):  # a bulkhead: with values that are not validated, it may differ
        return False
    return False


def _fixed_defaults(model: type[BaseModel]) -> dict[str, Any]:
    fields = model.model_fields.items()
    return {name: field.default for name, field in fields if field.default_factory is None}


def table_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the model of a nested table of options; None if `name` is not one."""
    field = model.model_fields.get(name)
    kinds = () if field is None else (field.annotation, *get_args(field.annotation))
    tables = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return tables[0] if tables else None


def _named(model: type[BaseModel]) -> str:
    return f"{model.__module__}.{model.__qualname__}"
