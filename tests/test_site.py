"""The documentation site: it builds without a warning and needs nothing from other hosts."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.structure.files import File, Files

from tests.support.scripts import script

ROOT = Path(__file__).parents[1]
LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""The attributes, by tag, whose addresses a browser loads without a click."""

_OTHER_HOST = re.compile(r"\s*(?:[a-z]+:)?//", re.IGNORECASE)
_STYLE = re.compile(r"""(?:url\(\s*|@import\s+(?:url\()?\s*)["']?([^"')\s]+)""")


class Assets(HTMLParser):
    """Collects what a page loads, and whether it has a diagram that a script would draw."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.diagram = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in LOADED.get(tag, ()) and value:
                self.loaded.append(value)
            elif name == "style" and value:
                self.loaded += _STYLE.findall(value)
            elif name == "class" and "mermaid" in (value or "").split():
                self.diagram = True


def outside_assets(file: Path) -> list[str]:
    """Return what a built file loads from other hosts."""
    text = file.read_text(encoding="utf-8")
    loaded = _STYLE.findall(text) if file.suffix in (".css", ".svg") else Assets(text).loaded
    return [address for address in loaded if _OTHER_HOST.match(address)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with patch.dict(os.environ, NO_MKDOCS_2_WARNING="1"):
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    return folder


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    return script(ROOT / "docs/hooks.py")


def test_it_builds_without_a_warning(site: Path) -> None:
    for page in ("index.html", "deploy/runbooks/AliaportDown.html", "plugins/db/index.html"):
        assert (site / page).exists()
    assert not list(site.rglob("*.py*")), "the hooks are not published"


def test_nothing_comes_from_other_hosts(site: Path) -> None:
    files = [file for ending in ("html", "css", "svg") for file in site.rglob(f"*.{ending}")]
    assert len(files) > 90
    found = {str(file.relative_to(site)): outside_assets(file) for file in files}
    assert {name: assets for name, assets in found.items() if assets} == {}
    # The theme would load the script that draws these from another host.
    pages = [file for file in files if file.suffix == ".html"]
    assert [page for page in pages if Assets(page.read_text(encoding="utf-8")).diagram] == []


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example.org/a.js"></script>',
        '<link rel="stylesheet" href="//cdn.example.org/a.css">',
        '<p style="background: url(http://example.org/a.png)">',
    ],
)
def test_an_asset_from_another_host_is_found(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(f'<img src="a.png"><a href="https://example.org/">x</a>{text}')
    assert len(outside_assets(page)) == 1


def test_no_markdown_is_left_in_the_pages(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = re.sub(
            r"<(pre|code)[ >].*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        assert "```" not in text, page
        assert "<p>|" not in text, page
        assert not re.search(r"\]\([^)\s]*\.md", text), page


def test_the_search_is_local_and_knows_the_runbooks(site: Path) -> None:
    index = (site / "search/search_index.json").read_text(encoding="utf-8")
    assert "deploy/runbooks/AliaportDown.html" in index
    assert "reference/configuration.html" in index


def relinked(hooks: ModuleType, place: str, source: str, line: str) -> str:
    pages = ("how-to/checklists.md", "deploy/elk/README.md")
    files = Files(
        [File(page, str(ROOT / "docs"), "site", use_directory_urls=False) for page in pages]
    )
    text: str = hooks.relinked(line, place, source, files)
    return text


def test_links_lead_to_pages_of_the_site(hooks: ModuleType) -> None:
    page = "deploy/README.md", "deploy/README.md"
    assert (
        relinked(hooks, *page, "[a](../docs/how-to/checklists.md#production), [b](elk)")
        == "[a](../how-to/checklists.md#production), [b](elk/README.md)"
    )
    assert (
        relinked(hooks, "docs/index.md", "index.md", "[a](../deploy/elk/README.md)")
        == "[a](deploy/elk/README.md)"
    )


def test_links_to_files_that_are_not_on_the_site_become_text(hooks: ModuleType) -> None:
    page = "deploy/README.md", "deploy/README.md"
    assert relinked(hooks, *page, "[metrics.toml](metrics.toml)") == "metrics.toml"
    assert relinked(hooks, *page, "[list](metrics.toml)") == "list (`deploy/metrics.toml`)"
    assert relinked(hooks, *page, "[gone](gone.md)") == "[gone](gone.md)", "strict reports it"
    assert relinked(hooks, *page, "`[x](metrics.toml)`") == "`[x](metrics.toml)`"


def test_lists_and_fences_are_converted_for_mkdocs(hooks: ModuleType) -> None:
    text = "Text:\n1. One\n   more\n\n   ```sh changes\n   a\n     b\n   ```\n\n   - [ ] x\n2. Two\n\nEnd"
    lines = [line for _, line in hooks.normalized(text.splitlines())]
    assert lines == [
        *("Text:", "", "1.  One", "    more", ""),
        *('    ```sh title="Changes something"', "    a", "      b", "    ```", ""),
        *("    -   [ ] x", "2.  Two", "", "End"),
    ]
