"""Finds the end of a chunked body (RFC 9112, section 7.1) while it arrives."""

import re

from aiohttp.http_exceptions import TransferEncodingError

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]+)(?:;[^\r\n]*)?\r\n")


class ChunkedBody:
    """The framing of one body: the parser does not say at which byte of its input a body ended.

    A size line with its extensions has at most `max_bytes`, and so have all trailers together.
    """

    __slots__ = ("_chunk_left", "_in_trailers", "_line", "_max_bytes", "_trailers_size")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunk_left = 0
        self._line = b""
        self._in_trailers = False
        self._trailers_size = 0

    def find_end(self, data: bytes, start: int, limit: int) -> int:
        """Return where the body that continues at `start` ends, or `limit` if that is later.

        Raises TransferEncodingError if the body is malformed.
        """
        while start < limit:
            if self._chunk_left:
                step = min(self._chunk_left, limit - start)
                self._chunk_left -= step
                start += step
                continue
            end = data.find(b"\n", start, limit) + 1
            line = self._line + data[start : end or limit]
            if len(line) + self._trailers_size > self._max_bytes:
                raise TransferEncodingError("size line or trailers too long")
            self._line = b"" if end else line
            start = end or limit
            if not end:
                break
            if self._in_trailers:
                self._trailers_size += len(line)
                if line == b"\r\n":
                    break
            else:
                self._begin_chunk(line)
        return start

    def _begin_chunk(self, size_line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(size_line)
        if match is None:
            raise TransferEncodingError("malformed size of a chunk")
        size = int(match[1], 16)
        self._in_trailers = not size
        self._chunk_left = size + len(b"\r\n") if size else 0
