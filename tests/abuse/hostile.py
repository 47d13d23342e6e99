"""Servers in the place of PostgreSQL, Sentry and the central bank that misbehave in turn.

`python -m tests.abuse.hostile PORT` prints their three ports as JSON and runs until it is killed;
PORT is a real PostgreSQL's, to which every second connection is passed on.
"""

import asyncio
import gzip
import itertools
import json
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CHUNK = 65536
CURRENCY = b'<Currency CurrencyCode="X%02d"><Unit>1</Unit><ForexBuying>1.0</ForexBuying></Currency>'
BULLETIN = b"".join(
    (b'<Tarih_Date Date="11/27/2026" Bulten_No="2026/1">', CURRENCY * 17_000, b"</Tarih_Date>")
).replace(b"%02d", b"AA")


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of the usual end."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Read all and say nothing."""
    while await reader.read(CHUNK):
        pass


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond with random bytes."""
    await reader.read(CHUNK)
    writer.write(os.urandom(CHUNK))
    await writer.drain()


async def endless(start: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond with `start` and then with bytes without end."""
    await reader.read(CHUNK)
    writer.write(start)
    while True:
        writer.write(bytes(CHUNK))
        await writer.drain()


async def dripping(
    start: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Respond with `start` and then with a byte a second."""
    await reader.read(CHUNK)
    writer.write(start)
    while True:
        await asyncio.sleep(1)
        writer.write(b" ")
        await writer.drain()


async def response(
    head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Respond with this HTTP response."""
    await reader.read(CHUNK)
    writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (head, len(body)) + body)
    await writer.drain()


async def passed_on(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connect the caller with the server on `port`."""
    there, back = await asyncio.open_connection("127.0.0.1", port)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
        target.close()

    try:
        await asyncio.gather(copy(reader, back), copy(there, writer))
    finally:
        back.close()


def http_behaviours(body: bytes) -> Sequence[Behaviour]:
    bomb = gzip.compress(bytes(64 * 2**20))
    ok = b"200 OK\r\nContent-Type: text/xml"
    return (
        silence,
        partial(response, b"302 Found\r\nLocation: http://127.0.0.1:1/secret", b""),
        partial(endless, b"HTTP/1.1 200 OK\r\n\r\n"),
        partial(response, ok + b"\r\nContent-Encoding: gzip", bomb),
        reset,
        partial(response, ok, body),
        partial(dripping, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        partial(endless, b"HTTP/1.1 200 OK\r\nX-Endless: "),
        garbage,
        partial(response, b"503 Service Unavailable\r\nRetry-After: 1e9", b""),
    )


def postgres_behaviours(port: int) -> Sequence[Behaviour]:
    accepted = b"R" + struct.pack("!ii", 8, 0)
    huge_message = b"S" + struct.pack("!i", 2**31 - 1)
    honest = partial(passed_on, port)
    bad = (
        silence,
        garbage,
        partial(endless, accepted + huge_message),
        reset,
        partial(dripping, accepted),
        partial(endless, b""),
    )
    return tuple(itertools.chain.from_iterable((honest, one) for one in bad))


async def serve(behaviours: Sequence[Behaviour]) -> asyncio.Server:
    """Start a server on a free port of loopback that takes the behaviours in turn."""
    turns = itertools.cycle(behaviours)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await next(turns)(reader, writer)
        writer.close()

    return await asyncio.start_server(connected, "127.0.0.1", 0)


async def main(postgres: int) -> None:
    servers = [
        await serve(postgres_behaviours(postgres)),
        await serve(http_behaviours(b'{"id": "0"}')),
        await serve(http_behaviours(BULLETIN)),
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
