"""A TCP proxy that delays, or drops, what passes through it."""

import asyncio
import threading
from contextlib import suppress


class SlowTcp:
    """Forwards connections to a port of this machine; each direction takes half of `round_trip`.

    `round_trip` is in seconds. While `drops` is True, everything that arrives disappears, as behind
    a firewall. Both can be changed while it runs. It has a thread of its own.
    """

    def __init__(self, target: int, round_trip: float) -> None:
        self.round_trip = round_trip
        self.drops = False
        self.port = 0
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow-tcp", daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.round_trip)  # connecting
        there = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pass(reader, there[1]), self._pass(there[0], writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if not self.drops:
                    self._later(writer.write, data)
        self._later(writer.close)

    def _later(self, call: "object", *arguments: bytes) -> None:
        self._loop.call_later(self.round_trip / 2, call, *arguments)  # type: ignore[arg-type]
