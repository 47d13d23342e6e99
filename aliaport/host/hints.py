"""Turns exceptions of a plugin's code into rejections, each with a hint about the thing itself."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from aliaport.contract import declarations
from aliaport.errors import DeclarationError
from aliaport.host.discovery import Candidate, RejectedError
from aliaport.isolation.failures import describe
from aliaport.isolation.positions import at_position
from aliaport.plugin import Plugin

_CALL = r"([A-Z]\w+(?:\.[a-z]\w*)?)(?:\.__init__)?\(\)"
"""The call of a class, or of one of its constructors such as `Metric.gauge`."""

_MISSING = re.compile(
    rf"{_CALL} missing \d+ required (?:keyword-only |positional )?arguments?: (.+)"
)
_UNEXPECTED = re.compile(rf"{_CALL} got an unexpected keyword argument '(\w+)'")
_NO_CONFIG = re.compile(r"object has no attribute '(config|context)'")
ENTRY_FORM = "'package.module:ClassName'"


@contextmanager
def rejecting(
    stage: str, package: str, hint: Callable[[BaseException], str], about: str = ""
) -> Iterator[None]:
    """Turn an exception of the block into RejectedError, with the author's line.

    `package` is the plugin's, and `about` begins the reason. What the contract does not allow has
    the stage `declare`, wherever it is declared.
    """
    about = f"{about}: " if about else ""
    try:
        yield
    except RejectedError:
        raise
    except BaseException as error:  # a bulkhead: the block runs the plugin's code
        failure = describe(error, package)
        if isinstance(error, DeclarationError):
            reason = f"{about}{error.problem}{at_position(failure.where)}"
            raise RejectedError("declare", reason, error.hint or hint(error)) from None
        raise RejectedError(stage, f"{about}{failure}", hint(error)) from None


def import_hint(candidate: Candidate) -> Callable[[BaseException], str]:
    """Return the function that says what to do about an exception of the import."""
    value, distribution = candidate.entry.value, candidate.distribution

    def hint(error: BaseException) -> str:
        missing = str(getattr(error, "name", "") or "")
        own = missing.partition(".")[0] in ("", candidate.package)
        if isinstance(error, ModuleNotFoundError) and not own:
            return f"install {missing}, which {distribution} should depend on"
        if isinstance(error, ImportError) and ":" not in value and "." in value:
            module, _, name = value.rpartition(".")
            return f"its authors must write the entry point with a colon: '{module}:{name}'"
        if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
            return f"its authors must correct the entry point; {plugins_of(error.obj)}"
        if isinstance(error, AttributeError) and isinstance(error.obj, type):
            # A line of the module has its own position in the reason.
            return f"its authors must correct that line, or the entry point: {ENTRY_FORM}"
        if isinstance(error, SystemExit):
            return "importing must not end the process; remove the call of exit()"
        if isinstance(error, DeclarationError):
            return "correct that line"
        if isinstance(error, OSError):
            return "importing must not do I/O; move it to start()"
        if isinstance(error, ImportError):
            return f"reinstall or upgrade {distribution}, or report it to its authors"
        return f"upgrade {distribution}, or report that line to its authors"

    return hint


def construct_hint(cls: type[Plugin]) -> Callable[[BaseException], str]:  # type: ignore[type-arg]
    """Return the function that says what to do about an exception of the constructor."""

    def hint(error: BaseException) -> str:
        if isinstance(error, TypeError) and not _takes_two(cls):
            return (
                "the host passes the options and the context: define "
                "__init__(self, config, context), or leave it out"
            )
        if isinstance(error, OSError):
            return "constructors must not do I/O; move it to start()"
        return _argument_hint(error) or "correct that line of the constructor"

    return hint


def declare_hint(source: str, kind: type) -> Callable[[BaseException], str]:
    """Return the function that says what to do about an exception of `source`, such as `probes()`.

    `kind` is the class of which `source` returns a list.
    """

    def hint(error: BaseException) -> str:
        if isinstance(error, OSError):
            return f"{source} must not do I/O; move it to start()"
        return _argument_hint(error) or f"correct {source}; it returns a list of {kind.__name__}"

    return hint


def plugins_of(module: ModuleType) -> str:
    """Return text that names the classes of plugins that a module defines."""
    found = [
        f"'{module.__name__}:{name}'"
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Plugin) and value is not Plugin
    ]
    if not found:
        return f"{module.__name__} has no plugin; the form is {ENTRY_FORM}"
    return f"{module.__name__} has: {', '.join(found[:5])}"


def _argument_hint(error: BaseException) -> str:
    text = str(error) if isinstance(error, TypeError | AttributeError) else ""
    if found := _MISSING.search(text):
        names = re.findall(r"'(\w+)'", found[2])
        return f"pass {', '.join(f'{name}=…' for name in names)} to {found[1]}"
    if found := _UNEXPECTED.search(text):
        known = _parameters(found[1])
        return f"{found[1]} accepts: {', '.join(known)}" if known else f"remove {found[2]}="
    if _NO_CONFIG.search(text):
        return "call super().__init__(config, context) first in the constructor"
    return ""


def _parameters(call: str) -> list[str]:
    """Return the parameters of a declaration's class or constructor; none if it is another's."""
    name, _, method = call.partition(".")
    declared = getattr(declarations, name, None)
    if method:
        declared = getattr(declared, method, None)
    return list(inspect.signature(declared).parameters) if declared else []


def _takes_two(cls: type) -> bool:
    try:
        inspect.signature(cls).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True
