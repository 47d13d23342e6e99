"""Finds out whether what responds at an address is something else than PostgreSQL."""

import asyncio
from contextlib import suppress

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""To which every version of PostgreSQL, and every pooler, responds with one byte."""

RESPONSES = (b"S", b"N")
TIMEOUT = 0.5
"""Seconds for connecting and for the response: less than any timeout of connecting."""


class NotPostgresError(ConnectionError):
    """Another service than PostgreSQL responds at the address."""


async def is_other_protocol(host: str, port: int) -> bool:
    """Return True if something responds that is not PostgreSQL, and False if that is unknown."""
    writer = None
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(SSL_REQUEST)
            response = await reader.read(16)
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            with suppress(OSError):
                writer.close()
    # An old server that is in trouble responds with an error, which begins with E.
    return bool(response) and response not in RESPONSES and response[:1] != b"E"
