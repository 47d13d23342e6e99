"""Reads the runbooks and their alerts."""

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
"""The kinds of blocks: queries, commands that only read, that change something, that need Docker."""

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
    """Return the alerting rules by name, with the name of their file under `file`."""
    return {rule.name: rule.text | {"file": rule.file.name} for rule in shipped_rules.alerts()}


def recorded() -> set[str]:
    """Return the names of the recorded series."""
    return {rule.name for rule in shipped_rules.rules() if not rule.is_alert}


def pages() -> dict[str, str]:
    """Return the text of each page by file name without suffix, including the README."""
    return {file.stem: file.read_text() for file in sorted(RUNBOOKS.glob("*.md"))}


def guides() -> dict[str, str]:
    """Return the guides for scheduled work, which no alert triggers."""
    return {name: (ROOT / f"docs/how-to/{name}.md").read_text() for name in GUIDES}


def blocks(page: str, text: str) -> Iterator[Block]:
    """Yield the fenced blocks, without the indentation of the list around them."""
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
    assert opened is None, f"{page}: the block at line {opened} has no end"


def distinct(kind: str) -> dict[str, Block]:
    """Return all blocks of one kind by their text, except those that another test runs."""
    found: dict[str, Block] = {}
    elsewhere = {"backup-and-restore", "key-rotation" if kind == "sh changes" else ""}
    others = {page: text for page, text in guides().items() if page not in elsewhere}
    for page, text in {**pages(), **others}.items():
        for block in blocks(page, text):
            if block.kind == kind:
                found.setdefault(block.text, block)
    return found


def section(text: str, heading: str) -> str:
    """Return the text below a heading of the second level."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return "" if found is None else found[1]


def anchors(text: str) -> set[str]:
    """Return the fragments that GitHub generates for the headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


def selectors(expression: str) -> list[Any]:
    """Return every selector of an expression. Raises ValueError if it cannot be parsed."""
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
    """Return the ranges of an expression, including those of the recorded ratios."""
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
    """Return whether a healthy installation may have no result because of a comparison."""
    found = False

    def visit(node: Any) -> bool:
        nonlocal found
        if isinstance(node, promql_parser.BinaryExpr):
            found |= str(node.op) in COMPARISONS
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def thresholds(expression: str) -> set[float]:
    """Return the constants that decide whether the expression fires."""

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
