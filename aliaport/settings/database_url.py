"""Validates the URL of the database without showing it."""

from urllib.parse import urlsplit


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
