"""Elasticsearch and Kibana as `setup` asks them: JSON over HTTP, with one-line problems."""

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

OLDEST = (9, 3)
"""The oldest version that knows all that the files hold."""


class Problem(Exception):
    """What stops the script: one line that says what, where, and what to do."""


class Misuse(Problem):
    """The command itself is wrong."""


@dataclass
class Server:
    """Elasticsearch or Kibana, asked over HTTP; no request waits longer than the timeout."""

    name: str
    url: str
    authorization: str
    context: ssl.SSLContext
    timeout: float

    def ask(self, method: str, path: str, body: Any = None, form: str = "") -> Any:
        """The parsed answer; None when there is no such thing."""
        status, raw = self._exchange(method, path, body, form)
        if status == 404:
            return None
        if status < 300:
            try:
                return json.loads(raw) if raw else {}
            except ValueError:
                return [json.loads(line) for line in raw.splitlines()]
        raise Problem(f"{self}: {status} to {method} {path}: {reason(raw)}{advice(status)}")

    def _exchange(self, method: str, path: str, body: Any, form: str) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        extra: dict[str, Any] = {"context": self.context} if secure else {}
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout, **extra)
        headers = {"Authorization": self.authorization, "kbn-xsrf": "true", "Accept": "*/*"}
        data = None
        if body is not None:
            data = body if form else json.dumps(body).encode()
            headers["Content-Type"] = form or "application/json"
        try:
            connection.request(method, f"{parts.path.rstrip('/')}/{path}", data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except ssl.SSLCertVerificationError as error:
            raise Problem(
                f"{self}: its certificate is not trusted ({error.verify_message}); "
                "name the authority with --ca"
            ) from error
        except TimeoutError as error:
            raise Problem(
                f"{self}: no answer to {method} {path} within {self.timeout:g} s; is it overloaded?"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Problem(
                f"{self}: cannot be reached ({str(error) or type(error).__name__}); is it running, "
                "and are the address, the port and http or https right?"
            ) from error
        finally:
            connection.close()

    def check_version(self, path: str) -> None:
        """Refuse a server that is too old for what the files hold."""
        answer = self.ask("GET", path)
        version = answer.get("version") if isinstance(answer, dict) else None
        number = version.get("number", "") if isinstance(version, dict) else ""
        found = tuple(int(part) for part in number.split("-")[0].split(".")[:2] if part.isdigit())
        wanted = ".".join(map(str, OLDEST))
        if len(found) < 2:
            raise Problem(f"{self}: tells no version; is this the address of {self.name}?")
        if found < OLDEST:
            raise Problem(f"{self}: is version {number}; upgrade it to {wanted} or later")

    def __str__(self) -> str:
        return f"{self.name} at {self.url}"


def reason(raw: bytes) -> str:
    """What the server says is wrong, on one line."""
    try:
        answer = json.loads(raw)
        error = answer.get("error", answer)
        text = error.get("reason") if isinstance(error, dict) else answer.get("message", error)
    except (ValueError, AttributeError):
        text = raw.decode(errors="replace")
    return " ".join(str(text).split())[:300]


def advice(status: int) -> str:
    """What to do about a refusal."""
    return {
        401: "; is the user, the password or the API key right?",
        403: "; give this user the role superuser, or manage and manage_security with Kibana admin",
    }.get(status, "")
