"""Old names of options: accepted with a warning, refused beside the new name."""

from pathlib import Path
from typing import Any

import pytest
from aliaport_operations.config import ApiConfig

from aliaport.errors import ConfigError
from aliaport.settings import (
    Settings,
    core_settings,
    environment_warnings,
    plugin_config,
    read_sources,
    renamed_options,
)

CORE = Settings.renamed_options


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "aliaport.toml"


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        ("ready_budget = 0.5\nstatus_budget = 2\n[loading]\nallow = ['disk']\n", {}),
        (
            "",
            {
                "ALIAPORT_READY_BUDGET": "0.5",
                "ALIAPORT_STATUS_BUDGET": "2",
                "ALIAPORT_LOADING__ALLOW": "disk",
            },
        ),
    ],
    ids=["file", "environment"],
)
def test_the_old_names_of_the_service_work_and_warn(
    file: Path, toml: str, environ: dict[str, str]
) -> None:
    file.write_text(toml)
    sources = read_sources(environ, file)
    settings = core_settings(sources)
    assert (settings.ready_timeout, settings.status_timeout) == (0.5, 2)
    assert settings.selection.allow == ("disk",)
    assert len(renamed_options(sources, (), CORE)) == 3
    assert environment_warnings(sources) == [], "each old name is reported once"


def test_the_environment_wins_over_the_file_whichever_name_it_uses(file: Path) -> None:
    file.write_text("ready_timeout = 9\nstatus_budget = 9\n")
    sources = read_sources({"ALIAPORT_READY_BUDGET": "1", "ALIAPORT_STATUS_TIMEOUT": "2"}, file)
    settings = core_settings(sources)
    assert (settings.ready_timeout, settings.status_timeout) == (1, 2)


def test_a_warning_names_the_place_and_the_new_name(file: Path) -> None:
    file.write_text("[loading]\nallow = ['disk']\n")
    sources = read_sources({"ALIAPORT_LOADING__DISABLE": "cpu"}, file)
    assert renamed_options(sources, (), CORE) == [
        f"{file}: loading is deprecated and will be removed in 3.3; use selection",
        "ALIAPORT_LOADING__DISABLE is deprecated and will be removed in 3.3; "
        "use ALIAPORT_SELECTION__DISABLE",
    ]
    selection = core_settings(sources).selection
    assert (selection.allow, selection.disable) == (("disk",), ("cpu",))


def test_an_invalid_value_is_reported_under_the_name_that_was_used() -> None:
    with pytest.raises(ConfigError) as raised:
        core_settings(read_sources({"ALIAPORT_READY_BUDGET": "-1"}))
    (problem,) = raised.value.problems
    assert problem.startswith("ALIAPORT_READY_BUDGET: ")


@pytest.mark.parametrize(
    ("toml", "environ", "problem"),
    [
        (
            "ready_budget = 1\nready_timeout = 1\n",
            {},
            "{file}: ready_budget is the old name of ready_timeout; use only ready_timeout",
        ),
        (
            "",
            {"ALIAPORT_READY_BUDGET": "1", "ALIAPORT_READY_TIMEOUT": "1"},
            "ALIAPORT_READY_BUDGET is the old name of ALIAPORT_READY_TIMEOUT; "
            "use only ALIAPORT_READY_TIMEOUT",
        ),
    ],
    ids=["file", "environment"],
)
def test_both_names_at_once_are_refused(
    file: Path, toml: str, environ: dict[str, str], problem: str
) -> None:
    file.write_text(toml)
    with pytest.raises(ConfigError) as raised:
        core_settings(read_sources(environ, file))
    assert list(raised.value.problems) == [problem.format(file=file)]


def test_both_names_of_an_application_s_option_are_one_problem() -> None:
    prefix = "ALIAPORT_APPS__OPERATIONS__"
    environ = {f"{prefix}MOST_WAITING": "7", f"{prefix}MAX_WAITING": "7"}
    with pytest.raises(ConfigError) as raised:
        plugin_config(read_sources(environ), "apps", "operations", ApiConfig)
    assert list(raised.value.problems) == [
        f"{prefix}MOST_WAITING is the old name of {prefix}MAX_WAITING; use only {prefix}MAX_WAITING"
    ]


def test_a_misspelled_old_name_leads_to_the_new_one(file: Path) -> None:
    file.write_text("ready_buget = 1\n[loadings]\n")
    environ = {"ALIAPORT_READY_BUDGT": "1", "ALIAPORT_LODING__ALLOW": "disk"}
    sources = read_sources(environ, file)
    with pytest.raises(ConfigError) as raised:
        core_settings(sources)
    assert list(raised.value.problems) == [
        f"{file}: ready_buget: there is no option 'ready_buget'; did you mean 'ready_timeout'?",
        f"{file}: loadings: there is no option 'loadings'; did you mean 'selection'?",
    ]
    assert environment_warnings(sources) == [
        "ALIAPORT_READY_BUDGT: nothing reads this variable; did you mean ALIAPORT_READY_TIMEOUT?",
        "ALIAPORT_LODING__ALLOW: nothing reads this variable; "
        "did you mean ALIAPORT_SELECTION__ALLOW?",
    ]


@pytest.mark.parametrize(
    ("table", "environ"),
    [
        ({"most_waiting": 7, "most_hashing": 8}, {}),
        (
            {},
            {
                "ALIAPORT_APPS__OPERATIONS__MOST_WAITING": "7",
                "ALIAPORT_APPS__OPERATIONS__MOST_HASHING": "8",
            },
        ),
    ],
    ids=["file", "environment"],
)
def test_the_old_names_of_an_application_work_and_warn(
    file: Path, table: dict[str, Any], environ: dict[str, str]
) -> None:
    lines = "".join(f"{key} = {value}\n" for key, value in table.items())
    file.write_text(f"[apps.operations]\n{lines}")
    sources = read_sources(environ, file)
    options = plugin_config(sources, "apps", "operations", ApiConfig)
    assert isinstance(options, ApiConfig)
    assert (options.max_waiting, options.max_hashing) == (7, 8)
    path = ("apps", "operations")
    assert len(renamed_options(sources, path, ApiConfig.renamed_options)) == 2
