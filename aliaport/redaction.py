"""Takes passwords and tokens out of text that somebody else wrote, such as exception messages."""

import re

_USERINFO = re.compile(r"(?<=://)([^\s/:@'\"]*):[^\s/'\"]*@")
_PAIR = re.compile(
    r"(?i)\b(password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key)(['\"]?\s*[=:]\s*)"
    r"('[^']*'|\"[^\"]*\"|[^\s,;&'\")}\]]+)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic) +[a-z0-9._~+/=-]{6,}")


def redact(text: str) -> str:
    """Return `text` with the secrets of URLs, `key=value` pairs and HTTP credentials as `***`."""
    text = _USERINFO.sub(r"\1:***@", text)
    text = _PAIR.sub(r"\1\2***", text)
    return _BEARER.sub(r"\1 ***", text)
