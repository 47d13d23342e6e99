"""An open-loop load: requests start on time, whether or not earlier ones have completed."""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

CONNECTIONS = 128
"""Requests in flight at once; further ones wait, and their wait counts."""


@dataclass(frozen=True)
class Shot:
    """One request: its start in seconds from the beginning, its kind and its bytes."""

    at: float
    kind: str
    request: bytes


@dataclass
class Volley:
    """The result: seconds by kind, counted from when each request was due, and statuses."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: float = 0.0

    def percentile(self, kind: str, share: float) -> float:
        """Return the percentile in seconds."""
        ordered = sorted(self.latencies[kind])
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def fire(port: int, shots: Sequence[Shot]) -> Volley:
    """Send the requests from a separate process, so that the server has its interpreter lock to itself."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_run, (port, shots))


def _run(port: int, shots: Sequence[Shot]) -> Volley:
    import uvloop

    return uvloop.run(_fire(port, shots))


async def _fire(port: int, shots: Sequence[Shot]) -> Volley:
    volley = Volley()
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    turn = asyncio.Semaphore(CONNECTIONS)
    begin = time.perf_counter()

    async def one(shot: Shot) -> None:
        async with turn:
            reader, writer = (
                free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
            )
            writer.write(shot.request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            free.append((reader, writer))
        volley.latencies.setdefault(shot.kind, []).append(time.perf_counter() - begin - shot.at)
        volley.statuses[shot.kind, int(head[9:12])] += 1

    async with asyncio.TaskGroup() as group:
        for shot in shots:
            await asyncio.sleep(max(0.0, begin + shot.at - time.perf_counter()))
            group.create_task(one(shot))
    volley.seconds = time.perf_counter() - begin
    for _, writer in free:
        writer.close()
    return volley
