"""deploy/metrics.toml lists exactly what a service with all bundled plugins exports."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest

from aliaport.contract.families import SHARED_FAMILIES
from aliaport.host.own_metrics import FAMILIES as HOST_FAMILIES
from tests.support import metric_lists
from tests.support.fixtures import Launch
from tests.support.plugins import BUNDLED
from tests.support.tcmb import Tcmb

LISTED = metric_lists.own()
SILENT = {
    "aliaport_plugin_series_dropped_total": "nothing is dropped",
}
"""Families without a sample in a healthy service; their labels are read from the declaration."""

UNITS = {
    "_timestamp_seconds": "seconds since the epoch",
    "_start_time_seconds": "seconds since the epoch",
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_percent": "percent",
}
_SAMPLE = re.compile(r"(?P<name>\w+)(?:{(?P<labels>.*)})? [^ ]+")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Family:
    meaning: str
    type: str = ""
    labels: set[tuple[str, ...]] = field(default_factory=set)
    buckets: list[float] = field(default_factory=list)


def parse(page: str) -> dict[str, Family]:
    families: dict[str, Family] = {}
    for line in page.splitlines():
        if line.startswith("# HELP "):
            _, _, name, meaning = line.split(" ", 3)
            families[name] = Family(meaning)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            families[name].type = kind
        elif match := _SAMPLE.fullmatch(line):
            name = match["name"]
            if name not in families:
                name = re.sub(r"_(bucket|count|sum)$", "", name)
            labels = dict(_LABEL.findall(match["labels"] or ""))
            bound = labels.pop("le", "+Inf")
            families[name].labels.add(tuple(sorted(labels)))
            if bound != "+Inf" and float(bound) not in families[name].buckets:
                families[name].buckets.append(float(bound))
    return families


@pytest.fixture
def scraped(launch: Launch, database: str, tcmb: Tcmb) -> Mapping[str, Family]:
    today = date.today()
    tcmb.publish(*(today - timedelta(days=back) for back in range(12)))
    service = launch(
        allow=BUNDLED,
        environ={
            "DATABASE_URL": database,
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__SOURCE": tcmb.address,
            "ALIAPORT_PLUGINS__CURRENCY_SYNC__FIRST_DAY": str(today - timedelta(days=10)),
        },
    )

    def complete() -> dict[str, Family]:
        service.get("/status")
        service.get("/api/currency/rates")
        found = parse(service.get("/metrics").text)
        return found if {name for name in found if not found[name].labels} <= set(SILENT) else {}

    try:
        found: dict[str, Family] = service.wait_for(complete, "each family has a sample")
    except AssertionError as error:
        now = parse(service.get("/metrics").text)
        empty = sorted(name for name in now if not now[name].labels and name not in SILENT)
        raise AssertionError(f"families without a sample: {empty}") from error
    return found


def test_the_list_matches_the_exported_families(scraped: Mapping[str, Family]) -> None:
    assert set(scraped) - set(LISTED) == set(), "exported, but not listed"
    assert set(LISTED) - set(scraped) == set(), "listed, but not exported"
    for name, family in scraped.items():
        listed = LISTED[name]
        assert (listed["type"], listed["meaning"]) == (family.type, family.meaning), name
        assert listed.get("buckets", []) == family.buckets, name
        if name not in SILENT:
            assert family.labels == {tuple(listed["labels"])}, name


def test_families_without_samples_are_listed_as_declared() -> None:
    declared = {**SHARED_FAMILIES, **{metric.name: metric for metric in HOST_FAMILIES}}
    for name in SILENT:
        assert tuple(LISTED[name]["labels"]) == tuple(sorted(declared[name].labels)), name


@pytest.mark.parametrize("name", LISTED)
def test_units_match_the_names(name: str) -> None:
    listed = LISTED[name]
    assert set(listed) <= {"type", "unit", "labels", "buckets", "source", "meaning"}
    assert listed["source"] == "core" or listed["source"] in BUNDLED
    plain = name.removesuffix("_total")
    for suffix, unit in UNITS.items():
        if plain.endswith(suffix):
            assert listed["unit"] == unit
            return
    assert listed["unit"]
    assert listed["unit"] not in ("seconds", "bytes"), "its name must end in its unit"
