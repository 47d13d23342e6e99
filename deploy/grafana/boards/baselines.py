"""The performance baselines of the specification, as limits that panels draw.

The first colour from below is what is well; each pair then says from where the next one holds.
"""

from dataclasses import dataclass

Limits = tuple[tuple[float | None, str], ...]


def above(*steps: tuple[float, str]) -> Limits:
    """Green, until the value reaches a step."""
    return ((None, "green"), *steps)


def below(*steps: tuple[float, str]) -> Limits:
    """The other way round: red at first, green from the last step on."""
    colours = ("red", *(colour for _, colour in steps))
    return ((None, colours[0]), *((value, colours[i + 1]) for i, (value, _) in enumerate(steps)))


ANY = above((1, "red"))
"""For what should not happen at all."""

SOME = above((1, "orange"))

SERVER_ERRORS = above((0.01, "orange"), (0.05, "red"))
"""Baseline below 1%; the alert HighErrorRate at 5%."""

CLIENT_ERRORS = above((0.05, "orange"))
RESPONSE_TIME = above((0.4, "orange"), (1, "red"))
"""Baseline of the slowest route; the alert HighResponseTime at 1s."""

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
        """As the specification writes it."""
        return f"{self.method} {self.endpoint}"

    @property
    def matchers(self) -> tuple[str, str]:
        """For a selector."""
        return f'method="{self.method}"', f'endpoint="{self.endpoint}"'

    @property
    def limits(self) -> Limits:
        """Orange from the baseline on, red from twice as much."""
        return above((self.bound, "orange"), (2 * self.bound, "red"))


ROUTES = (
    Route("GET", "/api/cari", 0.3),
    Route("POST", "/api/cari", 0.2),
    Route("GET", "/api/work-order", 0.4),
    Route("POST", "/auth/login", 0.2),
    Route("GET", "/health", 0.05),
)
