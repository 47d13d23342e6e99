"""The pauses between requests to the source."""

import random
from datetime import datetime, time, timedelta

from aliaport_currency_sync.business_days import ISTANBUL

FIRST_PAUSE = timedelta(minutes=1)
MAX_PAUSE = timedelta(minutes=10)
HOURLY = timedelta(hours=1)
AFTERNOON_ENDS = time(17, 30)
"""Istanbul time until which pauses grow from FIRST_PAUSE to MAX_PAUSE; then they are hourly."""

_JITTER = 0.2


class Pacing:
    """Schedules attempts for one file: growing pauses in the afternoon, then hourly."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self.next_at: datetime | None = None
        self._rng = rng or random.Random()  # noqa: S311
        self._attempts = 0

    def allows(self, now: datetime) -> bool:
        """Return whether an attempt may be made."""
        # A pause beyond two hours means that the clock was set back: do not wait for it.
        return self.next_at is None or not now < self.next_at <= now + 2 * HOURLY

    def failed(self, now: datetime) -> None:
        """Schedule the next attempt after one that found nothing new."""
        local = now.astimezone(ISTANBUL).time()
        pause = min(MAX_PAUSE, FIRST_PAUSE * 2 ** min(self._attempts, 10))
        self._schedule(now, pause if local < AFTERNOON_ENDS else HOURLY)
        self._attempts += 1

    def succeeded(self, now: datetime) -> None:
        """Schedule the next attempt in an hour."""
        self._attempts = 0
        self._schedule(now, HOURLY)

    def reset(self) -> None:
        """Allow an attempt at once, because there is something new to request."""
        self._attempts, self.next_at = 0, None

    def _schedule(self, now: datetime, pause: timedelta) -> None:
        self.next_at = now + pause * self._rng.uniform(1 - _JITTER, 1 + _JITTER)
