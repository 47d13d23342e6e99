"""Discovery: finding the installed plugins, and reporting what is wrong with them."""

from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from aliaport.host.discovery import RejectedError, scan, unknown_names
from aliaport.host.loading import plugin_class
from aliaport.plugin import Plugin, PluginConfig
from tests.support.distributions import install


def found(*folders: Path) -> list[PathDistribution]:
    return [
        PathDistribution(info) for folder in folders for info in sorted(folder.glob("*.dist-info"))
    ]


def test_a_distribution_found_twice_is_listed_once(tmp_path: Path) -> None:
    install(tmp_path / "lib", "Aliaport.Twice", {"twice": "a:B"})
    install(tmp_path / "lib64", "aliaport-twice", {"twice": "a:B"})
    (candidate,) = scan(None, (), found(tmp_path / "lib", tmp_path / "lib64"))
    assert (candidate.distribution, candidate.rejection) == ("Aliaport.Twice", None)


def test_a_collision_rejects_both_and_broken_metadata_is_ignored(tmp_path: Path) -> None:
    install(tmp_path, "one", {"same": "a:B", "fine": "a:C"})
    install(tmp_path, "two", {"same": "a:B"})
    (tmp_path / "broken-1.dist-info").mkdir()
    candidates = scan(None, (), found(tmp_path))
    rejected = [candidate.distribution for candidate in candidates if candidate.rejection]
    assert sorted(rejected) == ["one", "two"]
    assert [candidate.name for candidate in candidates if not candidate.rejection] == ["fine"]


def test_allow_and_disable_select_plugins(tmp_path: Path) -> None:
    install(tmp_path, "one", {"a": "x:A", "b": "x:B", "c": "x:C"})
    selected = [
        candidate.name
        for candidate in scan(("a", "b"), ("b",), found(tmp_path))
        if candidate.selected
    ]
    assert selected == ["a"]
    problems = unknown_names("selection.allow", ("aa",), scan(None, (), found(tmp_path)))
    assert problems == ["selection.allow: no plugin 'aa' is installed; did you mean 'a'?"]


ConfigT = TypeVar("ConfigT", bound=PluginConfig)


class Options(PluginConfig):
    pass


class Mixin:
    pass


class Between(Plugin[ConfigT], Generic[ConfigT]):
    api = (1, 0)


class Through(Mixin, Between[Options]):
    pass


class Below(Through):
    pass


class Bare(Plugin):  # type: ignore[type-arg]
    api = (1, 0)


class NoApi(Plugin[Options]):
    pass


class Newer(Plugin[Options]):
    api = (1, 7)


@pytest.mark.parametrize(
    ("cls", "model"), [(Through, Options), (Below, Options), (Bare, PluginConfig)]
)
def test_the_options_are_found_through_all_base_classes(
    tmp_path: Path, cls: type[Plugin[Any]], model: type[PluginConfig]
) -> None:
    install(tmp_path, "one", {"a": "x:A"})
    (candidate,) = scan(None, (), found(tmp_path))
    assert plugin_class(candidate, cls) == (cls, model)


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (NoApi, "does not declare its plugin API"),
        (Newer, "needs plugin API 1.7; this host has 1.0"),
        (Plugin, "not a subclass"),
        (len, "not a subclass"),
    ],
)
def test_classes_that_are_not_plugins_of_this_api_are_rejected(
    tmp_path: Path, loaded: object, message: str
) -> None:
    install(tmp_path, "one", {"a": "x:A"})
    (candidate,) = scan(None, (), found(tmp_path))
    with pytest.raises(RejectedError, match=message):
        plugin_class(candidate, loaded)
