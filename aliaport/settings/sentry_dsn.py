"""What a Sentry DSN must look like, said without showing it."""

from urllib.parse import urlsplit

FORM = "https://<key>@<host>/<project number>"


def check_dsn(dsn: str) -> None:
    """Raise ValueError, which names no part of any key, unless `dsn` is one that Sentry gives."""
    problem = _problem(dsn)
    if problem:
        raise ValueError(
            f"{problem}; write it as {FORM}, which Sentry shows under the project's Client Keys"
        )


def _problem(dsn: str) -> str:
    if not dsn.startswith(("https://", "http://")):
        return "does not begin with https:// or http://"
    if any(each.isspace() for each in dsn):
        return "has white space in it"
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        return "has a host or port that no URL can have"
    if not parts.hostname:
        return "names no host"
    if port == 0:
        return "names port 0"
    if not parts.username:
        return "has no key before the @"
    if parts.query or parts.fragment:
        return "has something after the project number"
    project = parts.path.rpartition("/")[2]
    if not (project.isascii() and project.isdecimal()):
        return "does not end with the number of a project"
    return ""
