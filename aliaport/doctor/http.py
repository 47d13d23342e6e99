"""Requests to the servers of the checklist: verified certificates, tokens and no redirects."""

import json
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import gaierror
from typing import Any

import aiohttp
from yarl import URL

from aliaport import __version__
from aliaport.doctor.findings import CheckFailed
from aliaport.redaction import shorten
from aliaport.upstream import UpstreamError, request

MAX_BYTES = 32_000_000
"""Maximum size of a response in bytes: every page that doctor reads is smaller."""

MAX_EXCERPT = 4_000
"""Characters of a body that a message may have before it is cut."""

NO_RESPONSE = "the server, or a proxy in front of it, closed the connection without a response"

AGENT = f"aliaport-doctor/{__version__}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; `sent` and `received` are seconds since the epoch, `seconds` its duration."""

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
    def excerpt(self) -> str:
        """The beginning of the body, for messages, which are cut once they have no secrets."""
        return " ".join(shorten(self.text, MAX_EXCERPT).split())


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server. `todo` and `runbook` say what to do if it does not respond as expected."""

    session: aiohttp.ClientSession = field(repr=False)
    timeout: float
    base: str
    todo: str
    runbook: str = ""
    token: str = field(default="", repr=False)

    def without_token(self) -> "Endpoint":
        """Return the same server without the token, for requests of an anonymous caller."""
        return replace(self, token="")

    def failure(self, seen: str) -> CheckFailed:
        """Return the error that fails a check of this server."""
        return CheckFailed(seen, self.todo, self.runbook)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Send a GET; accept any status. Raises CheckFailed if no response arrives in time."""
        return await self._request("GET", path, headers or {}, None)

    async def get_verbatim(self, path: str) -> Reply:
        """Send a GET for this spelling of a path; accept any status. Raises CheckFailed."""
        return await self._request("GET", path, {}, None, verbatim=True)

    async def post(self, path: str, body: Any) -> Reply:
        """POST JSON; accept any status. Raises CheckFailed if no response arrives in time."""
        headers = {"Content-Type": "application/json"}
        return await self._request("POST", path, headers, json.dumps(body).encode())

    async def get_ok(self, path: str) -> Reply:
        """Send a GET that must respond 200. Raises CheckFailed."""
        reply = await self.get(path)
        if reply.status != 200:
            raise self.failure(f"{reply.url} responded {reply.status}: {reply.excerpt}")
        return reply

    async def json(self, path: str) -> Any:
        """Return the JSON of a GET that must respond 200. Raises CheckFailed."""
        return self.parsed(await self.get_ok(path))

    def parsed(self, reply: Reply) -> Any:
        """Return the JSON of a response. Raises CheckFailed."""
        try:
            return json.loads(reply.body)
        except ValueError:
            raise self.failure(f"{reply.url} did not respond with JSON: {reply.excerpt}") from None

    async def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        verbatim: bool = False,
    ) -> Reply:
        url = self.base + path
        shown = url.partition("?")[0]
        sent_headers = dict(headers)
        if self.token:
            sent_headers["Authorization"] = f"Bearer {self.token}"
        sent, began = time.time(), time.perf_counter()
        try:
            response = await request(
                self.session,
                method,
                URL(f"{URL(self.base)}{path}", encoded=True) if verbatim else url,
                timeout=self.timeout,
                max_bytes=MAX_BYTES,
                headers=sent_headers,
                body=body,
            )
        except UpstreamError as error:
            raise self.failure(f"{shown}: {error}") from None
        except TimeoutError:
            raise self.failure(f"{shown}: no complete response within {self.timeout:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise self.failure(f"{shown}: {certificate_problem(error.certificate_error)}") from None
        except aiohttp.ClientConnectorError as error:
            raise self.failure(f"{shown}: {reason(error.os_error)}") from None
        except aiohttp.ServerDisconnectedError:
            raise self.failure(f"{shown}: {NO_RESPONSE}") from None
        except aiohttp.ClientOSError as error:
            raise self.failure(f"{shown}: {reason(error)} before a complete response") from None
        except aiohttp.ClientResponseError:
            raise self.failure(f"{shown}: the response is not valid HTTP") from None
        except aiohttp.ClientError as error:
            raise self.failure(f"{shown}: {type(error).__name__}: {error}") from None
        if 300 <= response.status < 400:
            location = response.headers.get("Location", "").partition("?")[0]
            raise self.failure(f"{shown} redirects to {location}, which was not followed")
        seconds = time.perf_counter() - began
        return Reply(
            shown, response.status, response.headers, response.body, sent, time.time(), seconds
        )


def reason(error: OSError) -> str:
    """Return why a connection failed, such as "Connection refused"."""
    if isinstance(error, ssl.SSLError):
        if error.reason == "WRONG_VERSION_NUMBER":
            return "the server does not speak TLS; is it http:// instead of https://?"
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, gaierror) or not error.errno or error.errno < 0:
        return error.strerror or str(error)
    return os.strerror(error.errno)  # asyncio replaces the reason with the address


def certificate_problem(error: BaseException) -> str:
    """Return what is wrong with a certificate, in OpenSSL's words."""
    return f"certificate refused: {getattr(error, 'verify_message', '') or error}"


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts this machine's CAs and those of `ca_file`."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
