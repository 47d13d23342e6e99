"""Runs the cpu plugin in a real cgroup with a quota and prints JSON; as root, separate process.

python -m plugins.cpu.tests.support.scenarios
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


if __name__ == "__main__":
    try:
        print(json.dumps(busy_under_quota()))
    except OSError as error:
        print(json.dumps({"impossible": str(error)}))
