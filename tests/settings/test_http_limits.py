"""The limits of `[http]` that depend on each other."""

import pytest

from aliaport.errors import ConfigError
from aliaport.settings import core_settings, read_sources

PREFIX = "ALIAPORT_HTTP__"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"max_connections": "40", "internal_connections": "21"},
            r"internal_connections must be at most half of max_connections \(20\)",
        ),
        ({"max_head_bytes": "4096"}, r"max_head_bytes must be at least max_line_bytes \(8190\)"),
        ({"head_timeout": "0"}, "http.head_timeout"),
        ({"idle_timeout": "0"}, "http.idle_timeout"),
        ({"max_header_lines": "0"}, "http.max_header_lines"),
    ],
)
def test_limits_that_do_not_fit_are_refused(values: dict[str, str], problem: str) -> None:
    variables = {f"{PREFIX}{name.upper()}": value for name, value in values.items()}
    with pytest.raises(ConfigError, match=problem):
        core_settings(read_sources(variables))


@pytest.mark.parametrize("connections", ["10", "50", "99"])
def test_few_connections_need_no_other_setting(connections: str) -> None:
    settings = core_settings(read_sources({f"{PREFIX}MAX_CONNECTIONS": connections}))
    assert settings.http.max_connections == int(connections)


def test_idle_connections_outlive_those_of_load_balancers() -> None:
    http = core_settings(read_sources({})).http
    assert http.idle_timeout > 60
    assert http.head_timeout < http.idle_timeout
