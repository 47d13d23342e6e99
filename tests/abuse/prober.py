"""A prober as orchestrators have it: each time on a new connection, on time, with a deadline."""

import asyncio

EVERY = 0.05
"""Seconds between two calls, whether or not the first has ended."""

GIVES_UP = 60.0
"""Seconds after which a call counts as failed; how slow the others are is measured."""

REQUEST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def _call(port: int) -> tuple[float, str]:
    """Call /health; return the seconds and the status or the fault."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    try:
        async with asyncio.timeout(GIVES_UP):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(REQUEST)
                result = (await reader.read())[9:12].decode() or "empty"
            finally:
                writer.close()
    except OSError as error:
        result = type(error).__name__
    return loop.time() - begin, result


async def _all(port: int, seconds: float) -> list[tuple[float, str]]:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    calls = []
    for number in range(int(seconds / EVERY)):
        await asyncio.sleep(max(0.0, begin + number * EVERY - loop.time()))
        calls.append(asyncio.create_task(_call(port)))
    return list(await asyncio.gather(*calls))


def probe(port: int, seconds: float) -> list[tuple[float, str]]:
    """Call /health for some seconds; return the seconds and the result of each call."""
    return asyncio.run(_all(port, seconds))
