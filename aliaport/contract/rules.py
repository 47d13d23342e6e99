"""Checks that the declarations share; each raises DeclarationError with the correction."""

import inspect
import math
import re
from collections.abc import Iterable
from typing import Any

from aliaport.errors import DeclarationError


def require(condition: bool, problem: str, hint: str) -> None:
    """Raise DeclarationError unless `condition` holds."""
    if not condition:
        raise DeclarationError(problem, hint)


def matches(pattern: re.Pattern[str], name: object) -> bool:
    """Return True if `name` is text that matches the whole pattern."""
    return isinstance(name, str) and pattern.fullmatch(name) is not None


def suggested(name: object) -> str:
    """Return a hint with a name that is allowed."""
    allowed = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")[:35]
    allowed = allowed if allowed[:1].isalpha() else f"check_{allowed}".rstrip("_")
    return f"rename it, for example to {allowed!r}"


def plain(name: str) -> str:
    """Return the text of `name` as a plain str; it may be a member of an enumeration."""
    return str.__str__(name)


def number(value: object, what: str) -> float:
    """Return a number as a plain float. `what` names it in the error."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "write the number without quotes" if isinstance(value, str) else "pass a number"
        raise DeclarationError(f"{what} must be a number, not {_shown(value)}", hint)
    converted = float(value)
    require(not math.isnan(converted), f"{what} must be a number, not nan", "pass a number")
    return converted


def text(value: object, what: str, limit: int) -> str:
    """Return text of at most `limit` characters as a plain str. `what` names it in the error."""
    if not isinstance(value, str):
        raise DeclarationError(f"{what} must be text, not {_shown(value)}", "pass a str")
    content = plain(value)
    require(len(content) <= limit, f"{what} must have at most {limit} characters", "shorten it")
    try:
        content.encode()
    except UnicodeEncodeError:
        hint = "remove the lone surrogates, for example with text.encode('utf-8', 'replace')"
        raise DeclarationError(f"{what} is not valid Unicode", hint) from None
    return content


def names(value: object, what: str) -> tuple[Any, ...]:
    """Return the items of a list or tuple; a text would be taken for a list of its letters."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        hint = f"write ({value!r},)" if isinstance(value, str) else "pass a list or a tuple"
        raise DeclarationError(f"{what} must be a list, not {_shown(value)}", hint)
    return tuple(value)


def require_function(run: object, where: str, *, generator: bool = False) -> None:
    """Require a function without parameters; `generator` says whether it may be a generator."""
    if not callable(run):
        raise _not_callable(run, where)
    if inspect.isasyncgenfunction(run) or (not generator and inspect.isgeneratorfunction(run)):
        raise DeclarationError(
            f"{where}: run contains `yield`, so a call of it only makes a generator",
            "return a list, or define it with `def`" if generator else "return the value instead",
        )
    try:
        inspect.signature(run).bind()
    except TypeError as error:
        hint = "pass a bound method such as run=self.check, or use functools.partial"
        raise DeclarationError(f"{where}: run must not need arguments: {error}", hint) from None
    except ValueError:  # a function of C without a signature
        return


def _not_callable(run: object, where: str) -> DeclarationError:
    problem, hint = f"{where}: run must be a function or an async function", "pass a method"
    if inspect.iscoroutine(run):
        owner, _, name = run.__qualname__.rpartition(".")
        method = owner and not owner.endswith("<locals>")
        hint = f"pass the function itself, without parentheses: run={'self.' * bool(method)}{name}"
        run.close()  # or Python would warn that it was never awaited
    elif not isinstance(run, str | int | float):
        hint = "pass the function itself, without parentheses, such as run=self.check"
    return DeclarationError(f"{problem}, not {type(run).__name__}", hint)


def _shown(value: object) -> str:
    return f"{value!r:.60} ({type(value).__name__})"
