"""Runs the cpu plugin in a real cgroup with a quota, or on changing CPUs, and prints JSON.

python -m plugins.cpu.tests.support.scenarios quota|affinity, in a separate process; quota as root
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aliaport_cpu.plugin import CpuPlugin

from aliaport.cgroup import own_cgroup, read_text
from aliaport.testing import RunningPlugin, run_plugin
from tests.support.waiting import wait_until

QUOTA_CORES = 0.4


@contextmanager
def quota() -> Iterator[None]:
    """Move this process into a new cgroup with a quota; raise OSError if that is impossible."""
    cpu, accounting = own_cgroup("cpu"), own_cgroup("cpuacct")
    if cpu is None:
        raise OSError("no cgroup hierarchy with a cpu controller is mounted")
    if cpu.version == 2 and "cpu" not in read_text(cpu.mount / "cgroup.subtree_control").split():
        raise OSError("the root cgroup does not delegate the cpu controller")
    hierarchies = [cpu]
    if cpu.version == 1 and accounting is not None and accounting.mount != cpu.mount:
        hierarchies.append(accounting)
    groups = [hierarchy.mount / f"aliaport-test-{os.getpid()}" for hierarchy in hierarchies]
    try:
        for group in groups:
            group.mkdir()
        if cpu.version == 1:
            (groups[0] / "cpu.cfs_quota_us").write_text(str(int(QUOTA_CORES * 100_000)))
        else:
            (groups[0] / "cpu.max").write_text(f"{int(QUOTA_CORES * 100_000)} 100000")
        # Only the quota throttles this group, even on a busy machine.
        weight = ("cpu.shares", "262144") if cpu.version == 1 else ("cpu.weight", "10000")
        (groups[0] / weight[0]).write_text(weight[1])
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        for hierarchy, group in zip(hierarchies, groups, strict=True):
            if group.exists():
                (hierarchy.levels[0] / "cgroup.procs").write_text(str(os.getpid()))
                group.rmdir()


def busy_under_quota() -> dict[str, Any]:
    """Use up the quota with a busy child until the plugin reports it."""
    with run_plugin(CpuPlugin, {"average_seconds": 2}) as plugin, quota():
        spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            # The oldest snapshot may predate the quota.
            story = wait_until(lambda: _throttled(plugin), "the plugin reports throttling", 90)
            story["samples"] = {sample.metric: sample.value for sample in plugin.collect()}
        finally:
            spinner.kill()
            spinner.wait()
    return story


def _throttled(plugin: RunningPlugin) -> dict[str, Any]:
    result = plugin.probe("cpu")
    throttled = result.data.get("throttled_percent")
    if result.code != "cpu_critical" or not throttled:
        return {}
    return {"status": str(result.status), "code": result.code, "data": dict(result.data)}


def changed_affinity() -> dict[str, Any]:
    """Move this process from an idle CPU, or a less busy one, to one that is always busy."""
    first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    pinned = f"import os; os.sched_setaffinity(0, {{{last}}}); print(flush=True)\nwhile True: pass"
    command = ["nice", "-n", "10", sys.executable, "-c", pinned]
    spinner = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert spinner.stdout is not None
        spinner.stdout.readline()  # busy from here, before the plugin's first snapshot
        _run_on(first)
        with run_plugin(CpuPlugin, {"average_seconds": 2}) as plugin:
            before = wait_until(lambda: _averaged(plugin), "the averaging time has passed")
            _run_on(last)
            after = dict(plugin.probe("cpu").data)
    finally:
        spinner.kill()
        spinner.wait()
    return {"limit_cores": [before["limit_cores"], after["limit_cores"]], "after": after}


def _run_on(cpu: int) -> None:
    for thread in os.listdir("/proc/self/task"):  # each has its own affinity
        os.sched_setaffinity(int(thread), {cpu})


def _averaged(plugin: RunningPlugin) -> dict[str, Any]:
    result = plugin.probe("cpu")
    return {} if result.code == "measuring" else dict(result.data)


STORIES = {"quota": busy_under_quota, "affinity": changed_affinity}

if __name__ == "__main__":
    try:
        print(json.dumps(STORIES[sys.argv[1]]()))
    except OSError as error:
        print(json.dumps({"impossible": str(error)}))
