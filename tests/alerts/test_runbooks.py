"""Each alert has a runbook that matches its rule and uses only what exists."""

import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from tests.alerts.runbooks import (
    KINDS,
    RUNBOOKS,
    SECTIONS,
    Block,
    alerts,
    anchors,
    blocks,
    distinct,
    pages,
    ranges,
    recorded,
    section,
    selectors,
    thresholds,
)
from tests.support import metric_lists

ALERTS = alerts()
PAGES = pages()
BLOCKS = [block for page, text in PAGES.items() for block in blocks(page, text)]


def known_metrics() -> set[str]:
    return {*metric_lists.own_series(), *metric_lists.third_party(), *recorded()}


KNOWN = known_metrics()


def test_each_alert_has_a_runbook_and_there_are_no_others() -> None:
    assert set(PAGES) - {"README"} == set(ALERTS)
    others = {file.name for file in RUNBOOKS.iterdir()} - {f"{name}.md" for name in PAGES}
    assert not others


@pytest.mark.parametrize("name", ALERTS)
def test_it_has_all_sections(name: str) -> None:
    text = PAGES[name]
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    for heading in SECTIONS:
        assert section(text, heading).strip(), f"nothing is below {heading}"
    assert len(text.splitlines()) <= 80, "people read it during an incident: be short"


@pytest.mark.parametrize("name", ALERTS)
def test_the_rule_links_to_the_runbook_which_names_the_dashboard(name: str) -> None:
    annotations = ALERTS[name]["annotations"]
    assert annotations["runbook_url"].endswith(f"/user/runbooks/{name}.md")
    dashboard = annotations["dashboard_url"].rpartition("/")[2]
    assert f"`{dashboard}`" in PAGES[name]


def in_words(seconds: float) -> str:
    """Return a duration in the words of the runbooks."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            number = round(seconds / size)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return f"{seconds:g} seconds"


def spellings(limit: float) -> list[str]:
    """Return the forms in which a text may write a threshold."""
    written = [f"{limit:g}", f"{limit * 100:g}%"]
    return [*written, in_words(limit)] if limit >= 3600 else written


@pytest.mark.parametrize("name", ALERTS)
def test_its_meaning_states_the_limits_of_the_rule(name: str) -> None:
    rule, meaning = ALERTS[name], section(PAGES[name], "Meaning").replace("\n", " ")
    for limit in thresholds(rule["expr"]):
        pattern = "|".join(map(re.escape, spellings(limit)))
        assert re.search(rf"(?<![\d.])({pattern})(?!\d|\.\d)", meaning), f"the limit {limit:g}"
    for span in ranges(rule["expr"]):
        assert in_words(span.total_seconds()) in meaning, f"the range {span}"
    if "for" in rule:
        lasts = in_words(_seconds(rule["for"]))
        assert f"for {lasts}" in meaning
    else:
        assert "at once" in meaning


def _seconds(duration: str) -> float:
    sizes = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    found = re.findall(r"(\d+)([smhd])", duration)
    return sum(timedelta(seconds=int(n) * sizes[unit]).total_seconds() for n, unit in found)


def test_the_index_lists_each_alert_below_its_file_with_its_severity() -> None:
    parts = re.split(r"^### (.*)$", PAGES["README"], flags=re.MULTILINE)
    listed = {
        name: (file, severity)
        for file, table in zip(parts[1::2], parts[2::2], strict=True)
        for name, severity in re.findall(
            r"^\| \[\w+\]\((\w+)\.md\) \| (\w+) \| .+ \|$", table, re.MULTILINE
        )
    }
    assert listed == {
        name: (rule["file"], rule["labels"]["severity"]) for name, rule in ALERTS.items()
    }


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        path, _, fragment = link.partition("#")
        target: Path = RUNBOOKS / (path or f"{page}.md")
        assert target.exists(), link
        assert not fragment or fragment in anchors(target.read_text()), link


def test_each_block_is_of_a_known_kind() -> None:
    unknown = [f"{block} {block.kind!r}" for block in BLOCKS if block.kind not in KINDS]
    assert not unknown


@pytest.mark.parametrize("block", distinct("promql").values(), ids=str)
def test_its_query_uses_only_known_metrics(block: Block) -> None:
    for selector in selectors(block.text):
        matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
        if selector.name is not None:
            assert selector.name in KNOWN, selector.name
        elif "__name__" in matchers:
            pattern = matchers["__name__"]
            assert any(re.fullmatch(pattern, name) for name in KNOWN), pattern
        else:
            assert "job" in matchers, f"{selector} selects everything"


@pytest.mark.service
@pytest.mark.parametrize("kind", [kind for kind in sorted(KINDS) if kind.startswith("sh")])
def test_the_shell_understands_its_commands(kind: str) -> None:
    assert distinct(kind)
    for block in distinct(kind).values():
        done = subprocess.run(["sh", "-n"], input=block.text, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}: {done.stderr}"


def test_commands_that_change_something_are_marked() -> None:
    changing = re.compile(
        r"\bdocker\b|\brestart\b|\bkill -|pg_(cancel|terminate)_backend|ALTER|GRANT|DROP|DELETE|UPDATE"
        r"|backfill|silence (add|expire)|alert add|\brm\b|-X ?(POST|PUT|DELETE)|> ?\w+\.\w+"
    )
    for text, block in distinct("sh").items():
        assert not changing.search(text), f"{block}: {text}"
