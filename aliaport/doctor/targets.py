"""The addresses and tokens to use, from options and the service's own configuration."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aliaport.errors import ConfigError
from aliaport.settings import Settings
from aliaport.settings.model import ANY_ADDRESS
from aliaport.settings.secret_files import shown_path
from aliaport.settings.sources import ENCODING
from aliaport.settings.tokens import token_lines


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of doctor. One that is empty was not named, and is skipped.

    `settings` is the configuration of the service on this machine; None for a service elsewhere.
    `configured` is False if these are only the defaults, because no file or variable was found.
    """

    url: str
    internal_url: str = ""
    status_token: str = field(default="", repr=False)
    prometheus: str = ""
    job: str = "aliaport-backend"
    alertmanager: str = ""
    test_alert: bool = False
    test_alert_wait: float = 90.0
    grafana: str = ""
    grafana_token: str = field(default="", repr=False)
    uptimerobot: str = ""
    uptimerobot_token: str = field(default="", repr=False)
    uptimerobot_name: str = ""
    sites: tuple[str, ...] = ()
    settings: Settings | None = field(default=None, repr=False)
    configured: bool = True
    timeout: float = 5.0
    ca_file: Path | None = None

    @property
    def detailed_url(self) -> str:
        """The address of /status and /metrics."""
        return self.internal_url or self.url

    @property
    def secrets(self) -> tuple[str, ...]:
        """Tokens that must never be shown."""
        tokens = (self.status_token, self.grafana_token, self.uptimerobot_token)
        return tuple(token for token in tokens if token)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses that were named, without duplicates."""
        named = (self.url, self.internal_url, self.prometheus, self.alertmanager, self.grafana)
        return tuple(dict.fromkeys(url for url in (*named, *self.sites) if url))


def checked_url(text: str) -> str:
    """Return the address without a final slash. Raises ValueError, which says what is wrong."""
    text = text.strip()
    try:
        parts = urlsplit(text)
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise ValueError("is not a valid URL; use the form http://host:port") from None
    if " " in text or not text.isprintable():
        raise ValueError("contains a space or an invisible character; remove it")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http or https URL; use the form http://host:port")
    if parts.username or parts.password:
        raise ValueError(
            "contains a user name or password, which others on this machine would see; remove it"
        )
    if parts.query or parts.fragment:
        raise ValueError("has a query or fragment after the path; remove it")
    return text.rstrip("/")


def first_token(file: Path) -> str:
    """Return the first token of a file. Raises ValueError if there is none."""
    name = shown_path(file)
    try:
        text = file.read_text(ENCODING)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ValueError(f"{name}: {reason}") from None
    tokens = [token for _, token in token_lines(text)]
    if not tokens:
        raise ValueError(f"{name}: contains no token")
    if not (tokens[0].isascii() and tokens[0].isprintable()):
        raise ValueError(f"{name}: contains characters that cannot be sent in a token")
    return tokens[0]


def own_address(settings: Settings) -> str:
    """Return the service's address, as seen from its own machine."""
    return _local(settings.host, settings.port)


def own_internal_address(settings: Settings) -> str:
    """Return the address of its second listener, or '' if it has none."""
    if settings.internal_port is None:
        return ""
    return _local(settings.internal_host, settings.internal_port)


def own_token(settings: Settings) -> str:
    """Return a token from the service's configuration, or '' if it has none."""
    tokens: Sequence[str] = [token.get_secret_value() for token in settings.status_token]
    if tokens:
        return tokens[0]
    if settings.status_token_file is None:
        return ""
    try:
        return first_token(settings.status_token_file)
    except ValueError as error:
        raise ConfigError([f"status_token_file: {error}"]) from None


def _local(host: str, port: int) -> str:
    name = "127.0.0.1" if host in ANY_ADDRESS else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
