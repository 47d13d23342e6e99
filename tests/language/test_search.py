"""The search finds what the rules refuse, and accepts good English."""

from pathlib import Path

import pytest

from tests.language.rules import OPENINGS
from tests.language.search import check, files


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
