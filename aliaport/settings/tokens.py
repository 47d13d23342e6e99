"""The rule for bearer tokens, the same for variables and for files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aliaport.regular_files import read_regular
from aliaport.settings.secret_files import shown_path

MIN_TOKEN_LENGTH = 16
"""Characters: a shorter one could be guessed."""

MAX_FILE_BYTES = 64_000
"""Bytes: far more than all tokens in use need."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """The valid tokens of a file, and one problem for each other line, without the line's text."""

    tokens: tuple[str, ...]
    problems: tuple[str, ...]


def check_token(token: str) -> None:
    """Raise ValueError, which does not show the token, if it is too short or cannot be sent."""
    if len(token) < MIN_TOKEN_LENGTH:
        raise ValueError(f"a token must have at least {MIN_TOKEN_LENGTH} characters")
    if not token.isprintable():
        raise ValueError("a token must not have invisible characters; type it again")


def token_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number of each line and its text, without blank lines and comments (#).

    A byte order mark, which some editors write at the start of a file, is not part of a line.
    """
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.removeprefix("\ufeff").strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def read_token_file(file: Path) -> TokenFile:
    """Read a file with one token per line. Raises ValueError if it cannot be read."""
    name = shown_path(file)
    try:
        text = read_regular(file, MAX_FILE_BYTES).decode()
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name}: is not UTF-8 text") from None
    tokens, problems = [], []
    for number, token in token_lines(text):
        try:
            check_token(token)
        except ValueError as error:
            problems.append(f"{name}: line {number}: {error}")
        else:
            tokens.append(token)
    if not tokens and not problems:
        problems.append(f"{name}: contains no token; write one per line")
    return TokenFile(tuple(tokens), tuple(problems))
