"""Compresses responses with gzip: off the HTTP loop if they are large, and each body once."""

import asyncio
import re
import zlib

from aiohttp import web

from aliaport.process.threads import worker

MIN_SIZE = 1_400
"""Bytes of the smallest body to compress: a smaller one fits into one packet as it is."""

MAX_INLINE = 8_192
"""Bytes of the largest body that is compressed on the HTTP loop, in less than 0.2 ms."""

MAX_SIZE = 2_000_000
"""Bytes of the largest body to compress, which takes about 0.1 s; larger ones are sent as they are.

Applications should stream such bodies, or store them compressed.
"""

MAX_WAITING = 32
"""Bodies in compression at one time; while there are more, the next ones are sent as they are."""

LEVEL = 4
"""zlib's level: a page of metrics becomes as small as at the default level, 6, in half the time."""

_COMPRESSIBLE = re.compile(
    r"text/|application/([\w.+-]+\+)?(json|xml)\b|application/javascript\b|image/svg\+xml\b"
)


def is_worthwhile(response: web.StreamResponse) -> bool:
    """Return True if the response has a complete body that is worth compressing."""
    body = getattr(response, "body", None)  # which responses that are streamed do not have
    return isinstance(body, bytes) and MIN_SIZE <= len(body) <= MAX_SIZE and not response.prepared


class Compressor:
    """Compresses bodies in one thread. Use it on the HTTP loop only."""

    def __init__(self, thread_name: str) -> None:
        self._thread = worker(thread_name)
        self._running: dict[int, asyncio.Future[bytes]] = {}
        self._last = b"", b""

    async def compress(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Compress a response that `is_worthwhile`, if its type and the caller allow it.

        A response that the application has encoded itself is left alone.
        """
        headers = response.headers
        if (
            not isinstance(response, web.Response)
            or not isinstance(response.body, bytes)
            or response.compression
            or response.chunked
            or "Content-Encoding" in headers
            or "Content-Range" in headers
            or _COMPRESSIBLE.match(headers.get("Content-Type", "")) is None
        ):
            return
        headers.add("Vary", "Accept-Encoding")
        if not accepts_gzip(",".join(request.headers.getall("Accept-Encoding", ()))):
            return
        compressed = await self._compressed(response.body)
        if compressed is None:
            return
        response.body = compressed
        headers["Content-Encoding"] = "gzip"
        headers.popall("Content-Length", None)
        etag = headers.get("ETag", "")
        if etag.startswith('"'):  # a strong one promises the same bytes
            headers["ETag"] = f"W/{etag}"

    async def _compressed(self, body: bytes) -> bytes | None:
        """Return the compressed body; callers of one rendering have the same object."""
        known, compressed = self._last
        if known is body:
            return compressed
        if len(body) <= MAX_INLINE:
            compressed = _gzip(body)
        else:
            running = self._running.get(id(body))
            if running is None:
                if len(self._running) >= MAX_WAITING:
                    return None
                loop = asyncio.get_running_loop()
                running = self._running[id(body)] = loop.run_in_executor(self._thread, _gzip, body)
                running.add_done_callback(lambda _: self._running.pop(id(body)))
            await asyncio.wait({running})
            compressed = running.result()
        self._last = body, compressed
        return compressed


def accepts_gzip(accepted: str) -> bool:
    """Return True if this value of `Accept-Encoding` allows gzip."""
    codings: dict[str, bool] = {}
    for item in accepted.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        codings[coding] = not any(_REFUSED.fullmatch(parameter) for parameter in parameters)
    return codings.get("gzip", codings.get("x-gzip", codings.get("*", False)))


_REFUSED = re.compile(r"q\s*=\s*0(\.0*)?")


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, wbits=31)
    return compressor.compress(body) + compressor.flush()
