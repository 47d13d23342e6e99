"""Reads the runbooks and the alerts that they are about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import promql_parser

from tests.alerts import shipped_rules

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "deploy/runbooks"
GUIDES = ("backup-and-restore", "capacity-planning", "key-rotation", "log-archive")
"""The pages of docs/how-to whose commands are run like those of the runbooks."""
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
KINDS = {"promql", "sh", "sh changes", "sh docker"}
"""Of blocks: queries, commands that only look, that change something, that need Docker."""

COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
SET_OPERATORS = {"and", "or", "unless"}


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def alerts() -> dict[str, dict[str, Any]]:
    """The alerting rules by name, with the name of their file under `file`."""
    return {rule.name: rule.text | {"file": rule.file.name} for rule in shipped_rules.alerts()}


def recorded() -> set[str]:
    """The names of the recorded series."""
    return {rule.name for rule in shipped_rules.rules() if not rule.is_alert}


def pages() -> dict[str, str]:
    """The texts by name of the file without its ending, the README's too."""
    return {file.stem: file.read_text() for file in sorted(RUNBOOKS.glob("*.md"))}


def guides() -> dict[str, str]:
    """The texts of what is done by the calendar, not because of an alert."""
    return {name: (ROOT / f"docs/how-to/{name}.md").read_text() for name in GUIDES}


def blocks(page: str, text: str) -> Iterator[Block]:
    """The fenced blocks, without the indentation of the list that they stand in."""
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.fullmatch(r"( *)```(.*)", line)
        if fence is None:
            if opened is not None:
                lines.append(line.removeprefix(opened[2]))
        elif opened is None:
            opened, lines = (number + 1, fence[2], fence[1]), []
        else:
            yield Block(page, opened[0], opened[1], "\n".join(lines))
            opened = None
    assert opened is None, f"{page}: the block that begins at line {opened} has no end"


def distinct(kind: str) -> dict[str, Block]:
    """All blocks of one kind by their text, each text once, but what a test of its own runs."""
    found: dict[str, Block] = {}
    others = {page: text for page, text in guides().items() if page != "backup-and-restore"}
    for page, text in {**pages(), **others}.items():
        for block in blocks(page, text):
            if block.kind == kind:
                found.setdefault(block.text, block)
    return found


def section(text: str, heading: str) -> str:
    """What stands below a heading of the second level."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return "" if found is None else found[1]


def anchors(text: str) -> set[str]:
    """The fragments by which headings are linked, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


def selectors(expression: str) -> list[Any]:
    """Every selector of an expression. Raises ValueError where it cannot be parsed."""
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def ranges(expression: str) -> set[timedelta]:
    """The ranges over which it looks, those of the recorded ratios too."""
    found: set[timedelta] = set()

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            found.add(node.range)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found | {
        promql_parser.parse_duration(window)
        for window in re.findall(r":error_ratio:rate(\d+[mhd])\b", expression)
    }


def filters(expression: str) -> bool:
    """Whether a healthy installation may have no answer, since a comparison takes all away."""
    found = False

    def visit(node: Any) -> bool:
        nonlocal found
        if isinstance(node, promql_parser.BinaryExpr):
            found |= str(node.op) in COMPARISONS
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def thresholds(expression: str) -> set[float]:
    """The constants that decide whether it fires."""

    def of(node: Any) -> set[float]:
        if isinstance(node, promql_parser.ParenExpr):
            return of(node.expr)
        if not isinstance(node, promql_parser.BinaryExpr):
            return set()
        if str(node.op) in SET_OPERATORS:
            return of(node.lhs) | of(node.rhs)
        limit = _constant(node.rhs) if str(node.op) in COMPARISONS else None
        return set() if limit is None else {limit}

    return of(promql_parser.parse(expression))


def _constant(node: Any) -> float | None:
    if isinstance(node, promql_parser.NumberLiteral):
        return float(node.val)
    if isinstance(node, promql_parser.BinaryExpr) and str(node.op) == "*":
        left, right = _constant(node.lhs), _constant(node.rhs)
        return None if left is None or right is None else left * right
    return None
