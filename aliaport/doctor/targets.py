"""Where everything is: addresses and tokens, from options and the service's own configuration."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aliaport.errors import ConfigError
from aliaport.settings import Settings

ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104


@dataclass(frozen=True, slots=True)
class Targets:
    """What doctor asks. An empty text is a place that was not named, and is not asked.

    `settings` is the configuration of the service on this machine, where there is one.
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
    timeout: float = 5.0
    ca_file: Path | None = None

    @property
    def detailed_url(self) -> str:
        """Where /status and /metrics are."""
        return self.internal_url or self.url

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        tokens = (self.status_token, self.grafana_token, self.uptimerobot_token)
        return tuple(token for token in tokens if token)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that was named, each once."""
        named = (self.url, self.internal_url, self.prometheus, self.alertmanager, self.grafana)
        return tuple(dict.fromkeys(each for each in (*named, *self.sites) if each))


def checked_url(text: str) -> str:
    """The address without a slash at its end. Raises ValueError, which says what is wrong."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is no URL: write it as http://host:port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no address of a web server: write it as http://host:port")
    if parts.username or parts.password:
        raise ValueError("holds a name or password, which others on this machine would see")
    if parts.query or parts.fragment:
        raise ValueError("has something after the path")
    return text.rstrip("/")


def first_token(file: Path) -> str:
    """The first line with text of a file of tokens. Raises ValueError where there is none."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ValueError(f"{file}: {reason}") from None
    tokens = [line.strip() for line in lines if line.strip()]
    if not tokens:
        raise ValueError(f"{file}: holds no token")
    if not (tokens[0].isascii() and tokens[0].isprintable()):
        raise ValueError(f"{file}: holds something that cannot be sent as a token")
    return tokens[0]


def own_address(settings: Settings) -> str:
    """How the service is asked from its own machine."""
    return _local(settings.host, settings.port)


def own_internal_address(settings: Settings) -> str:
    """The same of its second listener; empty where it has none."""
    if settings.internal_port is None:
        return ""
    return _local(settings.internal_host, settings.internal_port)


def own_token(settings: Settings) -> str:
    """A token that the service accepts by its configuration; empty where it has none."""
    tokens: Sequence[str] = [each.get_secret_value() for each in settings.status_token]
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
