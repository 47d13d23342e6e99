"""Validates a Sentry DSN without showing it."""

from urllib.parse import urlsplit

FORM = "https://<key>@<host>/<project number>"


def check_dsn(dsn: str) -> None:
    """Raise ValueError, which shows no part of a key, unless `dsn` is a valid DSN."""
    problem = _problem(dsn)
    if problem:
        raise ValueError(
            f"{problem}; use the form {FORM}, which Sentry shows under the project's Client Keys"
        )


def _problem(dsn: str) -> str:
    if not dsn.startswith(("https://", "http://")):
        return "does not start with https:// or http://"
    if any(character.isspace() for character in dsn):
        return "contains white space"
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        return "has an invalid host or port"
    if not parts.hostname:
        return "has no host"
    if port == 0:
        return "has port 0, which is not valid"
    if not parts.username:
        return "has no key before the @"
    if parts.query or parts.fragment:
        return "has extra text after the project number"
    project = parts.path.rpartition("/")[2]
    if not (project.isascii() and project.isdecimal()):
        return "does not end with a project number"
    return ""
