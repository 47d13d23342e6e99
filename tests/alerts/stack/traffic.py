"""Users who request the service all the time, whatever its state."""

import http.client
import threading
import time
from collections import Counter

_WORKERS = 40
"""So many that slow responses do not make requests rare."""


class Traffic:
    """Sends `per_second` requests to one path; `statuses` counts the responses."""

    def __init__(self, port: int, path: str, per_second: float = 20.0) -> None:
        self.statuses: Counter[str] = Counter()
        self._port = port
        self._path = path
        self._pause = _WORKERS / per_second
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep_requesting, args=(number,), name="traffic")
            for number in range(_WORKERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(30)

    def _keep_requesting(self, number: int) -> None:
        # One after another, not all at once.
        due = time.monotonic() + number * self._pause / _WORKERS
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            self.statuses[self._request()] += 1
            due = max(due + self._pause, time.monotonic() - self._pause)

    def _request(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", self._path)
            response = connection.getresponse()
            response.read()
            return str(response.status)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
