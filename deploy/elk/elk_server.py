"""The client of `setup` for Elasticsearch and Kibana: JSON over HTTP, with one-line errors."""

import json
import ssl
from typing import Any

from json_http import Advice, JsonClient, ScriptError, reason

MIN_VERSION = (9, 3)
"""The oldest version that supports everything in the files."""

_ADVICE = Advice(
    timeout="check whether it is overloaded",
    unreachable="check that it runs, and the address, the port and http or https",
    untrusted="pass the certificate authority with --ca",
)


class Server:
    """Elasticsearch or Kibana over HTTP; no request waits longer than the timeout."""

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

    def request(self, method: str, path: str, body: Any = None, form: str = "") -> Any:
        """Send a request and return the parsed response; None if the object does not exist."""
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
        """Check that the server is new enough for the files. Raises ScriptError."""
        response = self.request("GET", path)
        version = response.get("version") if isinstance(response, dict) else None
        number = version.get("number", "") if isinstance(version, dict) else ""
        found = tuple(int(part) for part in number.split("-")[0].split(".")[:2] if part.isdigit())
        required = ".".join(map(str, MIN_VERSION))
        if len(found) < 2:
            raise ScriptError(f"{self}: reports no version; is this the address of {self.name}?")
        if found < MIN_VERSION:
            raise ScriptError(f"{self}: is version {number}; upgrade it to {required} or later")

    def __str__(self) -> str:
        return self._client.name


def _advice(status: int) -> str:
    return {
        401: "; check the user, the password or the API key",
        403: "; give this user the role superuser, or manage and manage_security with Kibana admin",
    }.get(status, "")
