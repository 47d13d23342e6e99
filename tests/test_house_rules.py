"""The directions of imports and the few places that may catch everything."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

CORE = Path(__file__).parents[1] / "aliaport"

LAYERS = [
    {"errors", "redaction", "cgroup", "healthcheck", "correlation", "client"},
    {"failures", "declarations"},
    {"families", "bulkhead", "answers"},
    {"plugin", "samples", "flight", "sentry"},
    {"postgres", "settings", "discovery", "recorders", "apps", "collecting", "jobs", "probing"},
    {"context", "exposition", "http_metrics", "embedded", "terminal_log"},
    {"unit", "logs", "loop_watch", "report"},
    {"commands", "host"},
    {"host_metrics", "testing"},
    {"metrics"},
    {"web"},
    {"inspection", "service", "doctor"},
    {"cli"},
    {"__main__"},
]
OWNERS = {
    "aiohttp": ("web", "apps", "doctor"),
    "aioprometheus": ("exposition",),
    "asyncpg": ("postgres",),
    "psutil": (),
    "sentry_sdk": ("sentry",),
}
BULKHEADS = {
    *("bulkhead", "failures", "discovery", "web/middleware", "web/apps", "sentry/tracking"),
    *("logs/values", "logs/lines", "logs/writer", "logs/standard", "doctor/running"),
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


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_imports_point_one_way(path: Path) -> None:
    own = part(path)
    if own == "__init__":
        return
    level = next(index for index, layer in enumerate(LAYERS) if own in layer)
    for name in imported(path):
        other = name.removeprefix("aliaport.").partition(".")[0]
        if (
            name.startswith("aliaport.")
            and other != own
            and (CORE / other).with_suffix(".py").exists() | (CORE / other).is_dir()
        ):
            found = next(index for index, layer in enumerate(LAYERS) if other in layer)
            assert found <= level, f"{own} imports {other}, which stands above it"
        top = name.partition(".")[0]
        assert own in OWNERS.get(top, (own,)), f"{own} imports {top}"
        assert not top.startswith("aliaport_"), "the core knows no plugin"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_only_bulkheads_catch_everything(path: Path) -> None:
    if str(path.relative_to(CORE)).removesuffix(".py") in BULKHEADS:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in ("everything", "Exception", "BaseException"), f"line {node.lineno}"


def test_the_contract_comes_without_the_server() -> None:
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
