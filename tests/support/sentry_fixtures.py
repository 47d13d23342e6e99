"""Fixtures: error tracking that sends to the stand-in, and a logger that feeds it."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from aliaport.sentry import Sentry
from tests.support.sentry import SentryServer, tracking


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[SentryServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with SentryServer() as stand_in:
        yield stand_in


@pytest.fixture
def sentry(stand_in: SentryServer) -> Iterator[Sentry]:
    with tracking(stand_in.dsn) as sentry:
        yield sentry


@pytest.fixture
def log(sentry: Sentry) -> Any:
    """Return a logger of the plugin `stock`, with the processor in its place in the pipeline."""

    def end(_logger: Any, _method: str, _event: Any) -> Any:
        raise structlog.DropEvent

    return structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[sentry.processor, end],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        plugin="stock",
    )
