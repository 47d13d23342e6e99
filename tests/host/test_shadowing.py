"""Another copy of a plugin's distribution or module is reported, wherever it comes from."""

import json
import sys
from pathlib import Path

import pytest

from aliaport.host.discovery import scan
from aliaport.host.shadowing import Shadowed, shadowed
from tests.support import commands
from tests.support.distributions import install
from tests.support.fixtures import Launch

PLUGIN = {"shelf": "aliaport_shelf_example.plugin:Shelf"}


def found(name: str = "shelf") -> list[Shadowed]:
    return shadowed(candidate for candidate in scan(None, ()) if candidate.name == name)


def installed(folder: Path, version: str = "1.0", *, record: bool = True) -> Path:
    """Install the plugin with its module; return its folder."""
    install(folder, "aliaport-shelf-example", PLUGIN, version=version)
    package = folder / "aliaport_shelf_example"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "plugin.py").touch()
    if record:
        info = folder / f"aliaport_shelf_example-{version}.dist-info"
        (info / "RECORD").write_text("aliaport_shelf_example/plugin.py,,\n")
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = installed(tmp_path / "site")
    monkeypatch.syspath_prepend(site)
    return site


def test_one_copy_is_not_reported(site: Path, tmp_path: Path) -> None:
    assert found() == []
    (tmp_path / "lib64").symlink_to(site)  # a second name of the same folder
    sys.path.append(str(tmp_path / "lib64"))
    assert found() == []


def test_a_second_distribution_of_the_name_is_reported(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = installed(tmp_path / "newer", "9.9")
    monkeypatch.syspath_prepend(newer)
    (shadow,) = found()
    assert shadow.distribution == "aliaport-shelf-example"
    assert shadow.problem == (
        f"aliaport-shelf-example 9.9 in {newer} is used instead of "
        f"aliaport-shelf-example 1.0 in {site}"
    )


def test_a_module_from_elsewhere_is_reported(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    (other / "aliaport_shelf_example").mkdir(parents=True)
    (other / "aliaport_shelf_example" / "__init__.py").touch()
    monkeypatch.syspath_prepend(other)
    (shadow,) = found()
    assert shadow.problem == (
        f"aliaport_shelf_example is imported from {other / 'aliaport_shelf_example'}, not from "
        f"aliaport-shelf-example 1.0 in {site}"
    )


def test_an_editable_installation_leaves_a_second_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = installed(tmp_path / "project" / "src", record=False)
    site = tmp_path / "site"
    install(site, "aliaport-shelf-example", PLUGIN)
    about = {"url": (tmp_path / "project").as_uri(), "dir_info": {"editable": True}}
    info = site / "aliaport_shelf_example-1.0.dist-info"
    (info / "direct_url.json").write_text(json.dumps(about))
    monkeypatch.syspath_prepend(source)
    monkeypatch.syspath_prepend(site)
    assert found() == []


def test_the_bundled_plugins_are_not_shadowed() -> None:
    assert shadowed(scan(None, ())) == []


def test_the_start_and_plugins_list_show_both_paths_and_versions(
    launch: Launch, tmp_path: Path
) -> None:
    fake = tmp_path / "site-run"  # `launch` puts this folder on the path
    install(fake, "aliaport-disk", {"disk": "aliaport_disk.plugin:DiskPlugin"}, version="9.9")
    service = launch(allow=("disk",))
    (event,) = service.wait_events("plugin.shadowed")
    problem = event["problem"]
    assert problem.startswith(f"aliaport-disk 9.9 in {fake} is used instead of aliaport-disk 3.")
    assert event["distribution"] == "aliaport-disk"
    done = commands.aliaport(service.folder, "plugins", "list", "--json", path=[fake])
    (row,) = (row for row in json.loads(done.out) if row["name"] == "disk")
    assert row["shadowed"] == problem
