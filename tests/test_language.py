"""Check the language of everything that people read: documents, comments, strings and names.

The rules are the tables below. A rule that refuses good English is wrong: narrow its pattern, or
add the phrase to KEPT with a reason.
"""

import ast
import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WORDS = {
    r"told|tells": "log, report, notify, show or say",
    r"stands(?! for\b| in for\b)|stood|stand (?:in(?! for\b)|on|beside|still)": (
        "is, is listed, is stored"
    ),
    r"asks|(?<!frequently )asked|asking": "request, query, probe or check",
    r"anew|once more": "again, or restart",
    r"figures?(?! out\b| \d|\.\w)": "value, sample, measurement or number",
    r"answer(?:s|ed|ing)?": "response or respond (HTTP), result (of a probe), reply or say",
    r"(?<!there )(?:is|are|was|were) no "
    r"(?!longer\b|(?:{comparison}) than\b|and\b|or\b|(?:{idioms})\b)[\w…¶]\w*": (
        "“is not a …”, or “there is no …”"
    ),
    r"(?:is|are|was|were) none of": "“must be one of …”",
    r"lends?|lent|lending": "acquire or borrow",
    r"(?:gives|takes) (?:a|the|one|its) connections?": "returns, accepts or acquires",
    r"foreign(?!.(?:keys?|currency|currencies|exchange|tables?|data)\b)": (
        "third-party, other or untrusted"
    ),
    r"strangers?": "an anonymous caller, or other people",
    r"end(?:s|ed|ing)? by (?:itself|themselves)": "expires, or completes",
    r"bad nights?|3 a\.m": "incident, or on call",
    r"belong(?:s|ed|ing)? into": "belongs in, or “run it in”",
    r"fits? to": "fits, or matches",
    r"(?:of|by|as|to) whom|by which": "a sentence of its own, with the subject first",
    r"_*(?:most|least|longest)_\w+": "a name with max_ or min_",
}
"""Phrases in text, and what to write instead. A space matches the end of a line too."""

COMPARISON = "more|less|fewer|later|earlier|greater|larger|smaller|higher|lower|older|newer|longer|better|worse"
IDIOMS = "accident|different|good|matter|need|problem|surprise|use|wonder"
"""What something can be no: “it is no surprise that …”."""

KEPT = {
    "data_answer": "a public function of aliaport.apps",
    "metrics-foreign": "a file of deploy/ that operators mount",
    "SELECT answer ->": "the column of a table",
    "status, answer": "the column of a table",
    "answer = $": "the column of a table",
    "answer json": "the column of a table",
    "the answer is to be the same one": "the text of a migration, fixed by its checksum",
    'row["answer"]': "the column of a table",
    "first_asked": "the column of a table",
    "last_asked": "the column of a table",
    "currency_sync.asked": "the name of an event in the log",
    "request.answered": "the name of an event in the log",
    "StandIn": "a name: a stand-in is a common word",
    "stand_in": "a name: a stand-in is a common word",
    "most_common": "a method of the standard library's Counter",
    "most_waiting": "the old name of a setting, accepted until 3.3",
    "most_hashing": "the old name of a setting, accepted until 3.3",
    "MOST_WAITING": "the old name of a setting, accepted until 3.3",
    "MOST_HASHING": "the old name of a setting, accepted until 3.3",
}
"""Names and phrases that no rule applies to, with the reason."""

OPENINGS = {"What", "Whether", "Who", "Whose", "As", "Of", "By"}
"""Words that no docstring begins with."""

LOOP_VARIABLES = {"each"}
"""Names that say nothing of the thing that they hold."""

UNCHECKED = {
    "LICENSE": "a legal text",
    "requirements/*.txt": "lock files",
    "*/package-lock.json": "lock files",
    "tests/data/*": "a third-party schema",
    "plugins/currency-sync/tests/samples/*": "bulletins of a central bank",
    "tests/test_language.py": "the rules and their samples",
}

_COMPILED = {
    re.compile(
        r"(?:\b|(?<!\w)_+)(?:"  # emphasis too: _word_
        + phrase.replace("{comparison}", COMPARISON).replace("{idioms}", IDIOMS).replace(" ", r"\s")
        + r")(?!_*[^\W_])",
        re.IGNORECASE,
    ): instead
    for phrase, instead in WORDS.items()
}
_ANY = re.compile("|".join(pattern.pattern for pattern in _COMPILED), re.IGNORECASE)
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
    for match in _ANY.finditer(text):
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
                    yield from _in_text(file, [(node.lineno, _words(name))])
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield from _in_text(file, [(node.lineno, _words(node.name))])


def _words(name: str) -> str:
    """Return the words of a name, so that the rules of text apply to it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_+", " ", name).strip()


def files(root: Path = ROOT) -> Iterator[Path]:
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


def _parts() -> dict[str, list[Path]]:
    """Return the files to check by folder, two levels deep."""
    parts: dict[str, list[Path]] = {}
    for path in files():
        file = path.relative_to(ROOT)
        if not any(fnmatch(file.as_posix(), pattern) for pattern in UNCHECKED):
            parts.setdefault("/".join(file.parts[:-1][:2]) or ".", []).append(path)
    return dict(sorted(parts.items()))


PARTS = _parts()


@pytest.mark.parametrize("part", PARTS)
def test_everything_is_in_plain_english(part: str) -> None:
    findings = [
        str(finding)
        for path in PARTS[part]
        for finding in check(path.relative_to(ROOT).as_posix(), path.read_text(errors="replace"))
    ]
    if findings:
        pytest.fail(
            f"{len(findings)} phrases to replace in {part}:\n" + "\n".join(findings), pytrace=False
        )


def _phrases(file: str, source: str) -> list[tuple[int, str]]:
    return [(finding.line, finding.phrase) for finding in check(file, source)]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("The operator is told.", "told"),
        ("It tells of this.", "tells"),
        ("The row stands in a table.", "stands"),
        ("It stood there.", "stood"),
        ("Both stand in one file.", "stand in"),
        ("Prometheus Asks the service.", "Asks"),
        ("The server is asked.", "asked"),
        ("It begins anew.", "anew"),
        ("Try it once more.", "once more"),
        ("The figures of a probe.", "figures"),
        ("An answer of 200.", "answer"),
        ("The body is no JSON.", "is no JSON"),
        ("Those who are no users.", "are no users"),
        ("The kind is none of these.", "is none of"),
        ("A pool lends a connection; it was lent.", "lends"),
        ("A pool gives a connection.", "gives a connection"),
        ("Foreign metrics.", "Foreign"),
        ("Hidden from strangers.", "strangers"),
        ("A session ends by itself.", "ends by itself"),
        ("For a bad night.", "bad night"),
        ("Woken up at 3 a.m. again.", "3 a.m"),
        ("It belongs into a process.", "belongs into"),
        ("It does not fit to the state.", "fit to"),
        ("The user by whom it was made.", "by whom"),
        ("The name by which it is known.", "by which"),
        ("MOST_BYTES", "MOST_BYTES"),
        ("`least_role`", "least_role"),
        ("_longest_wait", "_longest_wait"),
        ("The operator is _told_.", "_told"),
    ],
)
def test_phrases_are_refused(text: str, phrase: str) -> None:
    found = check("page.md", text)
    assert found
    assert found[0].phrase == phrase
    assert found[0].line == 1


@pytest.mark.parametrize(
    "text",
    [
        "A stand-in for Sentry can stand in for the server.",
        "SLO stands for service level objective.",
        "There is no row, and there\nare no others. There was no time; there is none.",
        "It gives a reason and takes a second. The value is None, and it is none.",
        "It is no longer used, and is no older than a day.",
        "A foreign key, FOREIGN KEY (user), foreign-currency rates.",
        "Understood: a longstanding standard is configured; tasks are masked.",
        "Ask the database, then tell the caller.",
        "`data_answer` and deploy/metrics-foreign.toml.",
        "At most 5, at least 3, the longest one; `at_most_once`; `Counter.most_common`.",
        "Figure out which probe is slow. See figure 3 and figure.png.",
        "Frequently asked questions. It is no surprise, and was no worse than before.",
        "The setting is no, or yes.",
        "It begins at 3 am. The silent lenders.",
    ],
)
def test_good_english_is_accepted(text: str) -> None:
    assert check("page.md", text) == []


def test_a_finding_names_the_line_and_the_better_word() -> None:
    (finding,) = check("docs/page.md", "# Title\n\nThe operator\nis told.\n")
    assert str(finding) == ("docs/page.md:4: “told”: write log, report, notify, show or say")


def test_a_phrase_is_found_across_lines() -> None:
    assert _phrases("page.md", "It belongs\ninto a process.") == [(1, "belongs into")]
    assert _phrases("a.yml", "# It belongs\n# into a process.") == [(1, "belongs into")]
    assert _phrases("a.py", 'x = (\n    "It belongs "\n    "into it"\n)') == [(2, "belongs into")]
    assert _phrases("a.py", "# It belongs\n# into it\n") == [(1, "belongs into")]
    assert _phrases("a.py", 'x = ["It belongs", "into it"]') == []
    assert _phrases("a.py", 'x = (\n    f"{y} there "\n    f"is no {y}"\n)') == []
    assert [line for line, _ in _phrases("a.py", 'x = f"{y} is no {z}"')] == [1]


def test_comments_strings_and_names_of_python_are_checked() -> None:
    source = """
class ApiAnswer:
    '''Hold a response.

    It is told.
    '''

    def is_told(self): return f"asked {self.answer} {self.told(x='a')}"

# The figures\nreply = "\\ntold"
def stand_in(reply): MOST_ROWS
class StandIn: ...
"""
    assert _phrases("a.py", source) == [
        (2, "Answer"),
        (5, "told"),
        (8, "asked"),
        (8, "told"),
        (10, "figures"),
        (11, "told"),
        (12, "MOST_ROWS"),
    ]


def test_names_of_variables_are_checked() -> None:
    source = "answer = 1\ndef f(told): self.asked = 1\nfor stand_in, response in rows: ..."
    assert _phrases("a.py", source) == [(1, "answer"), (2, "told"), (2, "asked")]


def test_names_of_tests_are_checked_as_sentences() -> None:
    assert _phrases("a.py", "def test_what_is_no_file_is_refused(): ...") == [(1, "is no file")]
    assert _phrases("a.py", "def test_there_is_no_file(): ...") == []


def test_variables_without_a_meaning_are_refused() -> None:
    assert _phrases("a.py", "for each in rows: pass") == [(1, "each")]
    assert _phrases("a.py", "[each for each in rows]") == [(1, "each")]
    assert _phrases("a.py", "sorted(rows, key=lambda each: each.name)") == [(1, "each")]
    assert _phrases("a.py", "try: f()\nexcept E as each: pass") == [(2, "each")]
    assert _phrases("a.py", "for row in rows: print('each')") == []


@pytest.mark.parametrize("word", sorted(OPENINGS))
def test_openings_of_docstrings_are_refused(word: str) -> None:
    for source in ('"""{} it is."""', 'def f():\n """{} it is."""', 'X = 1\n"""{} it is."""'):
        assert [phrase for _, phrase in _phrases("a.py", source.format(word))] == [f'"""{word} …']


def test_other_openings_of_docstrings_are_accepted() -> None:
    assert _phrases("a.py", '"""Assign, offer, bypass."""\nX = "What is this?"') == []


def test_scripts_without_an_extension_are_read_as_python() -> None:
    assert _phrases("deploy/sync", "#!/usr/bin/env python3\nreply = 'asked'") == [(2, "asked")]
    assert _phrases("deploy/setup", "#!/bin/sh\n# It is told.") == [(2, "told")]


def test_released_entries_and_old_names_of_the_changelog_are_not_checked() -> None:
    text = "## [Unreleased]\n- `most_rows` is told\n## [3.1.0] - 2026-11-25\n- asked\n"
    assert _phrases("CHANGELOG.md", text) == [(2, "told")]


def test_ignored_files_are_not_checked(tmp_path: Path) -> None:
    for name in ("kept.md", "build/a.md", "logs/a.md", "b/logs/a.md", "b/.env.x", "b/.env.y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("build/\n/logs/\n.env.*\n")
    (tmp_path / "b/.gitignore").write_text("!.env.y\n")
    found = {path.relative_to(tmp_path).as_posix() for path in files(tmp_path)}
    assert found == {"kept.md", ".gitignore", "b/.gitignore", "b/logs/a.md", "b/.env.y"}


def test_pictures_are_not_checked() -> None:
    assert check("docs/picture.png", "\x89PNG\0 told ") == []


def test_the_repository_is_found() -> None:
    assert {"README.md", "Makefile", ".ci/run", "deploy/uptime/sync"} <= {
        path.relative_to(ROOT).as_posix() for paths in PARTS.values() for path in paths
    }


def test_each_exception_is_needed() -> None:
    for phrase in KEPT:
        assert _ANY.search(phrase) or _ANY.search(_words(phrase)), phrase
