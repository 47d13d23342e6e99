"""The files of deploy/grafana/dashboards are exactly what the generator writes, on any machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.grafana.dashboards import GRAFANA, dashboards, variable

pytestmark = pytest.mark.service


def generated(folder: Path, *options: str, seed: str = "0") -> dict[str, str]:
    """Return the files that the generator writes, by name."""
    subprocess.run(
        [sys.executable, "-B", GRAFANA / "generate", "--into", folder, *options],
        check=True,
        timeout=60,
        cwd=folder,
        env={"PYTHONHASHSEED": seed, "LC_ALL": "C"},
    )
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}


def drifted(folder: Path, written: dict[str, str]) -> list[str]:
    """Return the files that differ or exist on one side only."""
    there = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*")}
    return sorted(
        name for name in there.keys() | written.keys() if there.get(name) != written.get(name)
    )


def test_the_dashboards_are_those_of_the_generator(tmp_path: Path) -> None:
    assert drifted(GRAFANA / "dashboards", generated(tmp_path)) == [], "run deploy/grafana/generate"


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    for folder in ("written", "changed"):
        (tmp_path / folder).mkdir()
    written = generated(tmp_path / "written")
    generated(tmp_path / "changed")
    (tmp_path / "changed/aliaport-slo.json").unlink()
    file = tmp_path / "changed/aliaport-system.json"
    file.write_text(file.read_text(encoding="utf-8").replace("0.8", "0.9"), encoding="utf-8")
    assert drifted(tmp_path / "changed", written) == ["aliaport-slo.json", "aliaport-system.json"]


def test_it_writes_the_same_each_time(tmp_path: Path) -> None:
    first, second = generated(tmp_path, seed="1"), generated(tmp_path, seed="2")
    assert first == second


def test_files_of_removed_dashboards_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "aliaport-old.json").write_text("{}")
    (tmp_path / "someone-elses.json").write_text("{}")
    assert generated(tmp_path).keys() - {"someone-elses.json"} == {
        f"{uid}.json" for uid in dashboards()
    }


def test_links_use_the_given_address(tmp_path: Path) -> None:
    address = "https://prometheus.example.org"
    for name, text in generated(tmp_path, "--prometheus", f"{address}/").items():
        found = variable(json.loads(text), "prometheus")
        assert found is not None, name
        assert found["query"] == found["current"]["value"] == address
        assert "localhost" not in text


@pytest.mark.parametrize("uid", dashboards())
def test_they_can_only_be_read(uid: str) -> None:
    dashboard = dashboards()[uid]
    assert dashboard["editable"] is False
    assert dashboard["schemaVersion"] == 41
    assert "id" not in dashboard, "Grafana assigns the ID"
