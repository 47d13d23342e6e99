"""Which requests are traced."""

from collections.abc import Callable, Mapping
from typing import Any

UNTRACED = frozenset({"/health", "/ready", "/metrics"})
"""Paths that machines ask again and again; their traces would bury the others."""


def default_rate(environment: str) -> float:
    """The share of requests that is traced where nothing else is configured."""
    return 1.0 if environment == "development" else 0.1


def make_sampler(rate: float) -> Callable[[Mapping[str, Any]], float]:
    """Return the decision on a request: 0 for UNTRACED with and without final slash, else `rate`.

    What the caller's own trace decided does not count: strangers must not choose what we send.
    """

    def sample(context: Mapping[str, Any]) -> float:
        request = context.get("aiohttp_request")
        if request is not None and request.path.removesuffix("/") in UNTRACED:
            return 0.0
        return rate

    return sample
