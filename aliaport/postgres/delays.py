"""Describes a statement that took too long: its name, and who held the lock it waited for."""

import re
from dataclasses import dataclass

MAX_NAMED = 3
"""Holders, and tables of a statement, that a text names."""

_LITERAL = re.compile(r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/", re.DOTALL)
_NAME = r"([A-Za-z_][\w.]*+)"
_TABLE = re.compile(
    rf"(?i:\b(?:FROM|JOIN)\s+){_NAME}(?!\s*\()|(?i:\b(?:INTO|UPDATE|TABLE)\s+){_NAME}"
)
_KEYWORDS = {"SELECT", "SKIP", "NOWAIT", "OF", "SET", "ONLY", "LATERAL", "IF", "VALUES"}
_ATTRIBUTE = "aliaport_delay"


@dataclass(frozen=True, slots=True)
class Holder:
    """A session in the way of a statement. `state` and `seconds` are None if the role sees neither.

    `pid` is 0 for a prepared transaction. `seconds` is the age of its transaction. If `waits`, it
    has no lock yet, but is ahead in the queue.
    """

    pid: int
    application_name: str
    state: str | None
    seconds: float | None
    waits: bool

    @property
    def text(self) -> str:
        """The holder for operators, such as `process 812 ("psql", idle in transaction, 75 s)`."""
        if self.pid == 0:
            return "a prepared transaction (see pg_prepared_xacts)"
        details = [f'"{self.application_name}"' if self.application_name else "unnamed"]
        details += [self.state] if self.state else []
        details += [f"transaction open for {self.seconds:.0f} s"] if self.seconds else []
        details += ["itself waiting"] if self.waits else []
        return f"process {self.pid} ({', '.join(details)})"


@dataclass(frozen=True, slots=True)
class Delay:
    """A statement after `seconds`. `holders` are in its way, those that wait for nobody first.

    `table` is what they have locked, or '' if it is a row of it, or another kind of lock.
    `examined` is True if the server has shown what the statement waits for.
    """

    statement: str
    seconds: float
    holders: tuple[Holder, ...] = ()
    table: str = ""
    examined: bool = False

    @property
    def wait(self) -> str:
        """The cause of the wait: `lock`, `none` (it was slow itself), or `unknown`."""
        if self.holders:
            return "lock"
        return "none" if self.examined else "unknown"


def statement_name(query: str) -> str:
    """Return verb and tables of a statement, such as `SELECT aliaport_operations_accounts`."""
    bare = _LITERAL.sub(" ", query)
    first = re.match(r"\s*(\w*)", bare)
    verb = first.group(1).upper() if first else ""
    names = (read or written for read, written in _TABLE.findall(bare))
    tables = dict.fromkeys(name for name in names if name.upper() not in _KEYWORDS)
    return " ".join([verb or "?", *list(tables)[:MAX_NAMED]])[:150]


def keep_delay(error: BaseException, delay: Delay | None) -> None:
    """Store the delay with the error that ended the statement."""
    if delay is not None:
        setattr(error, _ATTRIBUTE, delay)


def delay_of(error: BaseException) -> Delay | None:
    """Return the delay stored with the error, if any."""
    delay: Delay | None = getattr(error, _ATTRIBUTE, None)
    return delay
