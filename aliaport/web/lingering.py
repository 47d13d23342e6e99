"""The end of a connection whose client may still be sending.

If a socket is closed while bytes are unread, or before the client has stopped sending, the kernel
resets the connection, and the client often loses the response (RFC 9112, section 9.6). So the
connection first ends its own direction, then reads and discards for a while.
"""

import asyncio
from collections.abc import Callable

MAX_DISCARDED = 16_777_216
"""Bytes that are read after the last response: what a client with 64 Mbit/s sends in 2 s."""

MAX_BODY_LEFT = 65_536
"""Bytes of a body that are discarded to keep a connection; a new one costs a round trip instead."""


class LingeringClose(asyncio.Protocol):
    """Discards what arrives until the client closes, too; after MAX_DISCARDED it reads no more.

    It takes the place of the transport's protocol. `on_lost` is called when the connection is
    closed; whoever creates it closes a connection that lasts too long.
    """

    def __init__(
        self, transport: asyncio.Transport, on_lost: Callable[[BaseException | None], None]
    ) -> None:
        self._transport = transport
        self._on_lost = on_lost
        self._left = MAX_DISCARDED
        transport.set_protocol(self)
        transport.resume_reading()
        transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Discard the bytes."""
        self._left -= len(data)
        if self._left < 0:
            self._transport.pause_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Report the end."""
        self._on_lost(exc)
