"""The documentation matches the code."""

import importlib
import re
import tomllib
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from aliaport_currency_sync import families as currency_families
from aliaport_currency_sync.bulletin import Fault
from aliaport_currency_sync.source import Outage
from aliaport_currency_sync.sync import DATABASE
from aliaport_disk.config import DiskConfig
from aliaport_operations import app as operations_app
from aliaport_operations import families as operations_families
from aliaport_operations.config import ApiConfig

from aliaport.doctor.command import doctor
from aliaport.plugin import Metric, Plugin, PluginConfig
from aliaport.settings import core_settings, describe, plugin_config, read_sources
from aliaport.testing import make_context
from tests.support import metric_lists
from tests.support.plugins import FOLDERS
from tests.support.scripts import script

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for pattern in ("*.md", ".github/**/*.md", "deploy/**/*.md", "docs/**/*.md", "tests/*.md")
    for page in sorted(ROOT.glob(pattern))
] + [*ROOT.glob("plugins/*.md"), *ROOT.glob("plugins/*/*.md")]
GENERATED = script(ROOT / "docs/generate").pages()


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_generated_reference_is_current(page: Path) -> None:
    assert page.read_text() == GENERATED[page], "run .venv/bin/python docs/generate"


def test_the_reference_has_each_setting_metric_and_command() -> None:
    names = {page.name for page in GENERATED}
    assert names == {"configuration.md", "metrics.md", "cli.md"}
    for name, described in (
        ("configuration.md", [row.variable for row in describe()]),
        ("metrics.md", metric_lists.own()),
    ):
        text = (ROOT / "docs/reference" / name).read_text()
        assert [row for row in described if f"`{row}`" not in text] == []
    commands = (ROOT / "docs/reference/cli.md").read_text()
    for heading in ("## aliaport\n", "### aliaport doctor\n", "### aliaport plugins run\n"):
        assert heading in commands


def test_the_reference_has_each_event_of_the_core() -> None:
    text = (ROOT / "docs/reference/logs.md").read_text()
    event = r"(?:debug|info|warning|error|_notify|_record_audit)\(\s*\"([a-z_]+\.[a-z_]+)\""
    named = r"^[A-Z_]+ = \"((?:log|request|stdlib)\.[a-z_]+)\"$"
    kind = r"f\"\{self\.kind\}\.([a-z_]+)\""
    source = "".join(file.read_text() for file in (ROOT / "aliaport").rglob("*.py"))
    names = {*re.findall(event, source), *re.findall(named, source, re.MULTILINE)}
    names |= {f"{what}.{name}" for what in ("plugin", "app") for name in re.findall(kind, source)}
    assert len(names) > 40
    names.discard("x.failed")  # the example of a docstring
    assert sorted(name for name in names if f"`{name}`" not in text) == []


def test_the_example_of_the_configuration_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs/reference/configuration.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    file = tmp_path / "aliaport.toml"
    file.write_text(example)
    sources = read_sources({"DATABASE_URL": "postgresql://a:b@db:5432/c"}, file, None)
    assert core_settings(sources).probes["disk_root"].critical
    options = plugin_config(sources, "plugins", "disk", DiskConfig)
    assert isinstance(options, DiskConfig)
    assert options.mounts == ("/", "/srv")


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/explanation/dependencies.md").read_text()
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


def prose(text: str) -> str:
    """Return the text without code: there, brackets and # have other meanings."""
    text = re.sub(r"^( *)(```+|~~~+).*?^ *\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def anchors(text: str) -> set[str]:
    """Return the fragments of the headings, as repository browsers make them."""
    found: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).strip().replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)", re.sub(r"(`+)(?!\s*\]).+?\1(?!\])", "", prose(text)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_resolve(page: Path) -> None:
    for link in links(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if fragment:
            assert target.suffix == ".md", f"{link}: only pages have anchors"
            assert fragment in anchors(target.read_text()), link


def test_anchors_are_those_of_the_headings_alone() -> None:
    text = (
        "# The `log` of x-y\n\n```sh\n# no heading\n```\n\n## [A](b.md)/c\n\n## Same\n\n## Same\n"
    )
    assert anchors(text) == {"the-log-of-x-y", "ac", "same", "same-1"}
    assert links("[a](b.md) `[c](d.md)` [`e`](f.md#g)") == ["b.md", "f.md#g"]


def test_the_guide_names_only_options_that_doctor_has() -> None:
    guide = (ROOT / "docs/how-to/check-an-installation.md").read_text()
    named = set(re.findall(r"--[a-z][a-z-]+", guide))
    assert len(named) > 5
    assert named <= {option for found in doctor.params for option in found.opts}
