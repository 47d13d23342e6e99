"""Searches documents, comments, strings and names for what the rules refuse."""

import ast
import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tests.language.rules import COMPARISON, IDIOMS, KEPT, LOOP_VARIABLES, OPENINGS, WORDS

_COMPILED = {
    re.compile(
        r"(?:\b|(?<!\w)_+)(?:"  # emphasis too: _word_
        + phrase.replace("{comparison}", COMPARISON).replace("{idioms}", IDIOMS).replace(" ", r"\s")
        + r")(?!_*[^\W_])",
        re.IGNORECASE,
    ): instead
    for phrase, instead in WORDS.items()
}
ANY = re.compile("|".join(pattern.pattern for pattern in _COMPILED), re.IGNORECASE)
_KEPT = re.compile("|".join(re.escape(phrase) for phrase in KEPT))
_MARKERS = re.compile(r"^(?:[\s#>*;]|//|--|- )+")
_LITERAL = re.compile(r"(?P<prefix>\w*)(?P<quote>\"\"\"|'''|\"|')(?P<text>.*)(?P=quote)", re.DOTALL)
_ESCAPES = re.compile(r"\\[nrt]")
_BREAK = "¶"
_LAYOUT = {"NL", "INDENT", "DEDENT", "FSTRING_START", "FSTRING_END"}


@dataclass(frozen=True)
class Finding:
    """A phrase that a rule refuses."""

    file: str
    line: int
    phrase: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: “{self.phrase}”: write {self.instead}"


def check(file: str, source: str) -> list[Finding]:
    """Return what the rules refuse in the text of a file, with the lines in order."""
    if "\0" in source:
        return []  # not text
    source = _KEPT.sub(lambda kept: "x" * len(kept[0]), source)
    if file.endswith(".py") or re.match(r"#!.*python", source):
        return sorted(
            [*_in_text(file, _python_text(source)), *_in_python(file, source)],
            key=lambda finding: finding.line,
        )
    if Path(file).name == "CHANGELOG.md":
        source = _unreleased(source)
    return list(_in_text(file, _plain_text(source)))


def _in_text(file: str, pieces: list[tuple[int, str]]) -> Iterator[Finding]:
    """Search text that may be wrapped anywhere, given as lines with their numbers."""
    starts: list[int] = []
    length = 0
    for _, piece in pieces:
        starts.append(length)
        length += len(piece) + 1
    text = "\n".join(piece for _, piece in pieces)
    for match in ANY.finditer(text):
        line, _ = pieces[bisect_right(starts, match.start()) - 1]
        yield Finding(file, line, " ".join(match[0].split()), _instead(text, match.start()))


def _instead(text: str, position: int) -> str:
    return next(instead for pattern, instead in _COMPILED.items() if pattern.match(text, position))


def _plain_text(source: str) -> list[tuple[int, str]]:
    """Return the lines without indentation and markers of comments, quotations and lists."""
    return [
        (number, _ESCAPES.sub("  ", _MARKERS.sub("", line)).strip() or _BREAK)
        for number, line in enumerate(source.splitlines(), 1)
    ]


def _unreleased(changelog: str) -> str:
    """Return the entries of the next release without code: they name what was renamed."""
    entries, *_ = re.split(r"^## \[\d", changelog, maxsplit=1, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "``", entries)


def _python_text(source: str) -> list[tuple[int, str]]:
    """Return comments and strings; those that follow each other directly form one text."""
    pieces: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        kind = tokenize.tok_name[token.type]
        if kind == "COMMENT":
            pieces.append((line, token.string.lstrip("#: ").rstrip()))
        elif kind == "STRING":
            pieces += _string(line, token.string)
        elif kind == "FSTRING_MIDDLE":
            pieces += _lines(line, token.string)
        elif kind == "NAME" and token.string.lstrip("_").lower().startswith(
            ("most_", "least_", "longest_")
        ):
            pieces += [(line, _BREAK), (line, token.string), (line, _BREAK)]
        elif kind not in _LAYOUT and pieces and pieces[-1][1] != _BREAK:
            pieces.append((line, _BREAK))
    return pieces


def _string(line: int, literal: str) -> list[tuple[int, str]]:
    match = _LITERAL.fullmatch(literal)
    assert match is not None, literal
    text = match["text"]
    if "f" in match["prefix"].lower():
        for _ in range(2):
            text = re.sub(r"\{[^{}]*\}", lambda field: "\n" * field[0].count("\n") or "…", text)
    return _lines(line, text)


def _lines(line: int, text: str) -> list[tuple[int, str]]:
    return [
        (line + number, _ESCAPES.sub("  ", row).strip())
        for number, row in enumerate(text.split("\n"))
    ]


def _in_python(file: str, source: str) -> Iterator[Finding]:
    """Check what only a parser finds: docstrings and names."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                first = re.match(r"\W*(\w*)", text)
                if first and first[1] in OPENINGS:
                    instead = "an imperative verb (function), or what it is or does"
                    yield Finding(file, node.lineno, f'"""{first[1]} …', instead)
            case (
                ast.Name(id=name, ctx=ast.Store())
                | ast.arg(arg=name)
                | ast.Attribute(attr=name, ctx=ast.Store())
                | ast.ExceptHandler(name=name)
                | ast.alias(asname=name)
                | ast.MatchAs(name=name)
            ):
                if name in LOOP_VARIABLES:
                    yield Finding(file, node.lineno, name, "a noun: probe, row, field")
                elif name:
                    yield from _in_text(file, [(node.lineno, words(name))])
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield from _in_text(file, [(node.lineno, words(node.name))])


def words(name: str) -> str:
    """Return the words of a name, so that the rules of text apply to it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_+", " ", name).strip()


def files(root: Path) -> Iterator[Path]:
    """Return the files that Git does not ignore; no child process is started for it."""
    pending: list[tuple[Path, list[tuple[Path, str]]]] = [(root, [(root, ".git")])]
    while pending:
        folder, patterns = pending.pop()
        ignore = folder / ".gitignore"
        if ignore.exists():
            lines = ignore.read_text().splitlines()
            patterns = [*patterns, *((folder, line) for line in lines if line)]
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or _is_ignored(path, patterns):
                continue
            if path.is_dir():
                pending.append((path, patterns))
            else:
                yield path


def _is_ignored(path: Path, patterns: list[tuple[Path, str]]) -> bool:
    """Apply the subset of Git's rules that this repository uses: the last match decides."""
    for folder, line in reversed(patterns):
        pattern = line.lstrip("!").rstrip("/")
        if line.endswith("/") and not path.is_dir():
            continue
        if "/" in pattern:
            matches = fnmatch(path.relative_to(folder).as_posix(), pattern.lstrip("/"))
        else:
            matches = fnmatch(path.name, pattern)
        if matches:
            return not line.startswith("!")
    return False
