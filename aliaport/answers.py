"""What a probe may answer, brought into plain bounded values in the thread of its plugin."""

import math
from collections.abc import Mapping
from itertools import islice

from aliaport.declarations import CODE, HOST_CODES, Check, Scalar, Status
from aliaport.failures import plain_text
from aliaport.redaction import redact

SUMMARY_LIMIT = 300
DATA_LIMIT = 32


class InvalidAnswer(Exception):
    """A probe answered something that the contract does not know."""


def freeze_check(answer: object) -> Check:
    """Return a Check of plain values only; raise InvalidAnswer where `answer` is none.

    Subclasses of str and int are copied by the base type's own methods, so none of their code runs
    outside of the plugin.
    """
    if not isinstance(answer, Check):
        kind = type(answer).__name__
        raise InvalidAnswer(f"the probe returned {kind}; return Check.healthy(…) or another Check")
    try:
        status = Status(answer.status)
    except ValueError:
        raise InvalidAnswer("Check.status is none of healthy, degraded and unhealthy") from None
    summary: object = answer.summary
    data: object = answer.data
    if not isinstance(summary, str) or not isinstance(data, Mapping):
        raise InvalidAnswer("Check.summary must be text and Check.data a mapping")
    code: object = answer.code or ("ok" if status is Status.HEALTHY else "failed")
    if not isinstance(code, str) or CODE.fullmatch(code) is None or code in HOST_CODES:
        raise InvalidAnswer(
            f"Check.code must match {CODE.pattern} and be none of the host's own codes "
            f"({', '.join(sorted(HOST_CODES))})"
        )
    plain: dict[str, Scalar] = {}
    for key, value in islice(data.items(), DATA_LIMIT):
        if not isinstance(key, str):
            raise InvalidAnswer("the keys of Check.data must be text")
        plain[_text(key)] = _scalar(key, value)
    return Check(status, redact(_text(summary)), plain, _text(code))


def _text(text: str) -> str:
    return plain_text(str.__getitem__(text, slice(SUMMARY_LIMIT)))


def _scalar(key: str, value: object) -> Scalar:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return redact(_text(value))
    if isinstance(value, float):
        number = float.__add__(value, 0.0)
        return number if math.isfinite(number) else None
    if isinstance(value, int):
        whole = int.__add__(value, 0)
        return whole if -(2**53) <= whole <= 2**53 else float(min(max(whole, -(10**300)), 10**300))
    raise InvalidAnswer(
        f"Check.data[{_text(key)!r}] is {type(value).__name__}; use text, numbers, booleans or None"
    )
