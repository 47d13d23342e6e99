"""The documentation matches the code."""

import importlib
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from aliaport_currency_sync import families as currency_families
from aliaport_currency_sync.bulletin import Fault
from aliaport_currency_sync.source import Outage
from aliaport_currency_sync.sync import DATABASE
from aliaport_operations import app as operations_app
from aliaport_operations import families as operations_families
from aliaport_operations.config import ApiConfig

from aliaport.doctor.command import doctor
from aliaport.plugin import Metric, Plugin, PluginConfig
from aliaport.settings import describe
from aliaport.testing import make_context
from tests.support.plugins import FOLDERS

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("deploy/**/*.md"),
    *ROOT.glob("plugins/*.md"),
    *ROOT.glob("plugins/*/*.md"),
]


def configuration_table() -> str:
    rows = ["| key | variable | default | meaning |", "|---|---|---|---|"]
    for row in describe():
        default = f"`{row.default}`" if row.default else ""
        rows.append(f"| `{row.key}` | `{row.variable}` | {default} | {row.description} |")
    return "\n".join(rows)


def test_the_readme_has_the_current_configuration() -> None:
    text = (ROOT / "README.md").read_text()
    assert configuration_table() in text, f"put this into README.md:\n{configuration_table()}"


def test_the_readme_has_a_reason_for_every_dependency() -> None:
    text = (ROOT / "README.md").read_text()
    projects = [ROOT / "pyproject.toml", *(folder / "pyproject.toml" for folder in FOLDERS)]
    for file in projects:
        for requirement in tomllib.loads(file.read_text())["project"]["dependencies"]:
            name = re.split(r"[<>=]", requirement)[0]
            assert name == "aliaport" or f"| {name} |" in text, f"{file}: {name}"


@pytest.mark.parametrize("folder", [folder.name for folder in FOLDERS])
def test_a_plugin_s_readme_names_its_options_codes_and_metrics(folder: str) -> None:
    readme = (ROOT / "plugins" / folder / "README.md").read_text()
    package = f"aliaport_{folder.replace('-', '_')}"
    module = importlib.import_module(f"{package}.plugin")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value is not Plugin
    ]
    (plugin,) = found
    configs = [
        value
        for value in vars(importlib.import_module(f"{package}.config")).values()
        if isinstance(value, type) and issubclass(value, PluginConfig) and value is not PluginConfig
    ]
    for option in [option for config in configs for option in config.model_fields]:
        assert f"| `{option}` |" in readme
    context = make_context(package.removeprefix("aliaport_"))
    for collector in plugin(configs[0](), context).metrics():
        for family in collector.families:
            assert f"| `{family.name}` |" in readme
    source = Path(str(module.__file__)).parent
    text = "".join(f.read_text() for f in source.glob("*.py"))
    for code in re.findall(r'code="([a-z_]+)"', text):
        assert f"| `{code}` |" in readme, code


def test_the_currency_readme_names_every_reason() -> None:
    readme = (ROOT / "plugins" / "currency-sync" / "README.md").read_text()
    for name in (*Fault, *Outage, DATABASE):
        assert f"| `{name}` |" in readme


@pytest.mark.parametrize(
    ("folder", "families"),
    [("currency-sync", currency_families), ("operations", operations_families)],
)
def test_a_readme_names_every_metric_family(folder: str, families: ModuleType) -> None:
    readme = (ROOT / "plugins" / folder / "README.md").read_text()
    for family in vars(families).values():
        if isinstance(family, Metric):
            assert f"| `{family.name}` | {family.kind} |" in readme


def test_the_operations_readme_names_every_route_and_audit_event() -> None:
    readme = (ROOT / "plugins" / "operations" / "README.md").read_text()
    options = ApiConfig()
    application = operations_app.create(make_context("operations"), options)
    for route in application.router.routes():
        assert route.resource is not None
        path = route.resource.canonical.replace("/activate", "/deactivate")
        if route.method != "HEAD":
            assert f"`{route.method} {path}`" in readme or path in readme.split("`"), path
    source = Path(str(operations_app.__file__)).parent
    text = "".join(file.read_text() for file in source.glob("*.py"))
    for action in re.findall(r'"((?:user|account|personal_data|data)\.[a-z_]+)"', text):
        assert f"`{action}`" in readme, action


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if not re.match(r"[a-z]+:", link):
            assert (page.parent / link).exists(), link


def test_the_guide_names_only_options_that_doctor_has() -> None:
    guide = (ROOT / "deploy/README.md").read_text()
    begin = guide.index("aliaport doctor --url")
    named = set(re.findall(r"--[a-z][a-z-]+", guide[begin : guide.index("\n## ", begin)]))
    assert named - {"--help"} <= {option for found in doctor.params for option in found.opts}
