"""A closed-loop load: each connection sends its next request after the response."""

import asyncio
import multiprocessing
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    requests: int
    seconds: float
    latencies: list[float]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """Return the percentile in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def load(
    port: int,
    path: str,
    *,
    connections: int,
    seconds: float,
    pause: float = 0.0,
    headers: str = "",
) -> Load:
    """Send requests from a separate process, so that the server has its interpreter lock to itself.

    `headers` are further lines, each with its end.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_run, (port, path, connections, seconds, pause, headers))


def _run(
    port: int, path: str, connections: int, seconds: float, pause: float, headers: str
) -> Load:
    import uvloop

    return uvloop.run(_measure(port, path, connections, seconds, pause, headers))


async def _measure(
    port: int, path: str, connections: int, seconds: float, pause: float, headers: str
) -> Load:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()
    latencies: list[float] = []
    deadline = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - began)
            if pause:
                await asyncio.sleep(pause)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return Load(len(latencies), time.perf_counter() - began, latencies)
