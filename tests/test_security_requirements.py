"""The page of security requirements: every requirement once, every test and module that it names."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/explanation/security-requirements.md").read_text()

LEVELS_1_AND_2 = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2, "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1,
    "3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2, "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4,
    "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3, "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5,
    "6.6": 3, "6.8": 4, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2, "8.1": 2,
    "8.2": 3, "8.3": 1, "8.4": 1, "9.1": 3, "9.2": 4, "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11,
    "10.5": 5, "10.6": 2, "10.7": 3, "11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1,
    "11.6": 1, "12.1": 3, "12.2": 2, "12.3": 4, "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5,
    "14.1": 2, "14.2": 4, "14.3": 3, "15.1": 3, "15.2": 3, "15.3": 7, "16.1": 1, "16.2": 5,
    "16.3": 4, "16.4": 3, "16.5": 3, "17.1": 1, "17.2": 4, "17.3": 2,
}  # fmt: skip
"""How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has; they are numbered first."""

REQUIREMENTS = [
    f"{section}.{number}"
    for section, count in LEVELS_1_AND_2.items()
    for number in range(1, count + 1)
]
LIBRARIES = {"argon2", "cryptography", "hashlib", "hmac", "secrets", "ssl"}

Row = list[str]


def rows(heading: str) -> list[Row]:
    """Return the rows of the tables below a heading of the second level."""
    _, _, rest = PAGE.partition(f"\n## {heading}\n")
    assert rest, heading
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    heads = {"risk", "number", "function"}
    return [row for row in cells if row[0] not in heads]


RISKS = rows("API Security Top 10")
MET = rows("ASVS requirements that are met")
UNMET = rows("Not met, or met in part")
APART = rows("Does not apply")


def named_tests(row: Row) -> list[str]:
    return re.findall(r"`([^`]+)`", row[3])


@cache
def collected(file: str) -> frozenset[str]:
    """Return the tests of a file, those of classes as `class::function`."""
    found = set[str]()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{part.name}" for part in node.body if hasattr(part, "name")}
    return frozenset(found)


@pytest.mark.parametrize("row", [*RISKS, *MET, *UNMET], ids=lambda row: row[0])
def test_each_test_that_is_named_exists(row: Row) -> None:
    assert len(row) == 4
    for name in named_tests(row):
        file, _, test = name.partition("::")
        assert re.fullmatch(r"(test|check)_\w+\.py", Path(file).name)
        assert test.rpartition("::")[2].startswith("test_")
        assert test in collected(file), name


@pytest.mark.parametrize("row", [*RISKS, *MET], ids=lambda row: row[0])
def test_what_is_met_is_tested(row: Row) -> None:
    assert named_tests(row)


def test_the_ten_risks_are_in_their_order() -> None:
    assert [row[0] for row in RISKS] == [f"API{number}" for number in range(1, 11)]


def expanded(cell: str) -> Iterator[str]:
    """Yield the numbers of a cell such as `1.2.6 to 1.2.8, V3.3, V5`."""
    for part in cell.split(", "):
        first, _, last = part.partition(" to ")
        if part.startswith("V"):
            below = f"{part[1:]}."
            numbers = [number for number in REQUIREMENTS if number.startswith(below)]
        elif last:
            numbers = REQUIREMENTS[REQUIREMENTS.index(first) : REQUIREMENTS.index(last) + 1]
        else:
            numbers = [part]
        assert numbers, part
        yield from numbers


def test_each_requirement_is_listed_once() -> None:
    listed = [row[0] for row in (*MET, *UNMET)]
    listed += [number for row in APART for number in expanded(row[0])]
    assert [number for number, count in Counter(listed).items() if count > 1] == []
    assert sorted(listed) == sorted(REQUIREMENTS)


def test_each_chapter_has_its_own_requirements() -> None:
    for chapter in re.findall(r"^### V(\d+) .*\n\n((?:\|.*\n)+)", PAGE, re.MULTILINE):
        number, table = chapter
        for found in re.findall(r"^\| (\d+)\.[\d.]+ \|", table, re.MULTILINE):
            assert found == number


def test_the_inventory_of_cryptography_is_complete() -> None:
    listed = {
        (library, module)
        for function, _, modules in rows("Cryptography in use")
        for library in re.findall(r"\w+", function)
        if library in LIBRARIES
        for module in re.findall(r"`([^`]+)`", modules)
    }
    used = set[tuple[str, str]]()
    algorithms = set[str]()
    for folder in (ROOT, *sorted(ROOT.glob("plugins/*/src"))):
        for file in folder.glob("aliaport*/**/*.py"):
            text = file.read_text()
            imports = re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE)
            used |= {(name, str(file.relative_to(folder))) for name in {*imports} & LIBRARIES}
            algorithms |= set(re.findall(r"\bhashlib\.(\w+)", text))
    assert listed == used
    assert algorithms == {"sha256"}
