"""What the documents promise is what the code does."""

import importlib
import re
from pathlib import Path

import pytest

from aliaport.plugin import Plugin, PluginConfig
from aliaport.settings import describe
from aliaport.testing import make_context

ROOT = Path(__file__).parents[1]


def configuration_table() -> str:
    rows = ["| key | variable | default | meaning |", "|---|---|---|---|"]
    for row in describe():
        default = f"`{row.default}`" if row.default else ""
        rows.append(f"| `{row.key}` | `{row.variable}` | {default} | {row.description} |")
    return "\n".join(rows)


def test_the_readme_holds_the_configuration_as_it_is() -> None:
    text = (ROOT / "README.md").read_text()
    assert configuration_table() in text, f"put this into README.md:\n{configuration_table()}"


def test_every_package_of_the_service_has_its_reason() -> None:
    text = (ROOT / "README.md").read_text()
    for line in re.findall(
        r'^    "([a-z-]+)>=', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )[:11]:
        assert f"| {line} |" in text


@pytest.mark.parametrize("name", ["cpu", "db", "disk", "memory"])
def test_a_plugin_s_readme_names_its_options_codes_and_metrics(name: str) -> None:
    readme = (ROOT / "plugins" / name / "README.md").read_text()
    module = importlib.import_module(f"aliaport_{name}.plugin")
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Plugin) and each is not Plugin
    ]
    (plugin,) = found
    config = next(
        each
        for each in vars(importlib.import_module(f"aliaport_{name}.config")).values()
        if isinstance(each, type) and issubclass(each, PluginConfig) and each is not PluginConfig
    )
    for option in config.model_fields:
        assert f"| `{option}` |" in readme
    for collector in plugin(config(), make_context(name)).metrics():
        for family in collector.families:
            assert f"| `{family.name}` |" in readme
    source = Path(str(module.__file__)).parent
    for code in re.findall(
        r'code="([a-z_]+)"', "".join(f.read_text() for f in source.glob("*.py"))
    ):
        assert f"| `{code}` |" in readme, code
