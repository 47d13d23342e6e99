"""Masks secrets in what is logged or shown, by field name or by pattern."""

import re
from functools import lru_cache

MASK = "***"

MARGIN = 4_096
"""Characters beyond a cut that are read, so that a secret across it is recognized."""

_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase)|(^|[_.-])(pwd|dsn|auth|cookies?|jwt)($|[_.-])|secret|token"
    r"|credential|authorization|api[_-]?key|access[_-]?key|private[_-]?key|session[_-]?(id|key)"
)
_ABOUT_SECRETS = re.compile(
    r"(?i)_(file|path|folder|days|hours|minutes|seconds|timeout|interval|length|count|limit)$"
)
"""Names of what is not a secret itself, such as the file that holds one, or its validity."""

_SUSPICIOUS = re.compile(
    r"(?i)://|pass|pwd|secret|token|key|bearer|basic|cookie|credential|authoriz|[0-9]{11}"
)
_EMPTY = ("", "[]", "{}")
_USERINFO = re.compile(r"(?<=://)([^\s/:@'\"]*):[^\s/'\"]*@")
_PAIR = re.compile(
    r"(?i)\b([a-z_]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key))"
    r"(\\?['\"]?\s*[=:]\s*)(?!(?:true|false|null|none|\[\])(?:[\s,;&'\")}\]]|$))"
    r"('[^']*'|\\?\"[^\"]*\"|[^\s,;&'\")}\]]+)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}")
_COOKIE = re.compile(r"(?i)\b((?:set-)?cookie)(['\"]?\s*[=:]\s*)[^\r\n'\"]+")
_AUTHORIZATION = re.compile(r"(?i)\b(authorization)(['\"]?\s*[=:]\s*)[^\r\n'\",;]+")
_ELEVEN_DIGITS = re.compile(r"(?<![0-9])[1-9][0-9]{10}(?![0-9])", re.ASCII)


def redact(text: str) -> str:
    """Return `text` with recognizable secrets masked.

    They are passwords in URLs, `password=value` pairs, HTTP credentials, cookies, and Turkish
    identity numbers, recognized by their check digits.
    """
    if _SUSPICIOUS.search(text) is None:
        return text
    text = _USERINFO.sub(rf"\1:{MASK}@", text)
    text = _COOKIE.sub(rf"\1\2{MASK}", text)
    text = _AUTHORIZATION.sub(rf"\1\2{MASK}", text)
    text = _PAIR.sub(rf"\1\2{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _ELEVEN_DIGITS.sub(_without_identity_number, text)


def shorten(text: str, limit: int) -> str:
    """Return the first `limit` characters of `text`; what is cut is masked before.

    A secret that lost its end would no longer be recognized. A subclass's methods are not called.
    """
    read = str.__getitem__(text, slice(limit + MARGIN))
    if len(read) <= limit:
        return read
    masked = redact(read)
    # The last secret read may itself be cut.
    end = len(masked) - MARGIN if str.__len__(text) > len(read) else limit
    return masked[: max(0, min(limit, end))]


def shorten_lines(text: str, limit: int) -> str:
    """Return the last lines of `text`, at most `limit` characters; what is cut is masked before."""
    if len(text) <= limit:
        return text
    masked = redact(text[-limit - MARGIN :])
    if len(text) > limit + MARGIN:
        masked = masked[MARGIN:]
    kept = masked[-limit:]
    return kept.partition("\n")[2] or kept


@lru_cache(4096)
def is_secret_name(name: str) -> bool:
    """Return True if a field of this name holds a secret, such as `db_password`."""
    return _SECRET_NAME.search(name) is not None and _ABOUT_SECRETS.search(name) is None


def is_secret(name: str, value: object) -> bool:
    """Return True if the value of a field must be masked: not a switch, nor an empty list."""
    if isinstance(value, bool) or (isinstance(value, str) and value in _EMPTY):
        return False
    return is_secret_name(name)


def is_identity_number(digits: str) -> bool:
    """Return True if eleven ASCII digits are a Turkish identity number, by its two check digits."""
    numbers = [int(digit) for digit in digits]
    odd, even = sum(numbers[0:9:2]), sum(numbers[1:8:2])
    return (7 * odd - even) % 10 == numbers[9] and sum(numbers[:10]) % 10 == numbers[10]


def _without_identity_number(found: re.Match[str]) -> str:
    return MASK if is_identity_number(found[0]) else found[0]
