"""deploy/grafana/README.md matches the files."""

import json

from tests.grafana.dashboards import GRAFANA, dashboards

README = (GRAFANA / "README.md").read_text()


def test_the_table_matches_the_dashboards() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `aliaport-")]
    expected = {
        f"| `{uid}` {board['title']} | {board['description']} |"
        for uid, board in dashboards().items()
    }
    assert set(rows) == expected


def test_every_file_is_named() -> None:
    for file in GRAFANA.rglob("*"):
        place = file.relative_to(GRAFANA)
        if file.is_dir() or file.suffix == ".pyc" or place.parts[0] == "dashboards":
            continue
        one_a_dashboard = place.parts[0] == "boards" and (
            f"aliaport-{place.stem}" in dashboards() or place.stem == "__init__"
        )
        named = f"`{place}`" in README or f"`{place.parent}`" in README or place.name == "README.md"
        assert named or one_a_dashboard, f"{place} is not in README.md"


def test_the_paths_in_the_container_match_the_provider() -> None:
    assert "| `dashboards` | `/var/lib/grafana/dashboards` |" in README
    assert (
        "/var/lib/grafana/dashboards"
        in (GRAFANA / "provisioning/dashboards/aliaport.yml").read_text()
    )


def test_the_version_of_the_schema_is_the_one_compiled_against() -> None:
    package = json.loads((GRAFANA.parents[1] / "tests/grafana/types/package.json").read_text())
    assert f"`@grafana/schema` {package['dependencies']['@grafana/schema']}" in README


def test_it_says_what_was_not_run() -> None:
    assert "Grafana itself was not run" in README
