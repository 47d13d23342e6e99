"""Passwords: hashed by argon2id off the HTTP loop, so many at once and no more."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from aliaport.apps import Refusal

ResultT = TypeVar("ResultT")

LONGEST = 1024
SHORTEST = 12
"""Characters: nobody shall let us hash megabytes."""

FEWEST_DIFFERENT = 5

# OWASP's least parameters for argon2id: 19 MB, 2 passes, 1 lane; some 25 ms.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
UNKNOWN = _HASHER.hash("nobody's password")
"""Checked where there is no such user, so that the answer takes as long."""


def objection(password: str, user: str) -> str:
    """What is wrong with a new password; '' where nothing is (NIST SP 800-63B: length first)."""
    if len(password) < SHORTEST:
        return f"must have at least {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"must have at most {LONGEST} characters"
    if len(set(password)) < FEWEST_DIFFERENT:
        return f"must have at least {FEWEST_DIFFERENT} different characters"
    if user.casefold() in password.casefold():
        return "must not contain the user's name"
    return ""


def hashed(password: str) -> str:
    """The hash of a password; takes a moment and 19 MB."""
    return _HASHER.hash(_one_spelling(password))


def matches(password_hash: str, password: str) -> bool:
    """Whether it is the password of this hash; takes as long as `hashed`."""
    try:
        return _HASHER.verify(password_hash, _one_spelling(password))
    except (VerificationError, InvalidHashError):
        return False


def outdated(password_hash: str) -> bool:
    """Whether it was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(password_hash)


class Hashing:
    """Runs the functions above in threads. Use it on one loop only."""

    def __init__(self, threads: int, most: int, refusal: Callable[[], Refusal]) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._most = threads + most
        self._refusal = refusal
        self._running = 0

    async def matches(self, password_hash: str, password: str) -> bool:
        """As `matches`. Raises Refusal (503) where too many wait already."""
        return await self._run(matches, password_hash, password)

    async def hashed(self, password: str) -> str:
        """As `hashed`. Raises Refusal (503) where too many wait already."""
        return await self._run(hashed, password)

    def close(self) -> None:
        """Begin nothing any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., ResultT], *arguments: str) -> ResultT:
        if self._running >= self._most:
            raise self._refusal()
        self._running += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *arguments)
        finally:
            self._running -= 1


def _one_spelling(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
