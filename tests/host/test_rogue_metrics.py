"""Bad collectors affect only their own families."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.host.rogue_services import Serve, assert_unharmed, plugin_rows
from tests.support.service import Service

pytestmark = pytest.mark.service


@dataclass
class Flooded:
    """A service with hostile collectors, and its second metrics page."""

    service: Service
    page: str


@pytest.fixture(scope="module")
def flooded(serve: Serve) -> Iterator[Flooded]:
    plugins = {
        "flooding": "aliaport_rogues.bad_metrics:Flooding",
        **{
            kind.lower(): f"aliaport_rogues.bad_metrics:{kind}"
            for kind in ("Hostile", "Refused", "Twin", "FailCollect")
        },
        "twin_seconds": "aliaport_rogues.bad_metrics:TwinSeconds",
    }
    with serve(plugins) as service:
        service.get("/metrics")
        yield Flooded(service, service.get("/metrics").text)


def test_floods_and_hostile_values_leave_a_valid_page(flooded: Flooded) -> None:
    families = {family.name: family for family in text_string_to_metric_families(flooded.page)}
    assert len(families["aliaport_flooding_series"].samples) == 100
    assert len(families["aliaport_flooding_events"].samples) == 100
    values = {s.labels["text"]: s.value for s in families["aliaport_hostile_values"].samples}
    assert values['a"b\\c\nd'] == 1
    assert values["boolean"] == 1
    assert values["? surrogate"] == 2
    assert max(map(len, values)) == 128
    dropped = {
        (s.labels["plugin"], s.labels["reason"]): s.value
        for s in families["aliaport_plugin_series_dropped"].samples
    }
    assert dropped["flooding", "family_cap"] > 19_900
    assert dropped["hostile", "invalid"] == 12
    events = flooded.service.wait_events("metrics.series_dropped")
    logged = [(event["plugin"], event["reason"]) for event in events]
    assert ("flooding", "family_cap") in logged
    assert len(set(logged)) == len(logged), f"logged more than once: {logged}"
    limits = flooded.service.get("/status").json["data"]["limits"]
    assert "metrics.series_dropped" in [limit["name"] for limit in limits]
    assert_unharmed(flooded.service)


def test_refused_samples_are_logged_and_fail_their_collector(flooded: Flooded) -> None:
    warned = flooded.service.events("metric.sample_refused")
    families = [(event["plugin"], event.get("family")) for event in warned]
    assert len(set(families)) == len(families), "each family once"
    (level,) = [event for event in warned if event.get("family") == "aliaport_refused_level"]
    assert level["log.level"] == "warning"
    assert (level["declared"], level["value"]) == ("tank", "1")
    assert ("refused", "aliaport_refused_wait_seconds") in families
    failed = 'aliaport_collector_success{collector="aliaport_refused_level",plugin="refused"} 0'
    assert failed in flooded.page
    assert 'aliaport_refused_level{tank="north"} 2' in flooded.page
    assert "aliaport_refused_wait_seconds_sum 4" in flooded.page, "no nan after two scrapes"


def test_a_collector_without_samples_fails_alone(flooded: Flooded) -> None:
    success = 'aliaport_collector_success{{collector="{}",plugin="failcollect"}} {}'
    for name in ("nothing", "mapping", "one", "generator"):
        assert success.format(name, 0) in flooded.page
    assert success.format("finds", 1) in flooded.page
    assert "aliaport_failcollect_state 2" in flooded.page
    failed = flooded.service.events("collector.failed")
    assert len(failed) == 4, "each once, after two scrapes"


def test_a_family_named_like_a_sample_of_another_is_rejected(flooded: Flooded) -> None:
    row = plugin_rows(flooded.service)["twin_seconds"]
    assert row["state"] == "rejected"
    assert "the histogram 'aliaport_twin_seconds' of twin" in row["reason"]
    assert "aliaport_twin_seconds_count 1" in flooded.page


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_page_except_for_two_specified_names(
    flooded: Flooded,
) -> None:
    promtool = str(shutil.which("promtool"))
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=flooded.page,
        capture_output=True,
        text=True,
        timeout=60,
    )
    complaints = set((done.stdout + done.stderr).strip().splitlines())
    assert complaints <= {
        f'aliaport_currency_sync_{word} counter metrics should have "_total" suffix'
        for word in ("failure", "success")
    }
    # A page that does not parse is a different error, not a complaint.
    broken = subprocess.run(
        [promtool, "check", "metrics"], input='x{a="}', capture_output=True, text=True, timeout=60
    )
    assert broken.returncode != 0


def test_a_hanging_collector_affects_only_its_own_families(serve: Serve) -> None:
    with serve({"hangcollect": "aliaport_rogues.bad_metrics:HangCollect"}) as service:
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": "1"}
        page = service.get("/metrics", headers=headers, timeout=1.0).text
        assert "\naliaport_hangcollect_fine 1" in page
        assert "\naliaport_hangcollect_value " not in page
        assert 'collector="aliaport_hangcollect_value",plugin="hangcollect"} 0' in page
