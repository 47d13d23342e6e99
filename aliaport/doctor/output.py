"""Prints the checklist as a table on a terminal, as plain lines otherwise, or as JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aliaport import __version__
from aliaport.doctor.findings import RUNBOOKS, Finding, Verdict
from aliaport.doctor.running import Line

FORM = 1
"""Version of the JSON: raised if the meaning of a key changes, not if keys are added."""

_WORDS = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "FAIL",
    Verdict.WARNING: "warning",
    Verdict.NOT_CHECKED: "not checked",
}
_STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARNING: "bold yellow",
    Verdict.NOT_CHECKED: "yellow",
}


def failed(lines: Sequence[Line]) -> bool:
    """Return whether any line failed."""
    return any(line.finding.verdict is Verdict.FAIL for line in lines)


def as_json(lines: Sequence[Line], url: str) -> dict[str, Any]:
    """Return the stable shape that --json prints."""
    return {
        "form": FORM,
        "doctor": __version__,
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "url": url,
        "result": "fail" if failed(lines) else "pass",
        "counts": {verdict.value: _count(lines)[verdict] for verdict in Verdict},
        "lines": [
            {
                "id": line.id,
                "title": line.title,
                "result": line.finding.verdict.value,
                "seen": line.finding.seen,
                "todo": line.finding.todo,
                "runbook": runbook(line.finding),
            }
            for line in lines
        ],
    }


def plain(lines: Sequence[Line]) -> Iterator[str]:
    """Yield plain lines for a file or a pipe."""
    for line in lines:
        yield f"{_WORDS[line.finding.verdict]:12}{line.id:25}{line.title} - {line.finding.seen}"
        for advice in _advice(line.finding):
            yield f"{'':12}{advice}"
    yield summary(lines)


def show_table(lines: Sequence[Line]) -> None:
    """Print the table on a terminal."""
    table = Table("", "check", "result and next step")
    for line in lines:
        finding = line.finding
        style = _STYLES[finding.verdict]
        text = Text("\n".join([finding.seen, *_advice(finding)]))
        table.add_row(Text(_WORDS[finding.verdict], style), Text(line.title), text)
    console = Console()
    console.print(table)
    console.print(Text(summary(lines), "bold red" if failed(lines) else "bold"))


def summary(lines: Sequence[Line]) -> str:
    """Return how many lines passed, failed, warn and were not checked."""
    counts = _count(lines)
    return ", ".join(
        f"{counts[verdict]} {word}"
        for verdict, word in (
            (Verdict.PASS, "passed"),
            (Verdict.FAIL, "failed"),
            (Verdict.WARNING, "with a warning"),
            (Verdict.NOT_CHECKED, "not checked"),
        )
        if counts[verdict] or verdict is not Verdict.WARNING
    )


def runbook(finding: Finding) -> str:
    """Return the path of the runbook, or '' if there is none."""
    return f"{RUNBOOKS}/{finding.runbook}.md" if finding.runbook else ""


def _advice(finding: Finding) -> list[str]:
    page = f" ({runbook(finding)})" if finding.runbook else ""
    return [f"→ {finding.todo}{page}"] if finding.todo else []


def _count(lines: Sequence[Line]) -> Counter[Verdict]:
    return Counter(line.finding.verdict for line in lines)
