"""Masks secrets in what is logged or shown, by field name or by pattern."""

import re
from functools import lru_cache

MASK = "***"

MARGIN = 4_096
"""Characters beyond a cut that are read, so that a secret across it is recognized."""

_KEY = r"(?:api|access|secret|private|session|signing|encryption)[_-]?key"
_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase)|(^|[_.-])(pwd|dsn|auth|cookies?|jwt)($|[_.-])|secret|token"
    rf"|credential|authorization|session[_-]?id|{_KEY}"
)
_ABOUT_SECRETS = re.compile(
    r"(?i)_(file|path|folder|days|hours|minutes|seconds|timeout|interval|length|count|limit)$"
)
"""Names of what is not a secret itself, such as the file that holds one, or its validity."""

_SUSPICIOUS = re.compile(
    r"(?i)://|pass|pwd|secret|token|key|bearer|basic|cookie|credential|authoriz|[0-9]{11}"
)
_EMPTY = ("", "[]", "{}")
# A quote inside a value: behind one that ends the value comes a blank or punctuation.
_INNER_QUOTE = r"['\"](?=[^\s,;:)}\]>&'\"\\.])"
# Possessive, and no part runs over the next `://`: the time must be linear in the length.
_USERINFO = re.compile(
    r"(?i)(?<=://)"
    r"(?!(?:(?<=http://)|(?<=https://))[^\s/:@]*:[0-9]{1,5}(?:[/?#\s]|$))"  # host:port of a path
    r"(?!\[[0-9a-f:.]*\])"
    rf"((?:[^\s/:'\"]++|{_INNER_QUOTE})*+:)(?!//)"
    # Over quotes and some blanks to an @, unless it begins like host:port and a sentence, …
    r"(?:(?![0-9]{1,5}(?:[^\w\s@]|[ \t]+[^\s@]*\s))(?=\S)"
    r"(?:(?:[^\s:@]++|:(?!//))++[ \t]++){0,8}(?:[^\s:@]++|:(?!//))*+@)?+"
    # … and up to the last @ before a blank or the quote at the end of the URL.
    rf"(?:(?:[^\s'\":@]++|:(?!//)|{_INNER_QUOTE})*+@)*+(?<=@)"
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]*-----|\Z)",
    re.DOTALL,
)
_PAIR = re.compile(
    rf"(?i)\b(\w*(?:password|passwd|passphrase|pwd|secret|token|{_KEY})(?:_?[0-9]{{1,3}})?)"
    r"(\\?['\"]?\s*[=:]\s*)(?!(?:true|false|null|none|\[\])(?:[\s,;&'\")}\]]|$))"
    rf"('[^']*'|\\?\"[^\"]*\"|(?:[^\s,;&'\")}}\]]|{_INNER_QUOTE})+)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}")
_COOKIE = re.compile(r"(?i)\b((?:set-)?cookie)(['\"]?\s*[=:]\s*)[^\r\n'\"]+")
_AUTHORIZATION = re.compile(r"(?i)\b(authorization)(['\"]?\s*[=:]\s*)[^\r\n'\",;]+")
_ELEVEN_DIGITS = re.compile(r"(?<![0-9])[1-9][0-9]{10}(?![0-9])", re.ASCII)


def redact(text: str) -> str:
    """Return `text` with recognizable secrets masked.

    They are passwords in URLs, `password=value` pairs, private keys, HTTP credentials, cookies, and
    Turkish identity numbers, recognized by their check digits.
    """
    if _SUSPICIOUS.search(text) is None:
        return text
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _PRIVATE_KEY.sub(MASK, text)
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
