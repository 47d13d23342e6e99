"""The README of deploy/elk matches the files."""

import json
import re

from tests.elk.setup_runs import ELK, run

README = (ELK / "README.md").read_text()


def test_every_file_is_named() -> None:
    left_out = {"README.md", ".gitignore", *(ELK / ".gitignore").read_text().split()}
    for file in ELK.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts and file.name not in left_out:
            place = file.relative_to(ELK)
            named = str(place) if len(place.parts) < 3 else f"{place.parent}/"
            assert f"`{named}`" in README, f"{place} is not in README.md"


def test_the_table_of_streams_matches_the_templates() -> None:
    for file in (ELK / "elasticsearch/index_template").glob("*.json"):
        template = json.loads(file.read_text())
        name = file.stem.removeprefix("aliaport-")
        (alias,) = template["template"]["aliases"]
        days = template["template"]["lifecycle"]["data_retention"].removesuffix("d")
        row = f"| `{name}.log` | `logs-aliaport.{name}-default` | `{alias}` | {days} days |"
        assert row in README, f"README.md has no line {row}"


def test_setup_has_the_options_in_the_readme() -> None:
    shown = run(ELK, "--help").out
    command = README[README.index("deploy/elk/setup --elasticsearch") :].split("```")[0]
    for option in re.findall(r"--[a-z-]+", command):
        assert option in shown, f"setup has no {option}"


def test_files_with_secrets_are_ignored_by_git() -> None:
    ignored = (ELK / ".gitignore").read_text().split()
    for name in set(re.findall(r"deploy/elk/([\w-]+(?:\.crt)?)(?=[\s\\])", README)) - {"setup"}:
        assert name in ignored, f"{name} could be committed"


def test_it_says_what_was_not_run() -> None:
    assert "Filebeat, Elasticsearch and Kibana themselves were not run" in README
