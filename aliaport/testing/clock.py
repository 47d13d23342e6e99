"""A clock that moves only when the test moves it."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """An `aliaport.plugin.Clock` that begins at the aware time `now`. Any thread may use it."""

    def __init__(self, now: datetime) -> None:
        self._now = self._began = now.astimezone(UTC)

    def now(self) -> datetime:
        """Return the time that the test set, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return how far the clock was advanced, in seconds."""
        return (self._now - self._began).total_seconds()

    def advance(self, seconds: float) -> None:
        """Advance the clock by `seconds`."""
        self._now += timedelta(seconds=seconds)

    def move_to(self, now: datetime) -> None:
        """Set the time, which must not be before the current one."""
        if now < self._now:
            raise ValueError(f"{now.isoformat()} is before {self._now.isoformat()}")
        self._now = now.astimezone(UTC)
