"""Single flight: one run at a time of a plugin function, however many callers request it."""

from collections.abc import Callable
from typing import Any

from aliaport.isolation.bulkhead import Bulkhead, Freeze
from aliaport.isolation.run import Run


class SingleFlight:
    """Joins callers to the run in flight, or starts one. Use it on the HTTP loop only.

    `slot` names the thread of a plain function, so that two functions never share one. `timeout` is
    the deadline of each run in seconds, whoever waits for it.
    """

    def __init__(
        self,
        bulkhead: Bulkhead,
        function: Callable[[], Any],
        *,
        timeout: float,
        freeze: Freeze,
        slot: str,
    ) -> None:
        self.joined = 0
        self._bulkhead = bulkhead
        self._function = function
        self._timeout = timeout
        self._freeze = freeze
        self._slot = bulkhead.prepare(function, slot)
        self._run: Run | None = None

    @property
    def in_flight(self) -> Run | None:
        """The run that has not ended, which may be long past its deadline."""
        run = self._run
        return None if run is None or run.finished else run

    def join_or_start(self, callers: int = 1) -> tuple[Run, bool]:
        """Return the run in flight and False, or a new one and True; `callers` wait for it.

        A run whose deadline has passed (`run.expired`) is still in flight: no new run starts until
        it ends.
        """
        run = self.in_flight
        if run is not None:
            if not run.expired:
                self.joined += callers
            return run, False
        self.joined += callers - 1
        run = self._run = self._bulkhead.submit(
            self._function, timeout=self._timeout, freeze=self._freeze, slot=self._slot
        )
        return run, True
