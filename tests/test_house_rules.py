"""Rules of the layout: directions of imports, owners of packages, places that catch everything."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

CORE = Path(__file__).parents[1] / "aliaport"

LEVELS = [
    {"addresses"},
    {
        *("__init__", "errors", "redaction", "correlation", "forwarded", "deprecation"),
        *("regular_files", "upstream", "printable"),
    },
    {"cgroup", "contract", "writable"},
    {"process"},
    {"plugin"},
    {"settings"},
    {"healthcheck", "isolation", "postgres", "sentry"},
    {"apps", "metrics", "embedded"},
    {"logs"},
    {"host"},
    {"web", "testing", "commands"},
    {"preflight"},
    {"inspection", "migration"},
    {"doctor", "service"},
    {"cli"},
    {"__main__"},
]
"""Each imports only from the levels before it; packages of one level do not import each other."""

PUBLIC = [
    *("plugin", "postgres", "apps", "errors", "commands", "cgroup", "testing", "healthcheck"),
    "upstream",
]
"""The modules that authors of plugins and applications import; docs/how-to/write-a-plugin.md names each."""

OWNERS = {
    "aiohttp": {"web", "apps", "doctor", "upstream", "sentry"},
    "aioprometheus": {"metrics"},
    "asyncpg": {"postgres"},
    "psutil": set[str](),
    "sentry_sdk": {"sentry"},
}


def modules() -> list[Path]:
    return sorted(CORE.rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def level(name: str) -> int:
    return next(index for index, names in enumerate(LEVELS) if name in names)


def test_every_package_has_one_level() -> None:
    listed = [name for names in LEVELS for name in names]
    assert sorted(listed) == sorted({part(path) for path in modules()})


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_imports_go_in_one_direction(path: Path) -> None:
    own = part(path)
    for name in imported(path):
        package, _, rest = name.partition(".")
        assert own in OWNERS.get(package, {own}), f"{own} imports {package}"
        assert not package.startswith("aliaport_"), "the core imports no plugin"
        other = rest.partition(".")[0]
        if package == "aliaport" and other and other != own and is_module(other):
            assert level(other) < level(own), f"{own} imports {other}, which is not below it"


def is_module(name: str) -> bool:
    return (CORE / name).with_suffix(".py").exists() or (CORE / name).is_dir()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_import_paths_stay_and_are_documented(name: str) -> None:
    importlib.import_module(f"aliaport.{name}")
    guide = (CORE.parent / "docs/how-to/write-a-plugin.md").read_text()
    assert f"`aliaport.{name}`" in guide, f"write-a-plugin.md does not name aliaport.{name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_only_bulkheads_catch_everything(path: Path) -> None:
    if str(path.relative_to(CORE.parent)) in bulkheads():
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in ("everything", "Exception", "BaseException"), f"line {node.lineno}"


def bulkheads() -> set[str]:
    """Return the files that may catch everything, according to pyproject.toml."""
    project = tomllib.loads((CORE.parent / "pyproject.toml").read_text())
    ignores = project["tool"]["ruff"]["lint"]["per-file-ignores"]
    return {file for file, rules in ignores.items() if "BLE001" in rules}


@pytest.mark.service
def test_the_contract_does_not_import_the_server() -> None:
    script = (
        "import sys, aliaport.plugin; "
        "print([name for name in ('aiohttp', 'asyncpg', 'aioprometheus', 'uvloop', 'structlog') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    script = script.replace("aliaport.plugin", "aliaport.postgres").replace("'asyncpg', ", "")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_linter_s_security_rules_apply_to_all_code() -> None:
    """No eval, pickle, shell, MD5 or SQL from text; `make lint` runs the linter."""
    lint = tomllib.loads((CORE.parent / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    off = {rule for rule in lint["ignore"] if re.match(r"S\d", rule)}
    # Assertions; and programs that are started by name or path, with fixed arguments.
    assert off == {"S101", "S603", "S606", "S607"}
    spared = {
        file
        for file, rules in lint["per-file-ignores"].items()
        if any(re.match(r"S\d|S$", rule) for rule in rules)
    }
    assert spared == {"**/tests/**"}
    sources = [*modules(), *(CORE.parent / "plugins").glob("*/src/**/*.py")]
    excepted = Counter(
        rule for source in sources for rule in re.findall(r"# noqa: (S\d+)", source.read_text())
    )
    assert excepted == {
        "S104": 3,  # the address of all interfaces
        "S105": 1,  # the word "pass"
        "S108": 1,  # a folder of sockets
        "S112": 1,  # a bulkhead
        "S311": 5,  # random numbers that nobody needs to guess: jitter, test data, trace IDs
        "S608": 3,  # names of tables and of roles in constants; settings, which are quoted
    }
