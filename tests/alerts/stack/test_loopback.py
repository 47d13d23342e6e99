"""The shipped configuration is used unchanged, except for durations and addresses of targets."""

from tests.alerts.stack.prometheus import SHIPPED, at_loopback

PLACES = {
    "backend:8000": "127.0.0.1:1",
    "https://aliaport.com": "http://127.0.0.1:1",
    "localhost:9090": "127.0.0.1:2",
    "alertmanager:9093": "127.0.0.1:3",
    "node-exporter:9100": "127.0.0.1:4",
    "postgres-exporter:9187": "127.0.0.1:5",
    "blackbox-exporter:9115": "127.0.0.1:6",
    "filebeat:5066": "127.0.0.1:7",
}


def test_every_place_is_replaced_and_nothing_else() -> None:
    for file in (SHIPPED / "prometheus.yml", SHIPPED / "targets/uptime.yml"):
        shipped = file.read_text()
        moved = at_loopback(shipped, PLACES)
        assert moved != shipped
        for before, after in zip(shipped.splitlines(), moved.splitlines(), strict=True):
            if before != after:
                assert any(place in before for place in PLACES), before
            assert not any(place in after for place in PLACES), after


def test_only_whole_addresses_are_replaced() -> None:
    text = "other-backend:8000 backend:80001 backend:8000/x http://backend:8000 my.backend:8000"
    assert at_loopback(text, PLACES) == (
        "other-backend:8000 backend:80001 127.0.0.1:1/x http://127.0.0.1:1 my.backend:8000"
    )
