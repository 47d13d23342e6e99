"""The performance baselines of the specification, as limits that panels draw.

The first colour is for the lowest values. Each further pair is a value and its colour from there.
"""

from dataclasses import dataclass

Limits = tuple[tuple[float | None, str], ...]


def above(*steps: tuple[float, str]) -> Limits:
    """Return limits that are green until the value reaches a step."""
    return ((None, "green"), *steps)


def below(*steps: tuple[float, str]) -> Limits:
    """Return limits for the opposite case: red below the first step, green from the last on."""
    colours = ("red", *(colour for _, colour in steps))
    return ((None, colours[0]), *((value, colours[i + 1]) for i, (value, _) in enumerate(steps)))


ANY = above((1, "red"))
"""For events that should never happen."""

SOME = above((1, "orange"))

SERVER_ERRORS = above((0.01, "orange"), (0.05, "red"))
"""Baseline below 1%; the alert HighErrorRate at 5%."""

CLIENT_ERRORS = above((0.05, "orange"))
RESPONSE_TIME = above((0.4, "orange"), (1, "red"))
"""The baseline of the slowest route; the alert HighResponseTime at 1s."""

CPU = above((0.6, "orange"), (0.8, "red"))
MEMORY = above((0.75, "orange"), (0.85, "red"))
DISK = above((0.8, "orange"), (0.95, "red"))
POOL = above((0.8, "orange"), (0.95, "red"))
QUERY_TIME = above((0.1, "orange"), (1, "red"))
SLOW_QUERIES = above((0.001, "orange"), (0.01, "red"))


@dataclass(frozen=True)
class Route:
    """A route whose 95th percentile has a baseline, in seconds."""

    method: str
    endpoint: str
    bound: float

    @property
    def name(self) -> str:
        """Return the name as the specification writes it."""
        return f"{self.method} {self.endpoint}"

    @property
    def matchers(self) -> tuple[str, str]:
        """Return the matchers for a selector."""
        return f'method="{self.method}"', f'endpoint="{self.endpoint}"'

    @property
    def limits(self) -> Limits:
        """Return limits: orange from the baseline on, red from twice the baseline on."""
        return above((self.bound, "orange"), (2 * self.bound, "red"))


ROUTES = (
    Route("GET", "/api/cari", 0.3),
    Route("POST", "/api/cari", 0.2),
    Route("GET", "/api/work-order", 0.4),
    Route("POST", "/auth/login", 0.2),
    Route("GET", "/health", 0.05),
)
