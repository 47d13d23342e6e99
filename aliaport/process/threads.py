"""Threads that exist from the start, so that later nothing depends on starting one."""

import asyncio
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

LIBUV_THREADS = 4
"""The size of libuv's pool, unless UV_THREADPOOL_SIZE says otherwise."""

SETTLE_TIMEOUT = 1.0
"""Maximum seconds to wait until the kernel has removed the threads that were only a trial."""


def worker(name: str) -> ThreadPoolExecutor:
    """Return an executor of one running thread. Raises RuntimeError if it cannot be started."""
    executor = ThreadPoolExecutor(1, thread_name_prefix=name)
    executor.submit(int)
    return executor


async def start_libuv_threads() -> None:
    """Start the threads in which libuv, and so the HTTP loop, resolves names.

    libuv aborts the process if it cannot start them. Raises RuntimeError if that would happen.
    """
    _try_to_start(LIBUV_THREADS)
    # Without a name, nothing is sent.
    await asyncio.get_running_loop().getaddrinfo(None, 0, flags=socket.AI_PASSIVE)


def _try_to_start(number: int) -> None:
    before, done = _count(), threading.Event()
    try:
        for _ in range(number):
            threading.Thread(target=done.wait, daemon=True).start()
    finally:
        done.set()
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while _count() > before and time.monotonic() < deadline:
        time.sleep(0.001)  # the kernel counts a thread a moment longer than Python


def _count() -> int:
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208
