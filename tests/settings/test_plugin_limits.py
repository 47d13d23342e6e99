"""The limits of plugins: bounded and consistent, and named in the error if they are not."""

import re
from pathlib import Path

import pytest

from aliaport.errors import ConfigError
from aliaport.settings import PluginLimits, core_settings, read_sources

PREFIX = "ALIAPORT_PLUGIN_LIMITS__"


def limits(**values: str) -> PluginLimits:
    variables = {f"{PREFIX}{name.upper()}": value for name, value in values.items()}
    return core_settings(read_sources(variables)).plugin_limits


def test_limits_can_be_set_alone_and_be_equal_to_each_other() -> None:
    assert limits(start_timeout="30") == PluginLimits(start_timeout=30)
    equal = {"first_retry": 90.0, "max_retry": 90.0, "stop_timeout": 8.0, "stop_all_timeout": 8.0}
    given = limits(**{name: str(seconds) for name, seconds in equal.items()})
    assert given.model_dump(include=set(equal)) == equal


@pytest.mark.parametrize("name", PluginLimits.model_fields)
@pytest.mark.parametrize("value", ["0", "-1", "100000", "inf", "nan", "soon"])
def test_a_limit_out_of_bounds_is_refused_and_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{PREFIX}{name.upper()}: plugin_limits.{name}: "):
        limits(**{name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"first_retry": "90"}, "max_retry must be at least first_retry (90 s)"),
        ({"stop_timeout": "8"}, "stop_all_timeout must be at least stop_timeout (8 s)"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(
    values: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        limits(**values)


def test_contradicting_limits_name_the_variables_that_set_them() -> None:
    with pytest.raises(ConfigError) as raised:
        limits(first_retry="90", max_retry="30", import_timeout="5")
    assert raised.value.problems == (
        f"{PREFIX}FIRST_RETRY, {PREFIX}MAX_RETRY: plugin_limits: "
        "max_retry must be at least first_retry (90 s)",
    )


def test_contradicting_limits_of_a_file_name_the_file(tmp_path: Path) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text("[plugin_limits]\nstop_timeout = 8\n")
    with pytest.raises(ConfigError, match=f"{toml}: plugin_limits: stop_all_timeout must be"):
        core_settings(read_sources({f"{PREFIX}IMPORT_TIMEOUT": "5"}, toml))
