"""Hooks of mkdocs: pages from outside docs/, and Markdown as a repository browser reads it.

Pages below deploy/ and plugins/ stay beside the files that they describe. Links are written for the
repository; a link to a file that is not a page of the site becomes plain text here.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PATTERNS = ("*.md", "deploy/**/*.md", "plugins/**/*.md")
"""The pages outside docs/; of those in the main folder only the listed ones."""

CHANGELOG = "CHANGELOG.md"
MAIN_PAGES = (CHANGELOG, "CONTRIBUTING.md", "SECURITY.md")
RUNBOOKS = "deploy/runbooks/*.md"
GROUPS = {"alert": "Core alerts", "slo": "Error budgets", "log": "Logs"}
"""Titles of the groups of runbooks whose rule file has a short name."""

FENCE_TITLES = {"changes": "Changes something", "docker": "Needs Docker Compose"}
"""The titles of fences whose language is followed by one of these words."""

THEMED = "[data-md-color-scheme="
"""The part of a picture's style that follows the colours of the site."""

_LINK = re.compile(r"(`+).+?\1|(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_FENCE = re.compile(r" *(`{3,}|~{3,})(.*)")
_ITEM = re.compile(r"( *)([-*+]|\d+\.)( +)(?=\S)")


def outside_pages() -> list[str]:
    """Return the pages outside docs/ by their path in the repository."""
    found = {
        file.relative_to(ROOT).as_posix()
        for pattern in PATTERNS
        for file in ROOT.glob(pattern)
        if not {"node_modules", "tests"} & {*file.relative_to(ROOT).parts}
    }
    return sorted(page for page in found if "/" in page or page in MAIN_PAGES)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace the patterns of the navigation by the pages that they match."""
    assert config.nav is not None
    config.nav = _expanded(config.nav)
    project = [{page.stem.capitalize(): page.name} for page in _project_pages()]
    if project:
        config.nav.append({"Project": project})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, under their path in the repository."""
    for page in outside_pages():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / page)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Convert the Markdown of a repository browser to that of mkdocs."""
    source = page.file.src_uri
    place = source if source in outside_pages() else f"docs/{source}"
    lines = normalized(markdown.splitlines())
    return "\n".join(line if code else relinked(line, place, source, files) for code, line in lines)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put pictures into the page, where they follow its colours; let names in tables wrap."""

    def inline(found: re.Match[str]) -> str:
        target = posixpath.join(posixpath.dirname(page.url), found[2])
        file = ROOT / "docs" / posixpath.normpath(target)
        picture = file.read_text().strip()
        if THEMED not in picture:
            return found[0]
        return f'<div class="picture" role="img" aria-label="{found[1]}">{picture}</div>'

    html = re.sub(r'<img alt="([^"]*)" src="([^":]+\.svg)" ?/?>', inline, html)
    return re.sub(r"<td[ >].*?</td>", lambda cell: _wrapping(cell[0]), html, flags=re.DOTALL)


def _wrapping(cell: str) -> str:
    """Allow a line break after each part of the long names in a cell."""

    def wrapping(name: re.Match[str]) -> str:
        return re.sub(r"(?<=[a-zA-Z0-9>;])([._]+)(?=\w)", r"\1<wbr>", name[0])

    return re.sub(r"(?<=<code>)[^<\s]{16,}(?=</code>)", wrapping, cell)


def _project_pages() -> list[Path]:
    return [ROOT / page for page in MAIN_PAGES if page != CHANGELOG and (ROOT / page).exists()]


def _expanded(entries: list[Any]) -> list[Any]:
    nav: list[Any] = []
    for entry in entries:
        if isinstance(entry, dict):
            nav.append({title: _below(value) for title, value in entry.items()})
        elif "*" in entry:
            nav += sorted(file.relative_to(ROOT).as_posix() for file in ROOT.glob(entry))
        else:
            nav.append(entry)
    return nav


def _below(value: Any) -> Any:
    if value == RUNBOOKS:
        return _runbooks()
    return _expanded(value) if isinstance(value, list) else value


def _runbooks() -> list[Any]:
    """Return the runbooks in the groups and the order of their index."""
    folder = posixpath.dirname(RUNBOOKS)
    _, *groups = re.split(
        r"^### (\w+)\.rules\.yml$", _text(f"{folder}/README.md"), flags=re.MULTILINE
    )
    nav: list[Any] = [{"Runbooks": f"{folder}/README.md"}]
    for name, table in zip(groups[::2], groups[1::2], strict=True):
        pages = [
            f"{folder}/{page}"
            for page in re.findall(r"^\| \[\w+\]\((\w+\.md)\)", table, re.MULTILINE)
        ]
        nav.append({GROUPS.get(name, name.capitalize()): pages})
    return nav


def _text(path: str) -> str:
    return (ROOT / path).read_text()


def normalized(lines: list[str]) -> Iterator[tuple[bool, str]]:
    """Yield each line, preceded by True inside a code block.

    Python-Markdown wants four spaces for the content of a list item, and an empty line
    before the list.
    """
    open_items: list[int] = []  # the columns at which the text of each open item begins
    fence, indent, before = "", 0, ""
    for line in lines:
        column = len(line) - len(line.lstrip(" "))
        if fence:
            yield True, " " * 4 * len(open_items) + line[min(column, indent) :]
            fence = "" if line.strip() == fence else fence
            continue
        if not line.strip():
            yield False, ""
            before = ""
            continue
        item, opened = _ITEM.match(line), _FENCE.fullmatch(line)
        if item or opened or not before:
            while open_items and column < open_items[-1]:
                open_items.pop()
        inner = column - open_items[-1] if open_items and column >= open_items[-1] else column
        margin = " " * (4 * len(open_items) + (inner if not open_items or item is None else 0))
        if opened:
            fence, indent = opened[1], column
            yield True, " " * 4 * len(open_items) + opened[1] + _language(opened[2])
        elif item:
            if before and not open_items and not _ITEM.match(before):
                yield False, ""
            yield False, margin + item[2] + " " * (4 - len(item[2])) + line[item.end() :]
            open_items.append(item.end())
        else:
            yield False, margin + line.lstrip(" ")
        before = line


def _language(words: str) -> str:
    language, _, word = words.partition(" ")
    return f'{language} title="{FENCE_TITLES[word]}"' if word in FENCE_TITLES else words


def relinked(line: str, place: str, source: str, files: Files) -> str:
    """Rewrite the links of the repository's file `place` for the site's page `source`."""

    def replaced(found: re.Match[str]) -> str:
        target = found["target"]
        if target is None or found["image"] or re.match(r"[a-z]+:|#", target):
            return found[0]
        path, mark, fragment = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(place), path))
        uri = _uri(path, files)
        if uri is not None:
            link = posixpath.relpath(uri, posixpath.dirname(source) or ".")
            return f"[{found['text']}]({link}{mark}{fragment})"
        if not (ROOT / path).exists():
            return found[0]
        text = found["text"]
        named = posixpath.basename(path) in text or path in text
        return text if named else f"{text} (`{path}`)"

    return _LINK.sub(replaced, line)


def _uri(path: str, files: Files) -> str | None:
    """Return the address on the site of a path in the repository, None if it has none."""
    if path == "README.md":
        return "index.md"
    for candidate in (path, f"{path}/README.md"):
        uri = candidate.removeprefix("docs/")
        if files.get_file_from_path(uri) is not None:
            return uri
    return None
