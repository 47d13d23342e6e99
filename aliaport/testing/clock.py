"""A clock that stands still until the test moves it."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """An `aliaport.plugin.Clock` that begins at the aware time `now`. Any thread may use it."""

    def __init__(self, now: datetime) -> None:
        self._now = self._began = now.astimezone(UTC)

    def now(self) -> datetime:
        """The time that the test set, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds by which the clock was advanced."""
        return (self._now - self._began).total_seconds()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += timedelta(seconds=seconds)

    def move_to(self, now: datetime) -> None:
        """Set the time, which must not be before the present one."""
        if now < self._now:
            raise ValueError(f"{now.isoformat()} is before {self._now.isoformat()}")
        self._now = now.astimezone(UTC)
