"""When the source is asked again."""

import random
from datetime import datetime, time, timedelta

from aliaport_currency_sync.business_days import ISTANBUL

FIRST_PAUSE = timedelta(minutes=1)
MAX_PAUSE = timedelta(minutes=10)
HOURLY = timedelta(hours=1)
AFTERNOON_ENDS = time(17, 30)
"""Istanbul time until which pauses grow from FIRST_PAUSE to MAX_PAUSE; later it is hourly."""

_JITTER = 0.2


class Pacing:
    """The pauses between attempts at one thing: growing in the afternoon, then an hour."""

    def __init__(self, dice: random.Random | None = None) -> None:
        self.next_at: datetime | None = None
        self._dice = dice or random.Random()  # noqa: S311
        self._attempts = 0

    def allows(self, now: datetime) -> bool:
        """Whether an attempt may be made."""
        # A clock that was set back must not keep everything waiting.
        return self.next_at is None or not now < self.next_at <= now + 2 * HOURLY

    def again(self, now: datetime) -> None:
        """After an attempt that brought nothing: the pause grows."""
        local = now.astimezone(ISTANBUL).time()
        pause = min(MAX_PAUSE, FIRST_PAUSE * 2 ** min(self._attempts, 10))
        self._rest(now, pause if local < AFTERNOON_ENDS else HOURLY)
        self._attempts += 1

    def done(self, now: datetime) -> None:
        """After success: in an hour."""
        self._attempts = 0
        self._rest(now, HOURLY)

    def reset(self) -> None:
        """Allow an attempt at once: there is something new to ask for."""
        self._attempts, self.next_at = 0, None

    def _rest(self, now: datetime, pause: timedelta) -> None:
        self.next_at = now + pause * self._dice.uniform(1 - _JITTER, 1 + _JITTER)
