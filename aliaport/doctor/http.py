"""Asks over HTTP: with a deadline, a limit of size, checked certificates and no redirects."""

import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import gaierror
from typing import Any

import aiohttp

from aliaport import __version__
from aliaport.doctor.findings import CheckFailed

MAX_BYTES = 32_000_000
"""Bytes of an answer, beyond which it is not read: no page that doctor reads is so long."""

AGENT = f"aliaport-doctor/{__version__}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `sent` and `received` are seconds since the epoch, `seconds` what it took."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: float
    received: float
    seconds: float

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def begin(self) -> str:
        """The begin of the body, to show."""
        return " ".join(self.text[:200].split())


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server. `todo` and `runbook` say what to do if it does not answer as it should."""

    session: aiohttp.ClientSession = field(repr=False)
    timeout: float
    base: str
    todo: str
    runbook: str = ""
    token: str = field(default="", repr=False)

    def without_token(self) -> "Endpoint":
        """The same server, asked as a stranger."""
        return replace(self, token="")

    def failure(self, seen: str) -> CheckFailed:
        """What ends a check that this server fails."""
        return CheckFailed(seen, self.todo, self.runbook)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """GET, whatever the status. Raises CheckFailed where there is no answer in time."""
        return await self._ask("GET", path, headers or {}, None)

    async def post(self, path: str, body: Any) -> Reply:
        """POST JSON, whatever the status. Raises CheckFailed where there is no answer in time."""
        headers = {"Content-Type": "application/json"}
        return await self._ask("POST", path, headers, json.dumps(body).encode())

    async def good(self, path: str) -> Reply:
        """GET that must be 200. Raises CheckFailed."""
        reply = await self.get(path)
        if reply.status != 200:
            raise self.failure(f"{reply.url} answers {reply.status}: {reply.begin}")
        return reply

    async def json(self, path: str) -> Any:
        """The JSON of a GET that must be 200. Raises CheckFailed."""
        return self.parsed(await self.good(path))

    def parsed(self, reply: Reply) -> Any:
        """The JSON of an answer. Raises CheckFailed."""
        try:
            return json.loads(reply.body)
        except ValueError:
            raise self.failure(
                f"{reply.url} answers something else than JSON: {reply.begin}"
            ) from None

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        url = self.base + path
        shown = url.partition("?")[0]
        sent_headers = dict(headers)
        if self.token:
            sent_headers["Authorization"] = f"Bearer {self.token}"
        sent, began = time.time(), time.perf_counter()
        try:
            async with self.session.request(
                method, url, headers=sent_headers, data=body, allow_redirects=False
            ) as response:
                content = await _read(response)
        except TimeoutError:
            raise self.failure(f"{shown}: no whole answer within {self.timeout:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise self.failure(f"{shown}: {certificate_problem(error.certificate_error)}") from None
        except aiohttp.ClientConnectorError as error:
            raise self.failure(f"{shown}: {reason(error.os_error)}") from None
        except aiohttp.ClientError as error:
            raise self.failure(f"{shown}: {type(error).__name__}: {error}") from None
        if 300 <= response.status < 400:
            place = response.headers.get("Location", "").partition("?")[0]
            raise self.failure(f"{shown} redirects to {place}, which was not followed")
        seconds = time.perf_counter() - began
        return Reply(shown, response.status, response.headers, content, sent, time.time(), seconds)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        content += chunk
        if len(content) > MAX_BYTES:
            raise aiohttp.ClientPayloadError(f"the answer is longer than {MAX_BYTES} bytes")
    return bytes(content)


def reason(error: OSError) -> str:
    """Why there is no connection, such as "Connection refused"."""
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason or error}"
    if isinstance(error, gaierror) or not error.errno or error.errno < 0:
        return error.strerror or str(error)
    return os.strerror(error.errno)  # asyncio puts the address in the place of the reason


def certificate_problem(error: BaseException) -> str:
    """What is wrong with a certificate, in OpenSSL's words."""
    return f"certificate refused: {getattr(error, 'verify_message', '') or error}"


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """What certificates are checked by: this machine's authorities, and those of `ca_file`."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


@asynccontextmanager
async def open_session(
    context: ssl.SSLContext, timeout: float
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client without cookies and proxies, whose requests end after `timeout` seconds."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": AGENT, "Accept": "*/*"},
        timeout=aiohttp.ClientTimeout(total=timeout),
    ) as session:
        yield session
