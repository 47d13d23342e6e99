"""Runs the memory plugin in real nested cgroups and prints JSON; as root, separate process.

python -m plugins.memory.tests.support.scenarios FOLDER, where FOLDER is on a real disk
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aliaport_memory.plugin import MemoryPlugin

from aliaport.cgroup import own_cgroup, read_number, read_text
from aliaport.testing import run_plugin

LIMIT = 192 * 2**20
BLOCK = 48 * 2**20
GLUTTON = """
from pathlib import Path
Path("/proc/self/oom_score_adj").write_text("1000")
eaten = [b"x" * 2**20 for _ in range(1024)]
"""


@contextmanager
def limited() -> Iterator[Path]:
    """Move this process into an unlimited cgroup below a limited one; OSError if impossible.

    Yield the file in which the kernel counts all memory charged to the limited one.
    """
    memory = own_cgroup("memory")
    if memory is None:
        raise OSError("no cgroup hierarchy with a memory controller is mounted")
    delegated = read_text(memory.mount / "cgroup.subtree_control").split()
    if memory.version == 2 and "memory" not in delegated:
        raise OSError("the root cgroup does not delegate the memory controller")
    outer = memory.mount / f"aliaport-test-{os.getpid()}"
    inner = outer / "inner"
    try:
        outer.mkdir()
        if memory.version == 2:
            (outer / "cgroup.subtree_control").write_text("+memory")
            limits = {"memory.max": LIMIT, "memory.swap.max": 0}
        else:
            limits = {"memory.limit_in_bytes": LIMIT, "memory.memsw.limit_in_bytes": LIMIT}
        inner.mkdir()
        for name, value in limits.items():
            if (outer / name).exists():  # the swap limits depend on the kernel's options
                (outer / name).write_text(str(value))
        (inner / "cgroup.procs").write_text(str(os.getpid()))
        yield outer / ("memory.current" if memory.version == 2 else "memory.usage_in_bytes")
    finally:
        if inner.exists():
            (memory.levels[0] / "cgroup.procs").write_text(str(os.getpid()))
            inner.rmdir()
        if outer.exists():
            outer.rmdir()


def short_of_memory(folder: Path) -> dict[str, Any]:
    """Allocate memory, read a file once, and drive a child into the OOM killer."""
    file = folder / "file"
    file.write_bytes(os.urandom(2**20) * (BLOCK // 2**20))
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    story: dict[str, Any] = {"limit": LIMIT, "block": BLOCK}
    with limited() as charged, run_plugin(MemoryPlugin, {"oom_kill_seconds": 60}) as plugin:

        def record(step: str) -> None:
            result = plugin.probe("memory")
            story[step] = {
                "status": str(result.status),
                "code": result.code,
                "data": dict(result.data),
                "charged": read_number(charged),
                "samples": {sample.metric: sample.value for sample in plugin.collect()},
            }

        record("start")
        block = b"x" * BLOCK
        record("allocated")
        del block
        record("freed")
        for step in ("file_read", "file_read_again"):
            with file.open("rb", buffering=0) as unbuffered:
                while unbuffered.read(2**20):
                    pass
            record(step)
        glutton = subprocess.run([sys.executable, "-c", GLUTTON], timeout=60)
        story["returncode"] = glutton.returncode
        record("killed")
    return story


if __name__ == "__main__":
    try:
        print(json.dumps(short_of_memory(Path(sys.argv[1]))))
    except OSError as error:
        print(json.dumps({"impossible": str(error)}))
