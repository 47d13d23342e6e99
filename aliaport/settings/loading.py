"""Turns sources into validated options; the environment wins over the file."""

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from aliaport.errors import ConfigError, InvalidDefaultsError, MissingOptionsError
from aliaport.plugin import PluginConfig
from aliaport.printable import plain_text
from aliaport.redaction import redact, shorten
from aliaport.settings.defaults import failing_factory, table_of, wrong_default
from aliaport.settings.model import Settings
from aliaport.settings.renamed import with_current_names
from aliaport.settings.secret_files import shown_path
from aliaport.settings.sources import ENCODING, PREFIX, Sources
from aliaport.settings.tokens import read_token_file

ModelT = TypeVar("ModelT", bound=BaseModel)
Group = Literal["plugins", "apps"]

MAX_REASON = 500
"""Characters of an exception's text that a message has."""

_UNION = re.compile(r"[a-z-]+\[")
"""A part of an error's location that names the member of a union, not an option."""


def core_settings(sources: Sources) -> Settings:
    """Return the service's own options. Raises ConfigError with every problem."""
    sources, problems = with_current_names(sources, (), Settings.renamed_options)
    table = {key: value for key, value in sources.table.items() if key not in ("plugins", "apps")}
    known = tuple(Settings.model_fields)
    variables = {
        name.removeprefix(PREFIX): value
        for name, value in sources.variables.items()
        if _first_part(name) in known or _first_part(name).removesuffix("_file") in known
    }
    return _validated(Settings, table, variables, PREFIX, (), sources, problems)


def plugin_config(
    sources: Sources, group: Group, name: str, model: type[PluginConfig]
) -> PluginConfig:
    """Return the options of one plugin or app. Raises ConfigError with every problem.

    Raises InvalidDefaultsError if only the author can correct them.
    """
    sources, problems = with_current_names(sources, (group, name), model.renamed_options)
    prefix = f"{PREFIX}{group.upper()}__{name.upper()}__"
    table = _table(sources.table.get(group, {})).get(name, {})
    if not isinstance(table, dict):
        raise ConfigError([f"{sources.file}: {group}.{name}: must be a table: [{group}.{name}]"])
    variables = {
        variable.removeprefix(prefix): value
        for variable, value in sources.variables.items()
        if variable.startswith(prefix)
    }
    return _validated(model, table, variables, prefix, (group, name), sources, problems)


def unknown_tables(sources: Sources, plugins: Collection[str], apps: Collection[str]) -> list[str]:
    """Return one problem for each table or variable of a plugin or app that is not installed."""
    problems = []
    for group, installed in (("plugins", plugins), ("apps", apps)):
        named = {
            name: f"{sources.file}: [{group}.{name}]"
            for name in _table(sources.table.get(group, {}))
        }
        for variable in sources.variables:
            head, _, rest = variable.removeprefix(PREFIX).partition("__")
            if head == group.upper():
                name = rest.partition("__")[0].lower()
                named.setdefault(name, sources.name_of(variable))
        for name, where in named.items():
            if name not in installed:
                problems.append(f"{where}: {_not_found(group[:-1], name, installed)}")
    return problems


def unknown_probes(sources: Sources, probes: Collection[str]) -> list[str]:
    """Return one problem for each configured probe that does not exist."""
    named = {
        name: f"{sources.file}: [probes.{name}]" for name in _table(sources.table.get("probes", {}))
    }
    for variable in sources.variables:
        head, _, rest = variable.removeprefix(PREFIX).partition("__")
        if head == "PROBES":
            named.setdefault(rest.partition("__")[0].lower(), sources.name_of(variable))
    return [
        f"{where}: {_not_found('probe', name, probes)}"
        for name, where in named.items()
        if name not in probes
    ]


def environment_warnings(sources: Sources) -> list[str]:
    """Return one warning for each ALIAPORT_* variable that nothing reads."""
    files = ("database_url_file", "sentry_dsn_file")
    fields = [*Settings.model_fields, *Settings.renamed_options]
    known = [*fields, *files, "config", "plugins", "apps"]
    warnings = []
    for variable in sources.variables:
        first = _first_part(variable)
        if first not in known:
            near = difflib.get_close_matches(first, known, n=1)
            hint = ""
            if near:
                current = Settings.renamed_options.get(near[0], near[0])
                _, *rest = variable.removeprefix(PREFIX).partition("__")
                hint = f"; did you mean {PREFIX}{current.upper()}{''.join(rest)}?"
            warnings.append(f"{sources.name_of(variable)}: nothing reads this variable{hint}")
    return warnings


def token_file_problems(settings: Settings, sources: Sources) -> list[str]:
    """Return one problem for each line of the file of tokens that is not a valid token.

    In development and test, nothing reads the file.
    """
    if settings.status_token_file is None or settings.open:
        return []
    try:
        problems = read_token_file(settings.status_token_file).problems
    except ValueError as error:
        problems = (str(error),)
    where = place_of(sources, "status_token_file")
    return [f"{where}: {problem}" for problem in problems]


def place_of(sources: Sources, *path: str) -> str:
    """Return where an option of the service is set: the variable, or the file and the key."""
    sources, _ = with_current_names(sources, (), Settings.renamed_options)
    variable = PREFIX + "__".join(path).upper()
    if variable in sources.variables:
        return sources.name_of(variable)
    key = ".".join(path)
    return f"{sources.file}: {key}" if sources.file else key


class _Variables(EnvSettingsSource):
    """Reads nested variables as pydantic-settings does, but from a given mapping."""

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(settings, env_nested_delimiter="__", env_ignore_empty=True)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {f"value__{name.lower()}": value for name, value in self._variables.items()}

    def decode_complex_value(self, _field_name: str, _field: FieldInfo, value: Any) -> Any:
        """Decode JSON or comma-separated text; validation checks the result."""
        try:
            return json.loads(value)
        except ValueError:
            return [part.strip() for part in value.split(",") if part.strip()]


def _validated(
    model: type[ModelT],
    table: Mapping[str, Any],
    variables: dict[str, str],
    prefix: str,
    path: tuple[str, ...],
    sources: Sources,
    problems: list[str],
) -> ModelT:
    given = tuple(variables)
    secrets = _secret_files(model, variables, prefix, sources, problems)
    wrapper = create_model("Wrapper", __base__=BaseSettings, value=(model, ...))
    nested = _Variables(wrapper, variables)().get("value", {}) if variables else {}
    merged = _merge(_merge(table, nested), secrets)
    try:
        value = model.model_validate(merged)
    except ValidationError as error:
        defaults, details = _split_defaults(model, merged, path, error)
        only_missing = not problems and all(
            detail["type"] == "missing" and not any(isinstance(part, int) for part in detail["loc"])
            for detail in details
        )
        for detail in details:
            problem = _problem(detail, model, given, prefix, path, sources)
            if problem not in problems:  # each member of a union reports one
                problems.append(problem)
        if defaults and not problems:
            raise InvalidDefaultsError(defaults) from None
        problems += defaults
        if only_missing:
            raise MissingOptionsError(problems) from None
    except (Exception, SystemExit) as error:  # a bulkhead: code of the plugin's author
        failing = failing_factory(model, merged, error)
        if not failing:
            raise
        text = plain_text(redact(shorten(f"{type(error).__name__}: {error}", MAX_REASON)))
        defaults = [f"{'.'.join(path)}: {failing} fails: {text}"]
        if not problems:
            raise InvalidDefaultsError(defaults) from error
        problems += defaults
    if problems:
        raise ConfigError(problems)
    return value


def _split_defaults(
    model: type[BaseModel], given: Mapping[str, Any], path: tuple[str, ...], error: ValidationError
) -> tuple[list[str], list[Any]]:
    """Return the problems of defaults, and the details of those with options that are set."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    factory = failing_factory(model, given, error)
    defaults, others = [], []
    for detail in details:
        if detail["type"] == "default_factory_not_called":  # because of another problem
            continue
        message, location = _reworded(str(detail["msg"])), _location(detail)
        what = factory or (
            "" if detail["type"] == "missing" else wrong_default(model, given, location, message)
        )
        if what:
            defaults.append(f"{'.'.join((*path, *location))}: {message}; this is {what}")
        else:
            others.append(detail)
    return list(dict.fromkeys(defaults)), others


def _secret_files(
    model: type[BaseModel],
    variables: dict[str, str],
    prefix: str,
    sources: Sources,
    problems: list[str],
) -> dict[str, Any]:
    """Remove the …_FILE variables of secret fields from `variables` and read their files."""
    found: dict[str, Any] = {}
    for path in _secret_fields(model, ()):
        name = "__".join(path).upper()
        file = variables.pop(f"{name}_FILE", None)
        if file is None:
            continue
        variable = sources.name_of(f"{prefix}{name}_FILE")
        if name in variables:
            problems.append(f"{variable}: {name} is set too; set only one of them")
            continue
        try:
            text = Path(file).read_text(encoding=ENCODING)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is not UTF-8 text"
            problems.append(
                f"{variable}: {shown_path(file)}: {reason}; set it to the path of a readable file "
                "with the secret"
            )
            continue
        inner = found
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = text.rstrip("\r\n")
    return found


def _secret_fields(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        if any(kind is SecretStr for kind in kinds) and get_origin(field.annotation) is not tuple:
            yield (*path, name)
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _secret_fields(kind, (*path, name))


def _problem(
    error: Any,
    model: type[BaseModel],
    variables: Collection[str],
    prefix: str,
    path: tuple[str, ...],
    sources: Sources,
) -> str:
    location = _location(error)
    table = table_of(_model_at(model, location[:-1]), location[-1]) if location else None
    message = _message(error, prefix, path, location, table)
    where = f"{sources.file}: " if sources.file else ""
    named = _named_variables(message, location, variables)
    if named:
        where = f"{', '.join(sources.name_of(prefix + name) for name in named)}: "
    for length in range(len(location), 0, -1):
        variable = "__".join(location[:length]).upper()
        used = [name for name in (variable, f"{variable}_FILE") if name in variables]
        if used:
            where = f"{sources.name_of(prefix + used[0])}: "
            if used[0] != variable:  # the value is in a file
                where += f"{shown_path(sources.variables[prefix + used[0]])}: "
            break
    key = ".".join((*path, *location))
    if error["type"] == "extra_forbidden":
        inner = _model_at(model, location[:-1])
        renamed = getattr(inner, "renamed_options", {})
        return f"{where}{key}: {_not_found('option', location[-1], inner.model_fields, renamed)}"
    return f"{where}{key}: {message}" if location else f"{where}{'.'.join(path)}: {message}"


def _message(
    error: Any,
    prefix: str,
    path: tuple[str, ...],
    location: tuple[str, ...],
    table: type[BaseModel] | None,
) -> str:
    """Return the problem in the words of this project: what must be, and where to set it."""
    kind = error["type"]
    if kind == "missing":
        if any(part.isdigit() for part in location):  # in a list: no variable sets it
            return "is required"
        if table is not None:
            wanted = [name for name, field in table.model_fields.items() if field.is_required()]
            inside = f" with: {', '.join(wanted)}" if wanted else ""
            return f"is required; add the table [{'.'.join((*path, *location))}]{inside}"
        variable = prefix + "__".join(location).upper()
        parent = ".".join((*path, *location[:-1]))
        return f"is required; set {variable}, or {location[-1]} in [{parent}]"
    if kind in ("model_type", "dict_type"):
        return f"must be a table: [{'.'.join((*path, *location))}]"
    if kind in ("ip_v4_network", "ip_v6_network"):
        return "must be a network, such as 10.0.0.0/8"
    return _reworded(str(error["msg"]))


def _reworded(message: str) -> str:
    message, *_ = message.removeprefix("Value error, ").split(", unable to parse")
    return message.replace("Input should be", "must be")


def _location(error: Any) -> tuple[str, ...]:
    return tuple(str(part) for part in error["loc"] if not _UNION.match(str(part)))


def _named_variables(
    message: str, location: tuple[str, ...], variables: Collection[str]
) -> list[str]:
    """Return the variables of the options below `location` that `message` names.

    The problem of a whole table names its options in the message only, such as
    "max_retry must be at least first_retry".
    """
    words = set(re.findall(r"\w+", message))
    table = "".join(f"{part.upper()}__" for part in location)
    return [
        name
        for name in variables
        if name.startswith(table) and name.removeprefix(table).lower() in words
    ]


def _model_at(model: type[BaseModel], location: tuple[str, ...]) -> type[BaseModel]:
    for part in location:
        model = table_of(model, part) or model
    return model


def _not_found(
    kind: str, name: str, known: Collection[str], renamed: Mapping[str, str] | None = None
) -> str:
    """Return the problem of an unknown name; `renamed` maps old names to those in `known`."""
    renamed = renamed or {}
    near = difflib.get_close_matches(name, sorted({*known, *renamed}), n=1)
    if near:
        return f"there is no {kind} {name!r}; did you mean {renamed.get(near[0], near[0])!r}?"
    return f"there is no {kind} {name!r}; there are: {', '.join(sorted(known)) or 'none'}"


def _first_part(variable: str) -> str:
    return variable.removeprefix(PREFIX).partition("__")[0].lower()


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged
