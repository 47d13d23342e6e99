"""Memory that was freed goes back to the system, in a process of its own (glibc)."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.service

MIB = 2**20
SCRIPT = """
import json
import psutil
from aliaport.process.memory import give_back, limit_gaps

def resident():
    return psutil.Process().memory_info().rss

limit_gaps()
before = resident()
large = [bytes(200_000) for _ in range(500)]
del large
after_large = resident()
blocks, kept = [], []
for _ in range(2_000):
    blocks.append(bytes(50_000))
    kept.append(bytes(600))  # from the same heap, so that the free blocks are gaps in it
used = resident()
blocks.clear()
freed = resident()
give_back()
given_back = resident()
print(json.dumps([number - before for number in (after_large, used, freed, given_back)]))
"""


def test_freed_memory_is_given_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    after_large, used, freed, given_back = json.loads(run.stdout)
    assert after_large < 5 * MIB, "large blocks are kept"
    assert used > 80 * MIB
    assert freed > 50 * MIB, "the C library returns gaps by itself: this module is not needed"
    assert given_back < 20 * MIB
