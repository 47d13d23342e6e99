"""A wrong default of an author is distinguished from a wrong value of the operator."""

from typing import Any, Self

import pytest
from pydantic import Field, SecretStr, TypeAdapter, ValidationInfo, field_validator, model_validator

from aliaport.errors import ConfigError, InvalidDefaultsError, MissingOptionsError
from aliaport.plugin import PluginConfig
from aliaport.settings import Sources, plugin_config


class Inner(PluginConfig):
    size: int = Field(20, le=10)
    depth: int = Field(1, le=10)


class Bounds(PluginConfig):
    low: int = 5
    high: int = 3

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError("low must be at most high")
        return self


class Silent(PluginConfig):
    low: int = 5

    @model_validator(mode="after")
    def _refuse(self) -> Self:
        raise ValueError("this does not fit together")


class OfRange(Inner):
    name: str = "x"


class OfType(PluginConfig):
    count: int = "many"  # type: ignore[assignment]
    other: int = 1


class Secret(PluginConfig):
    key: SecretStr = Field(SecretStr("hunter2"), min_length=20)


class Nested(PluginConfig):
    inner: Inner | None = None
    bounds: Bounds | None = None


class Table(PluginConfig):
    tables: dict[str, Inner] = Field({"a": {}})  # type: ignore[dict-item]


class Factory(PluginConfig):
    inner: Inner = Field(default_factory=Inner)


class Lambda(PluginConfig):
    other: int = 1
    inner: Inner = Field(default_factory=lambda: Inner())


def unreadable() -> int:
    raise OSError("/etc/sizes: no such file")


def exits() -> int:
    raise SystemExit("no sizes")


def named(data: dict[str, Any]) -> str:
    return {1: "low"}[data["low"]]


class FactoryRaises(PluginConfig):
    low: int = 2
    size: int = Field(default_factory=unreadable)


class FactoryOfDataRaises(PluginConfig):
    low: int = 2
    name: str = Field(default_factory=named)


class FactoryExits(PluginConfig):
    size: int = Field(default_factory=exits)


class FactoryOfTypeRaises(PluginConfig):
    size: int = Field(default_factory=lambda: TypeAdapter(int).validate_python("many"))


class FactoriesInTables(PluginConfig):
    inner: FactoryRaises | None = None
    made: FactoryRaises = Field(default_factory=FactoryRaises)


class ValidatorRaises(FactoryOfDataRaises):
    @model_validator(mode="before")
    @classmethod
    def _fail(cls, values: dict[str, Any]) -> dict[str, Any]:
        raise OSError("not of a factory")


class Needing(PluginConfig):
    key: str
    count: int = Field(20, le=10)


class Compared(PluginConfig):
    """The validator of one option reads another."""

    low: int = 1
    high: int = 3

    @field_validator("high")
    @classmethod
    def _is_above(cls, high: int, info: ValidationInfo) -> int:
        if high < info.data["low"]:
            raise ValueError("must be at least low")
        return high


class ComparedWithRequired(Compared):
    low: int


class NamingAnother(PluginConfig):
    mode: str = "fast"
    cache: bool = True

    @model_validator(mode="after")
    def _needs_the_cache(self) -> Self:
        if self.mode == "small" and self.cache:
            raise ValueError("cache must be false")
        return self


class Deriving(PluginConfig):
    total: int = 10
    share: int = Field(5, le=10)

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"share": int(values.get("total", 10)) // 2, **values}


class DerivingFromRequired(Deriving):
    total: int

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"share": int(values["total"]) // 2, **values}


class WronglyCompared(Compared):
    low: int = 5


class WithRequired(Bounds):
    name: str


class Tables(PluginConfig):
    compared: Compared = Compared()
    naming: NamingAnother = NamingAnother()


def options(model: type[PluginConfig], **given: Any) -> PluginConfig:
    return plugin_config(Sources({}, {"plugins": {"x": given}}, None, {}), "plugins", "x", model)


AT_MOST_10 = "must be less than or equal to 10; this is the default of"
DEFAULTS: dict[str, tuple[type[PluginConfig], dict[str, Any], str]] = {
    "out of its range": (OfRange, {}, f"plugins.x.size: {AT_MOST_10} {__name__}.OfRange.size"),
    "beside another option that is set": (OfRange, {"name": "y"}, f"{AT_MOST_10} {__name__}.OfRange"),
    "of another type": (OfType, {}, f"must be a valid integer; this is the default of {__name__}.OfT"),
    "a secret": (Secret, {}, f"at least 20 items after validation, not 7; this is the default of {__name__}.Secret.key"),
    "in a table that is set": (
        Nested, {"inner": {"depth": 2}}, f"plugins.x.inner.size: {AT_MOST_10} {__name__}.Inner.size",
    ),
    "in a default table": (Table, {}, f"x.tables.a.size: {AT_MOST_10} {__name__}.Table.tables"),
    "of a factory": (Factory, {}, f"plugins.x.size: {AT_MOST_10} {__name__}.Factory.inner"),
    "of a function": (Lambda, {}, f"plugins.x.size: {AT_MOST_10} {__name__}.Lambda.inner"),
    "of a function that raises": (
        FactoryRaises, {}, f"x: the default of {__name__}.FactoryRaises.size fails: OSError: /etc/s",
    ),
    "of a function that raises, beside an option that is wrong": (
        FactoryRaises, {"low": "many"}, f"the default of {__name__}.FactoryRaises.size fails",
    ),
    "of a function that raises because of an option": (
        FactoryOfDataRaises, {"low": 3}, f"of {__name__}.FactoryOfDataRaises.name fails: KeyError: 3",
    ),
    "of a function that exits": (
        FactoryExits, {}, f"of {__name__}.FactoryExits.size fails: SystemExit: no sizes",
    ),
    "of a function that validates": (
        FactoryOfTypeRaises, {}, f"be a valid integer; this is the default of {__name__}.FactoryOfTyp",
    ),
    "of a function that raises, in a table": (
        FactoriesInTables, {"inner": {}, "made": {"size": 1}}, f"of {__name__}.FactoryRaises.size fails",
    ),
    "of a function that raises, in a default table": (
        FactoriesInTables, {}, f"the default of {__name__}.FactoryRaises.size fails",
    ),
    "that contradicts another": (
        Bounds, {}, f"low must be at most high; this is a combination of the defaults of {__name__}.B",
    ),
    "that contradicts another, in a table": (
        Nested, {"bounds": {}}, "plugins.x.bounds: low must be at most high; this is a combination",
    ),
    "that contradicts another, compared": (
        WronglyCompared, {}, f"must be at least low; this is the default of {__name__}.Wrongly",
    ),
    "that contradicts another, beside a required option": (
        WithRequired, {"name": "y"}, "low must be at most high; this is a combination of the",
    ),
    "of an unnamed combination": (Silent, {}, "plugins.x: this does not fit together; this is a comb"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DEFAULTS)
def test_a_wrong_default_names_class_and_option(kind: str) -> None:
    model, given, expected = DEFAULTS[kind]
    with pytest.raises(InvalidDefaultsError) as raised:
        options(model, **given)
    (problem,) = raised.value.problems
    assert expected in problem
    assert raised.value.exit_code == 1
    assert "hunter2" not in str(raised.value)


def test_an_exception_of_a_validator_is_not_that_of_a_default() -> None:
    with pytest.raises(OSError, match="not of a factory"):
        options(ValidatorRaises)


OPERATOR: dict[str, tuple[type[PluginConfig], dict[str, Any], str]] = {
    "a value": (OfRange, {"size": 30}, "plugins.x.size: must be less than or equal to 10"),
    "a value in a table": (Nested, {"inner": {"size": 30}}, "plugins.x.inner.size: must be less"),
    "a contradiction to a default": (Bounds, {"low": 9}, "plugins.x: low must be at most high"),
    "a value that a factory needs": (
        FactoryOfDataRaises,
        {"low": "many"},
        "plugins.x.low: must be a valid integer",
    ),
    "an unknown option": (OfRange, {"size": 1, "naem": "y"}, "did you mean 'name'?"),
    "a value of no table": (Nested, {"inner": 7}, "plugins.x.inner: must be a table"),
    "an unnamed combination": (Silent, {"low": 1}, "plugins.x: this does not fit together"),
    "a default that is compared with a value": (
        Compared,
        {"low": 9},
        "plugins.x.high: must be at least low",
    ),
    "a default that is compared with a required value": (
        ComparedWithRequired,
        {"low": 9},
        "plugins.x.high: must be at least low",
    ),
    "a combination that names only another option": (
        NamingAnother,
        {"mode": "small"},
        "plugins.x: cache must be false",
    ),
    "an option that is derived from a value": (
        Deriving,
        {"total": 90},
        "plugins.x.share: must be less than or equal to 10",
    ),
    "an option that is derived from a required value": (
        DerivingFromRequired,
        {"total": 90},
        "plugins.x.share: must be less than or equal to 10",
    ),
    "a comparison in a table": (
        Tables,
        {"compared": {"low": 9}},
        "plugins.x.compared.high: must be at least low",
    ),
    "a combination in a table": (
        Tables,
        {"naming": {"mode": "small"}},
        "plugins.x.naming: cache must be false",
    ),
}


@pytest.mark.parametrize("kind", OPERATOR)
def test_a_wrong_value_is_the_operators(kind: str) -> None:
    model, given, expected = OPERATOR[kind]
    with pytest.raises(ConfigError) as raised:
        options(model, **given)
    (problem,) = raised.value.problems
    assert expected in problem
    assert not isinstance(raised.value, InvalidDefaultsError)


def test_both_are_reported_together() -> None:
    with pytest.raises(ConfigError) as raised:
        options(OfType, other="many")
    value, default = raised.value.problems
    assert value.startswith("plugins.x.other: must be a valid integer")
    assert default.endswith("this is the default of tests.settings.test_defaults.OfType.count")
    with pytest.raises(
        MissingOptionsError, match=r"plugins.x.key: is required(.|\n)*Needing.count"
    ):
        options(Needing)


def test_a_valid_value_replaces_a_wrong_default() -> None:
    assert options(OfRange, size=3).model_dump() == {"size": 3, "depth": 1, "name": "x"}
