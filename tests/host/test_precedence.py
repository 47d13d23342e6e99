"""Names that two plugins use: what is required, bundled or allowed keeps them."""

import json
from pathlib import Path

import pytest

from aliaport import __version__
from aliaport.host.discovery import Candidate, scan
from tests.host.rogue_services import LIVES, plugin_rows
from tests.host.test_discovery import found
from tests.support import commands
from tests.support.commands import Done
from tests.support.distributions import install
from tests.support.fixtures import Launch
from tests.support.service import ROGUES

GREETER = "aliaport_rogues.mounted:app"


def collide(folder: Path, *, required: tuple[str, ...] = ()) -> dict[str, Candidate]:
    candidates = scan(None, (), found(folder), required)
    return {candidate.distribution: candidate for candidate in candidates}


def test_a_bundled_plugin_keeps_its_name(tmp_path: Path) -> None:
    install(tmp_path, "aliaport-cpu", {"cpu": "a:B"}, version=__version__)
    install(tmp_path, "hot-cpus", {"cpu": "x:Y"}, version=__version__)
    candidates = collide(tmp_path, required=("cpu",))
    assert candidates["aliaport-cpu"].rejection is None
    rejection = candidates["hot-cpus"].rejection
    assert rejection is not None
    assert (rejection.stage, rejection.outranked) == ("collision", True)
    assert f"'cpu' is that of aliaport-cpu {__version__}, which is bundled" in rejection.reason


def test_only_the_release_of_the_service_is_bundled(tmp_path: Path) -> None:
    install(tmp_path, "aliaport-cpu", {"cpu": "a:B"}, version="0.1")
    install(tmp_path, "aliaport-cpus", {"cpu": "x:Y"}, version=__version__)
    rejections = [candidate.rejection for candidate in collide(tmp_path).values()]
    assert [rejection and rejection.outranked for rejection in rejections] == [False, False]


def test_ranks_are_required_then_bundled_then_allowed(tmp_path: Path) -> None:
    install(tmp_path, "aliaport-cpu", {"cpu": "a:B"}, version=__version__)
    install(tmp_path, "x", {"wanted": "a:B", "named": "a:B"})
    candidates = scan(("cpu", "wanted", "named"), (), found(tmp_path), ("wanted",))
    by_rank = sorted(candidates, key=lambda candidate: candidate.rank, reverse=True)
    assert [candidate.name for candidate in by_rank] == ["wanted", "cpu", "named"]


def test_a_misspelled_group_beside_the_right_one_does_not_matter(tmp_path: Path) -> None:
    install(tmp_path, "one", {"shelf": "a:B"}, groups={"aliaport.plugin": {"shelf": "a:B"}})
    rejections = [candidate.rejection for candidate in scan(None, (), found(tmp_path))]
    assert [rejection and rejection.outranked for rejection in rejections] == [None, True]


@pytest.mark.service
def test_a_newcomer_with_the_names_of_others_is_rejected_alone(launch: Launch) -> None:
    service = launch(
        {"squats": f"{LIVES}:Squats"},
        apps={"first": GREETER, "second": GREETER},
        allow=("disk",),
        config='selection.required = ["disk", "second"]\n',
    )
    assert service.get("/ready").status == 200, "its critical probes do not count"
    rows = plugin_rows(service)
    assert rows["disk"]["state"] == rows["second"]["state"] == "running"
    assert (rows["squats"]["state"], rows["squats"]["stage"]) == ("rejected", "collision")
    assert "the plugin 'disk', which keeps it" in rows["squats"]["reason"]
    assert (rows["first"]["state"], rows["first"]["stage"]) == ("rejected", "collision")
    assert service.get("/greeter/greet/x").json["from"] == "second"
    status = service.get("/status").json["data"]
    assert status["status"] == "degraded"
    assert "squats_own" not in [row["name"] for row in status["probes"]]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Install a plugin that takes a bundled plugin's probe, and one that takes an entry point."""
    site = tmp_path / "site"
    install(site, "squatters", {"squats": f"{LIVES}:SquatsDatabase", "cpu": f"{LIVES}:StopHangs"})
    return site


def aliaport(site: Path, *arguments: str, **environ: str) -> Done:
    return commands.aliaport(site.parent, *arguments, path=(site, ROGUES), environ=environ)


def test_the_commands_say_so_beforehand(site: Path) -> None:
    listed = aliaport(site, "plugins", "list", "--json")
    assert listed.code == 1
    rows = {(row["name"], row["distribution"]): row for row in json.loads(listed.out)}
    assert rows["db", "aliaport-db"]["state"] == "loadable"
    assert rows["cpu", "aliaport-cpu"]["state"] == "loadable"
    for row in (rows["squats", "squatters"], rows["cpu", "squatters"]):
        assert (row["state"], row["stage"]) == ("rejected", "collision")
    checked = aliaport(site, "config", "check")
    assert checked.code == 1
    assert "finding: plugin squats (squatters 1.0) is rejected: collision: its probe" in checked.out
    assert "finding: plugin cpu (squatters 1.0) is rejected: collision: its name" in checked.out
    required = aliaport(site, "plugins", "list", ALIAPORT_SELECTION__REQUIRED='["squats"]')
    assert "as a probe of the plugin 'squats', which keeps it" in required.out
