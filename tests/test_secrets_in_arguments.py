"""No command of the documents and scripts has a secret among its arguments, which all users read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerts.runbooks import blocks

ROOT = Path(__file__).parents[1]
SHELLS = ("sh", "bash", "console", "shell")

SECRET = r"[A-Z_]*(?:PASSWORD|PASSWD|SECRET|TOKEN|API_KEY|CREDENTIALS|DSN|DATABASE_URL|RESTORE_URL)"
FORBIDDEN = {
    "a variable with a secret": rf"\$\{{?{SECRET}\b(?!_FILE)",
    "a URL with a password": r"[a-z]+://[^\s/:@'\"]+:[^\s/@'\"]+@",
    "a password": r"--(?:password|token|api-key)[= ](?!-)|--from-literal=|PGPASSWORD=",
    "a user with a password": r"(?:^|\s)(?:-u|--user)[= ]?['\"]?[\w.-]+:",
    "a header with a credential": r"(?i)(?:-H|--header)[= ]?['\"]Authorization: *(?:basic|bearer)",
}
BUILTIN = r"(?:export|printf|echo|read|test|\[|if|for|while|local|missing|put|prompt|:)\b"
SETTING = re.compile(r"\s*(?!command|entrypoint|args|test)[\w.-]+:\s")
ASSIGNMENTS = re.compile(
    r"^(?:env (?:-u \w+ )*)?(?:\w+=(?:'[^']*'|\"[^\"]*\"|\$\([^)]*\)|\S)*\s+)+"
)


def files() -> Iterator[Path]:
    yield from (*ROOT.glob("*.md"), *ROOT.glob("plugins/*/*.md"), ROOT / "Makefile")
    for folder in ("deploy", "docs", ".ci"):
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.is_file())


def commands() -> Iterator[tuple[str, str]]:
    """Yield each line of a shell block or script, with its place."""
    for path in files():
        name = str(path.relative_to(ROOT))
        if path.suffix == ".md":
            for block in blocks(name, path.read_text()):
                if block.kind.split(" ")[0] in SHELLS:
                    lines = block.text.replace("\\\n", " ").splitlines()
                    yield from ((f"{block}", line) for line in lines)
        elif path.suffix in (".sh", ".yml", ".yaml") or _is_shell(path):
            lines = path.read_text().replace("\\\n", " ").splitlines()
            for number, line in enumerate(lines, 1):
                # A setting of a container or program; its commands are lists.
                if not (path.suffix in (".yml", ".yaml") and SETTING.match(line)):
                    yield f"{name}:{number}", line


def _is_shell(path: Path) -> bool:
    return path.suffix == "" and (
        path.name == "Makefile" or path.read_bytes()[:20].endswith((b"bash\n", b"sh\n"))
    )


def problem(line: str) -> str:
    """Return what a command line shows to all users; '' if nothing."""
    for part in re.split(r"\s*(?:\||&&|;)\s*", line.strip().removeprefix("$ ")):
        part = re.sub(r"^(?:then|do|else|if|!)\s+", "", part)
        command = ASSIGNMENTS.sub("", f"{part} ").strip()
        if re.match(BUILTIN, command) or re.fullmatch(r"\w+=.*", command):
            continue
        for name, pattern in FORBIDDEN.items():
            if re.search(pattern, command):
                return name
    return ""


def test_no_command_has_a_secret_among_its_arguments() -> None:
    found = [f"{place}: {problem(line)}: {line}" for place, line in commands() if problem(line)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        'psql "$DATABASE_URL" -c "SELECT 1"',
        '$ pg_dump --file=x "${RESTORE_URL:?}"',
        "docker run -e DATABASE_URL=postgresql://user:password@db.example.org/aliaport aliaport",
        "PGPASSWORD=x PGHOST=y psql 'postgresql://a:b@c/d'",
        'curl -H "Authorization: Bearer $ALIAPORT_STATUS_TOKEN" localhost:8000/status',
        "curl -u elastic:changeme localhost:9200",
        "kubectl create secret generic x --from-literal=token=abc",
        "true && tool --password geheim",
    ],
)
def test_such_commands_are_found(line: str) -> None:
    assert problem(line)


@pytest.mark.parametrize(
    "line",
    [
        "export DATABASE_URL='postgresql://user:password@db.example.org/aliaport'",
        "DATABASE_URL=postgresql://user:password@db.example.org/aliaport aliaport serve",
        'printf "%s" "$ELASTIC_PASSWORD" | curl -K - localhost:9200',
        "docker run -e DATABASE_URL aliaport",
        'env -u DATABASE_URL DATABASE_URL_FILE="$RESTORE_URL_FILE" aliaport plugins run x',
        "setup --user elastic --password-file deploy/elk/elastic-password",
        "psql service=aliaport-restore --no-psqlrc",
    ],
)
def test_other_commands_are_not(line: str) -> None:
    assert not problem(line)
