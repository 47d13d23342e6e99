"""Elasticsearch and Kibana as `setup` asks them: JSON over HTTP, with one-line problems."""

import json
import ssl
from typing import Any

from json_http import Advice, JsonClient, ScriptError, reason

OLDEST = (9, 3)
"""The oldest version that knows all that the files hold."""

_ADVICE = Advice(
    timeout="is it overloaded?",
    unreachable="is it running, and are the address, the port and http or https right?",
    untrusted="name the authority with --ca",
)


class Server:
    """Elasticsearch or Kibana, asked over HTTP; no request waits longer than the timeout."""

    def __init__(
        self, name: str, url: str, authorization: str, context: ssl.SSLContext, timeout: float
    ) -> None:
        self.name = name
        self._client = JsonClient(
            name=f"{name} at {url}",
            url=url,
            authorization=authorization,
            advice=_ADVICE,
            timeout=timeout,
            context=context,
            headers={"kbn-xsrf": "true", "Accept": "*/*"},
        )

    def ask(self, method: str, path: str, body: Any = None, form: str = "") -> Any:
        """Return the parsed answer; None when there is no such thing."""
        status, _, raw = self._client.exchange(method, path, body, form)
        if status == 404:
            return None
        if status < 300:
            try:
                return json.loads(raw) if raw else {}
            except ValueError:
                return [json.loads(line) for line in raw.splitlines()]
        raise ScriptError(f"{self}: {status} to {method} {path}: {reason(raw)}{_advice(status)}")

    def check_version(self, path: str) -> None:
        """Refuse a server that is too old for what the files hold."""
        answer = self.ask("GET", path)
        version = answer.get("version") if isinstance(answer, dict) else None
        number = version.get("number", "") if isinstance(version, dict) else ""
        found = tuple(int(part) for part in number.split("-")[0].split(".")[:2] if part.isdigit())
        wanted = ".".join(map(str, OLDEST))
        if len(found) < 2:
            raise ScriptError(f"{self}: tells no version; is this the address of {self.name}?")
        if found < OLDEST:
            raise ScriptError(f"{self}: is version {number}; upgrade it to {wanted} or later")

    def __str__(self) -> str:
        return self._client.name


def _advice(status: int) -> str:
    return {
        401: "; is the user, the password or the API key right?",
        403: "; give this user the role superuser, or manage and manage_security with Kibana admin",
    }.get(status, "")
