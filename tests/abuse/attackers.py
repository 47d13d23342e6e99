"""Callers that hold connections or flood the service, all in one process of low priority."""

import asyncio
import itertools
import json
import os
import random
import resource
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

Attack = Callable[[socket.socket], Awaitable[None]]

PAUSE = 4.0
"""Seconds before an attacker whose connection has ended opens the next one."""

SMALL_BUFFER = 4096
SIGN_IN = json.dumps({"username": "nobody", "password": "wrong"}).encode()
FLOODS = {
    "status": b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
    "metrics": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "sign-in": b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(SIGN_IN), SIGN_IN),
}


async def idle(_caller: socket.socket) -> None:
    """Send nothing."""


async def half_sent(caller: socket.socket) -> None:
    """Send a head that has no end, a line every two seconds."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(caller, b"GET /health HTTP/1.1\r\nHost: x\r\n")
    while True:
        await asyncio.sleep(2)
        await loop.sock_sendall(caller, b"X-Again: x\r\n")


async def slow_reader(caller: socket.socket) -> None:
    """Ask for the largest page many times, and read a byte a second."""
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            await loop.sock_sendall(caller, FLOODS["metrics"] * 200)
    while await loop.sock_recv(caller, 1):
        await asyncio.sleep(1)


async def oversized(request: bytes, caller: socket.socket) -> None:
    """Send a head or a body that is larger than any honest one."""
    await asyncio.get_running_loop().sock_sendall(caller, request)


OVERSIZED = (
    b"GET /health HTTP/1.1\r\nHost: x\r\n" + (b"X-Long: " + b"x" * 8000 + b"\r\n") * 120,
    b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"GET /" + b"x" * 2**20 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + b"1.1.1.1, " * 100_000 + b"\r\n\r\n",
    b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000000000\r\n\r\n" + b'"' + b"x" * 2**21,
)


async def _attack(port: int, attack: Attack, seen: Counter[str], deadline: float) -> None:
    """Repeat an attack, each time on a new connection that the service must end."""
    loop = asyncio.get_running_loop()
    name = getattr(attack, "func", attack).__name__
    await asyncio.sleep(random.uniform(0, PAUSE))
    while loop.time() < deadline:
        with socket.socket() as caller:
            caller.setblocking(False)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            end = "ended by the service"
            try:
                async with asyncio.timeout_at(deadline):
                    await loop.sock_connect(caller, ("127.0.0.1", port))
                    await attack(caller)
                    while await loop.sock_recv(caller, SMALL_BUFFER):
                        pass
            except OSError as error:
                end = "held until the end" if isinstance(error, TimeoutError) else "reset"
            seen[f"{name}: {end}"] += 1
        await asyncio.sleep(min(PAUSE, max(0.0, deadline - loop.time())))


async def _flood(port: int, name: str, seen: Counter[str], deadline: float) -> None:
    """Send the next request as soon as the response is there."""
    loop = asyncio.get_running_loop()
    while loop.time() < deadline:
        with suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout_at(deadline):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    while True:
                        writer.write(FLOODS[name])
                        seen[f"{name}: {await _status(reader)}"] += 1
                finally:
                    writer.close()
        seen[f"{name}: connection ended"] += 1
        await asyncio.sleep(min(0.2, max(0.0, deadline - loop.time())))


async def _status(reader: asyncio.StreamReader) -> int:
    """Read a response; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(head[9:12])


async def _all(port: int, connections: int, flooders: int, seconds: float) -> Counter[str]:
    deadline = asyncio.get_running_loop().time() + seconds
    seen: Counter[str] = Counter()
    kinds: list[list[Attack]] = [
        [idle],
        [half_sent],
        [slow_reader],
        [partial(oversized, request) for request in OVERSIZED],
    ]
    in_turn = itertools.cycle([itertools.cycle(attacks) for attacks in kinds])
    async with asyncio.TaskGroup() as group:
        for attacks in itertools.islice(in_turn, connections):
            group.create_task(_attack(port, next(attacks), seen, deadline))
        for name in FLOODS:
            for _ in range(flooders):
                group.create_task(_flood(port, name, seen, deadline))
    return seen


def attack(port: int, connections: int, flooders: int, seconds: float) -> dict[str, int]:
    """Attack the service on `port` for some seconds; return what was seen, with its counts.

    A quarter of the `connections` each is idle, half-sent, slow to read and oversized; `flooders`
    send each of the requests of FLOODS. Real attackers have machines of their own: here they take only
    the time of the processors that the service leaves.
    """
    os.nice(10)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return dict(asyncio.run(_all(port, connections, flooders, seconds)))
