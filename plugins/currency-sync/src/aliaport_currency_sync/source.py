"""Asks the central bank's web server, politely: one connection, slowly, with our name."""

import asyncio
from datetime import date
from enum import StrEnum
from http import HTTPStatus
from importlib.metadata import version

import aiohttp

from aliaport.plugin import Clock
from aliaport_currency_sync.bulletin import SIZE_LIMIT, Bulletin, Fault, RefusedError, parse
from aliaport_currency_sync.business_days import today
from aliaport_currency_sync.config import CurrencySyncConfig

DISTRIBUTION = "aliaport-currency-sync"
_NO_FILE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_CHUNK = 65_536


class Outage(StrEnum):
    """Why there is no answer. The values are codes of the probe and labels of metrics."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "source_timeout"
    CUT_OFF = "cut_off"
    HTTP_ERROR = "http_error"


class UnavailableError(Exception):
    """The source did not answer as it should; it is asked again later."""

    def __init__(self, outage: Outage, message: str) -> None:
        super().__init__(message)
        self.outage = outage


class NoFileError(Exception):
    """The archive has no bulletin of the day."""


class Source:
    """The source's files. Belongs to the loop on which it is used; call `close` at the end."""

    def __init__(self, config: CurrencySyncConfig, clock: Clock) -> None:
        self._address = str(config.source).rstrip("/")
        self._interval = config.request_interval
        self._timeout = config.request_timeout
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._turn = asyncio.Lock()
        self._free_at = 0.0

    async def newest(self) -> Bulletin:
        """The bulletin of today.xml, whatever its day: until 15:30 the previous one.

        Raises RefusedError and UnavailableError.
        """
        try:
            bulletin = parse(await self._read("today.xml"))
        except NoFileError:
            raise UnavailableError(Outage.HTTP_ERROR, "today.xml does not exist (404)") from None
        if bulletin.day > today(self._clock.now()):
            raise RefusedError(Fault.WRONG_DATE, f"today.xml is of {bulletin.day}, in the future")
        return bulletin

    async def archived(self, day: date) -> Bulletin:
        """The bulletin of `day`. Raises NoFileError, RefusedError and UnavailableError."""
        bulletin = parse(await self._read(f"{day:%Y%m}/{day:%d%m%Y}.xml"))
        if bulletin.day != day:
            raise RefusedError(Fault.WRONG_DATE, f"the file of {day} is of {bulletin.day}")
        return bulletin

    async def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _read(self, path: str) -> bytes:
        async with self._turn:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, self._free_at - loop.time()))
            try:
                return await self._request(path)
            finally:
                self._free_at = loop.time() + self._interval

    async def _request(self, path: str) -> bytes:
        try:
            async with self._opened().get(f"{self._address}/{path}", max_redirects=3) as answer:
                if answer.status in _NO_FILE:
                    raise NoFileError(path)
                if answer.status != HTTPStatus.OK:
                    raise UnavailableError(Outage.HTTP_ERROR, f"{path}: {answer.status}")
                return await _bounded(answer)
        except TimeoutError:
            raise UnavailableError(
                Outage.TIMEOUT, f"{path}: no whole answer within {self._timeout:g} s"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise UnavailableError(Outage.UNREACHABLE, f"{path}: {error}") from None
        except (aiohttp.ClientError, OSError) as error:
            text = f"{type(error).__name__}: {error}"[:200]
            raise UnavailableError(Outage.CUT_OFF, f"{path}: {text}") from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                # Unpacking is not bounded by the size limit, so it is neither asked for nor done.
                headers={
                    "User-Agent": f"{DISTRIBUTION}/{version(DISTRIBUTION)}",
                    "Accept-Encoding": "identity",
                },
                auto_decompress=False,
                trust_env=True,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    document = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        document += chunk
        if len(document) > SIZE_LIMIT:
            raise RefusedError(Fault.TOO_LARGE, f"it has more than {SIZE_LIMIT:,} bytes")
    return bytes(document)
