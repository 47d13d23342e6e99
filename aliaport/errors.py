"""The errors that Aliaport raises on purpose; each says what is wrong, where, and what to do."""

from collections.abc import Sequence


class AliaportError(Exception):
    """Base of every error that Aliaport raises on purpose.

    `exit_code` is the exit code of the command line: 2 if the operator must change something before
    a retry can succeed, otherwise 1.
    """

    exit_code = 1


class ConfigError(AliaportError):
    """The configuration cannot be used. `problems` lists everything that is wrong with it."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        heading = "1 configuration problem:" if count == 1 else f"{count} configuration problems:"
        super().__init__("\n  - ".join([heading, *self.problems]))


class MissingOptionsError(ConfigError):
    """Options that have no default are not set; everything that is set is right."""


class InvalidDefaultsError(ConfigError):
    """Defaults in a plugin's options break the rules of the options; its author must correct them.

    `problems` names the class and option of each.
    """

    exit_code = 1


class StartupError(AliaportError):
    """The service cannot start: a port is taken, a folder unwritable, a database missing."""

    exit_code = 2


class OccupiedError(StartupError):
    """Another process has what the service needs: a port, or the folder of the log files.

    `hidden` is True if that process is in another container.
    """

    def __init__(self, message: str, *, hidden: bool = False) -> None:
        self.hidden = hidden
        super().__init__(message)


class DeclarationError(AliaportError):
    """A plugin declared something that the contract does not allow, such as a bad metric name.

    `problem` says what is wrong and `hint`, if any, how to correct it.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(f"{problem}; {hint}" if hint else problem)


class AuditError(AliaportError):
    """An action could not be recorded in the audit log, so it must not be done."""
