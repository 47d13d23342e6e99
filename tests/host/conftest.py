"""A fixture that starts services with the bad plugins that a test names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.host.rogue_services import GOOD, Serve, end
from tests.support.distributions import install
from tests.support.service import ROGUES, Service, start


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    @contextmanager
    def serve(
        plugins: Mapping[str, str],
        others: Mapping[str, str] | None = None,
        *,
        started: bool = True,
        **limits: float,
    ) -> Iterator[Service]:
        """Start a service; `limits` are the settings `[plugin_limits]`."""
        # A plugin whose loop is blocked cannot stop: each such service would take the default of 3 s.
        limits = {"stop_timeout": 1, **limits}
        folder = tmp_path_factory.mktemp("rogues")
        site = folder / "site"
        install(site, "aliaport-rogues", {**GOOD, **plugins})
        if others:
            install(site, "other-rogues", others)
        service = start(
            folder / "run",
            allow=sorted({*GOOD, *plugins, *(others or {})}),
            path=(site, ROGUES),
            environ={
                f"ALIAPORT_PLUGIN_LIMITS__{name.upper()}": f"{seconds:g}"
                for name, seconds in limits.items()
            },
        )
        try:
            service.wait_listening()
            if started:
                service.wait_started()
            yield service
            end(service)
        finally:
            service.kill()

    return serve
