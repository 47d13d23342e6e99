"""Passwords: hashed with argon2id in a bounded number of threads, off the HTTP loop."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from aliaport.apps import Refusal

ResultT = TypeVar("ResultT")

MAX_LENGTH = 1024
"""In characters, so that no caller makes the service hash megabytes."""

MIN_LENGTH = 12
MIN_DIFFERENT = 5
"""In characters."""

CONTEXT_WORDS = ("aliaport",)
"""Words that everyone would try first; no password may contain them, nor the user's name."""

# OWASP's minimum for argon2id: 19 MB, 2 passes, 1 lane; about 25 ms.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
DUMMY_HASH = (
    f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    f"${'A' * 22}${'A' * 43}"
)
"""No password has it. Checked for unknown users: the response takes as long as for known ones."""


def find_fault(password: str, user: str) -> str:
    """Return what is wrong with a new password, or '' (NIST SP 800-63B: length first)."""
    if len(password) < MIN_LENGTH:
        return f"must have at least {MIN_LENGTH} characters"
    if len(password) > MAX_LENGTH:
        return f"must have at most {MAX_LENGTH} characters"
    if len(set(password)) < MIN_DIFFERENT:
        return f"must have at least {MIN_DIFFERENT} different characters"
    if user.casefold() in password.casefold():
        return "must not contain the user name"
    for word in CONTEXT_WORDS:
        if word in password.casefold():
            return f"must not contain the word {word}"
    return ""


def hashed(password: str) -> str:
    """Return the hash of a password; takes about 25 ms and 19 MB."""
    return _HASHER.hash(_normalized(password))


def matches(password_hash: str, password: str) -> bool:
    """Return whether the password has this hash; takes as long as `hashed`."""
    try:
        return _HASHER.verify(password_hash, _normalized(password))
    except (VerificationError, InvalidHashError):
        return False


def outdated(password_hash: str) -> bool:
    """Return whether the hash was created with parameters that are no longer current."""
    return _HASHER.check_needs_rehash(password_hash)


class Hashing:
    """Runs the functions above in threads. Use it on one loop only.

    Raises RuntimeError if the threads cannot be started.
    """

    def __init__(self, threads: int, max_waiting: int, refusal: Callable[[], Refusal]) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        # Start all of them now: later, the system's limit of threads may be reached.
        started = Barrier(threads)
        try:
            for _ in range(threads):
                self._threads.submit(started.wait)
        except RuntimeError:
            started.abort()
            raise
        self._max_running = threads + max_waiting
        self._refusal = refusal
        self._running = 0

    async def matches(self, password_hash: str, password: str) -> bool:
        """Run `matches`. Raises Refusal (503) if too many calls are already waiting."""
        return await self._run(matches, password_hash, password)

    async def hashed(self, password: str) -> str:
        """Run `hashed`. Raises Refusal (503) if too many calls are already waiting."""
        return await self._run(hashed, password)

    def close(self) -> None:
        """Stop the threads; calls that have not started are cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., ResultT], *arguments: str) -> ResultT:
        if self._running >= self._max_running:
            raise self._refusal()
        self._running += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *arguments)
        finally:
            self._running -= 1


def _normalized(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
