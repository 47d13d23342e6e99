"""The process's own metrics, compared with what it does."""

import gc
import mmap
import os
import resource
import threading
import time

import psutil
import pytest

from aliaport.host.process_metrics import PROCESS_FAMILIES
from aliaport.process.usage import Usage, read_usage
from tests.support.waiting import wait_until

MIB = 2**20


def memory(usage: Usage) -> int:
    assert usage.resident_bytes is not None
    return usage.resident_bytes


def test_an_allocation_shows_until_it_is_freed() -> None:
    gc.collect()
    before = memory(read_usage())
    with mmap.mmap(-1, 100 * MIB) as block:
        block.write(b"x" * len(block))
        during = memory(read_usage())
    assert during - before > 90 * MIB
    assert memory(read_usage()) < during - 90 * MIB


def test_values_are_those_of_the_operating_system() -> None:
    process, usage = psutil.Process(), read_usage()
    assert memory(usage) == pytest.approx(process.memory_info().rss, rel=0.1)
    assert usage.started == pytest.approx(process.create_time(), abs=2)
    assert usage.max_descriptors == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_the_start_time_does_not_change() -> None:
    assert read_usage().started == read_usage().started


def test_descriptors_are_counted() -> None:
    def ten_more() -> bool:
        before = read_usage().open_descriptors
        assert before is not None
        descriptors = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
        during = read_usage().open_descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        return during == before + 10

    wait_until(ten_more, "no other thread opens or closes a descriptor meanwhile")


def test_threads_are_counted() -> None:
    end = threading.Event()
    threads = [threading.Thread(target=end.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(
            lambda: read_usage().threads == psutil.Process().num_threads() >= 4,
            "no other thread starts or ends meanwhile",
        )
    finally:
        end.set()
        for thread in threads:
            thread.join()


def test_cpu_time_is_that_of_all_threads() -> None:
    before = read_usage().cpu_seconds

    def work() -> None:
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert read_usage().cpu_seconds - before >= 0.1


def test_the_names_are_the_standard_ones() -> None:
    assert {family.name for family in PROCESS_FAMILIES} == {
        *("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"),
        *("process_max_fds", "process_start_time_seconds", "process_threads"),
    }
