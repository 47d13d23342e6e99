"""JSON over HTTP for the scripts `../elk/setup` and `../uptime/sync`; standard library only."""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPMessage
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MAX_BYTES = 32_000_000
"""Maximum size of a response in bytes: the largest, an export of Kibana, has less than a tenth."""


class ScriptError(Exception):
    """An error that stops the script, with one line: what is wrong, where, and how to fix it."""


class UsageError(ScriptError):
    """The command is wrong."""


class Response(NamedTuple):
    """The response of a server."""

    status: int
    headers: HTTPMessage
    body: bytes


@dataclass(frozen=True)
class Advice:
    """The advice to show if there is no response."""

    timeout: str
    unreachable: str
    untrusted: str


@dataclass(frozen=True)
class JsonClient:
    """A client for the paths below `url`; no request waits longer than `timeout` seconds.

    `name` is the server's name in error messages.
    """

    name: str
    url: str
    authorization: str
    advice: Advice
    timeout: float = 30.0
    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def exchange(self, method: str, path: str, body: Any = None, form: str = "") -> Response:
        """Send `body` as JSON, or unchanged if `form` names its type. Raises ScriptError."""
        headers = {"Authorization": self.authorization, **self.headers}
        data = None
        if body is not None:
            data = body if form else json.dumps(body).encode()
            headers["Content-Type"] = form or "application/json"
        connection = self._connection()
        try:
            base = urlsplit(self.url).path.rstrip("/")
            connection.request(method, f"{base}/{path}", data, headers)
            response = connection.getresponse()
            content = response.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise ScriptError(f"{self.name}: the response is larger than {MAX_BYTES:,} bytes")
            return Response(response.status, response.headers, content)
        except ssl.SSLCertVerificationError as error:
            raise ScriptError(
                f"{self.name}: its certificate is not trusted ({error.verify_message}); "
                f"{self.advice.untrusted}"
            ) from error
        except TimeoutError as error:
            raise ScriptError(
                f"{self.name}: no response to {method} {path} within {self.timeout:g} s; "
                f"{self.advice.timeout}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ScriptError(
                f"{self.name}: cannot be reached ({str(error) or type(error).__name__}); "
                f"{self.advice.unreachable}"
            ) from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return http.client.HTTPSConnection(
                host, parts.port, timeout=self.timeout, context=self.context
            )
        return http.client.HTTPConnection(host, parts.port, timeout=self.timeout)


def reason(body: bytes) -> str:
    """Return the server's error message, on one line."""
    try:
        parsed = json.loads(body)
        error = parsed.get("error")
        detail = error.get("reason") if isinstance(error, dict) else None
        text = detail or parsed.get("message") or error or parsed
    except (ValueError, AttributeError):
        text = body.decode(errors="replace")
    return " ".join(str(text).split())[:300]


def secret(file: Path, what: str) -> str:
    """Return `what` from a file that contains nothing else. Raises UsageError."""
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file}: cannot be read ({getattr(error, 'strerror', 'no text')})"
        ) from error
    if not text or len(text.split()) > 1:
        raise UsageError(f"{file}: must contain only {what}, on one line")
    return text
