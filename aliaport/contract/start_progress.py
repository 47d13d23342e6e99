"""The progress of a start, shared by the code that migrates tables in it and by the host."""

import time
from contextvars import ContextVar


class StartProgress:
    """One attempt to start. `activity` says what a migration does now; '' if none is in progress.

    The attempt is not cut off while a migration is in progress. `migration_timeout` bounds all
    migrations of the attempt together, in seconds. Threads may share it.
    """

    def __init__(self, migration_timeout: float) -> None:
        self.migration_timeout = migration_timeout
        self.activity = ""
        self._deadline: float | None = None

    def seconds_left(self) -> float:
        """Return the seconds until the migrations must have ended; the first call starts them."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self.migration_timeout
        return self._deadline - time.monotonic()


START_PROGRESS: ContextVar[StartProgress | None] = ContextVar("start_progress", default=None)
"""Set by the host for the code that it starts."""
