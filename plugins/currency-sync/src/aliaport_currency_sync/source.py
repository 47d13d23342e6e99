"""Downloads from the central bank's web server: one connection, slowly, with a user agent."""

import asyncio
from datetime import date
from enum import StrEnum
from http import HTTPStatus
from importlib.metadata import version

import aiohttp

from aliaport.plugin import Clock
from aliaport.upstream import (
    MAX_REDIRECTS,
    CutOffError,
    TooLargeError,
    UpstreamError,
    open_session,
    request,
)
from aliaport_currency_sync.bulletin import SIZE_LIMIT, Bulletin, Fault, RefusedError, parse
from aliaport_currency_sync.business_days import today
from aliaport_currency_sync.config import CurrencySyncConfig

DISTRIBUTION = "aliaport-currency-sync"
_NO_FILE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


class Outage(StrEnum):
    """Reasons for an unusable response. The values are labels of metrics and appear in messages."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "source_timeout"
    CUT_OFF = "cut_off"
    HTTP_ERROR = "http_error"


class UnavailableError(Exception):
    """The source is unavailable; the request is repeated later."""

    def __init__(self, outage: Outage, message: str) -> None:
        super().__init__(message)
        self.outage = outage


class NoFileError(Exception):
    """The archive has no file for the day."""


class Source:
    """Downloads the source's files. Use it in one event loop only; call `close` at the end."""

    def __init__(self, config: CurrencySyncConfig, clock: Clock) -> None:
        self._address = str(config.source).rstrip("/")
        self._interval = config.request_interval
        self._timeout = config.request_timeout
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._turn = asyncio.Lock()
        self._free_at = 0.0

    async def newest(self) -> Bulletin:
        """Return the bulletin of today.xml, whatever its day: before 15:30 it is the previous one.

        Raises RefusedError and UnavailableError.
        """
        try:
            bulletin = parse(await self._read("today.xml"))
        except NoFileError:
            raise UnavailableError(Outage.HTTP_ERROR, "today.xml does not exist (404)") from None
        if bulletin.day > today(self._clock.now()):
            raise RefusedError(
                Fault.WRONG_DATE, f"today.xml is dated {bulletin.day}, in the future"
            )
        return bulletin

    async def archived(self, day: date) -> Bulletin:
        """Return the bulletin of `day`. Raises NoFileError, RefusedError and UnavailableError."""
        bulletin = parse(await self._read(f"{day:%Y%m}/{day:%d%m%Y}.xml"))
        if bulletin.day != day:
            raise RefusedError(Fault.WRONG_DATE, f"the file for {day} is dated {bulletin.day}")
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
            response = await request(
                self._open_session(),
                "GET",
                f"{self._address}/{path}",
                timeout=self._timeout,
                max_bytes=SIZE_LIMIT,
                max_redirects=MAX_REDIRECTS,
                statuses=(HTTPStatus.OK,),
            )
        except TooLargeError:
            raise RefusedError(
                Fault.TOO_LARGE, f"the document is larger than {SIZE_LIMIT:,} bytes"
            ) from None
        except CutOffError as error:
            raise UnavailableError(Outage.CUT_OFF, f"{path}: {error}") from None
        except UpstreamError as error:
            raise UnavailableError(Outage.HTTP_ERROR, f"{path}: {error}") from None
        except TimeoutError:
            raise UnavailableError(
                Outage.TIMEOUT, f"{path}: no complete response within {self._timeout:g} s"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise UnavailableError(Outage.UNREACHABLE, f"{path}: {error}") from None
        except (aiohttp.ClientError, OSError) as error:
            text = f"{path}: {type(error).__name__}: {error}"
            raise UnavailableError(Outage.CUT_OFF, text) from None

        if response.status in _NO_FILE:
            raise NoFileError(path)
        if response.status != HTTPStatus.OK:
            raise UnavailableError(Outage.HTTP_ERROR, f"{path}: HTTP status {response.status}")
        return response.body

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            agent = f"{DISTRIBUTION}/{version(DISTRIBUTION)}"
            self._session = open_session(agent=agent, connections=1, proxies=True)
        return self._session
