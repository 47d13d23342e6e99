"""Validates the URL of a database, and shows it without its secrets."""

from urllib.parse import unquote, urlsplit

from aliaport.redaction import MASK, is_secret_name


def check_database_url(url: str) -> None:
    """Raise ValueError, which shows no secret, unless asyncpg can read `url`."""
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in ("postgres", "postgresql"):
        short = scheme and len(scheme) < 30
        problem = f"starts with {scheme!r}" if short else "does not start with postgresql://"
        raise ValueError(f"{problem}; use the form postgresql://user:password@host:5432/name")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(
            "is not a valid URL; use the form postgresql://user:password@host:5432/name, and "
            "percent-encode special characters in the password"
        ) from None


def shown_url(url: str) -> str:
    """Return `url` with its password, and secrets among its options, as `***`.

    Whatever is between the first colon and the last @ is the password, so that no character in it
    needs to be encoded.
    """
    scheme, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    password = MASK if colon else ""
    address, mark, options = f"{user}{colon}{password}{at}{place}".partition("?")
    shown = "&".join(map(_shown_option, options.split("&")))
    return f"{scheme}{separator}{address}{mark}{shown}"


def _shown_option(option: str) -> str:
    name, sign, _ = option.partition("=")
    return f"{name}={MASK}" if sign and is_secret_name(unquote(name)) else option
