"""The real node exporter on a simulated machine: the load of the real one is not under control."""

import os
import shutil
import threading
import time
from pathlib import Path

from tests.alerts.stack.program import Program
from tests.support.service import free_port

_TICKS = os.sysconf("SC_CLK_TCK")
_CPUS = 2
_MEMORY = """\
MemTotal:        8000000 kB
MemFree:         5000000 kB
MemAvailable:    6000000 kB
Buffers:          100000 kB
Cached:           900000 kB
SwapTotal:             0 kB
SwapFree:              0 kB
"""
_CLOCK = """\
# TYPE node_timex_sync_status gauge
node_timex_sync_status 1
# TYPE node_timex_offset_seconds gauge
node_timex_offset_seconds 0
# TYPE node_timex_maxerror_seconds gauge
node_timex_maxerror_seconds 0.01
# TYPE node_timex_estimated_error_seconds gauge
node_timex_estimated_error_seconds 0.01
"""
"""The exporter reads the clock by a system call, which no folder can replace."""


class Machine:
    """An idle machine with two CPUs, 8 GB of memory and a tmpfs as its disk."""

    def __init__(self, folder: Path, disk: str = "64m") -> None:
        self._proc = folder / "proc"
        self._root = folder / "root"
        texts = folder / "texts"
        for path in (self._proc / "1", self._proc / "self", self._root, texts):
            path.mkdir(parents=True)
        for place in ("1", "self"):
            (self._proc / place / "mounts").write_text("/dev/vda / ext4 rw,relatime 0 0\n")
            shutil.copy("/proc/self/mountinfo", self._proc / place / "mountinfo")
        (self._proc / "meminfo").write_text(_MEMORY)
        (self._proc / "vmstat").write_text("oom_kill 0\npgfault 1000\n")
        (self._proc / "loadavg").write_text("0.10 0.20 0.30 1/100 1000\n")
        (self._proc / "diskstats").write_text(f" 254 0 vda {' '.join(['1'] * 17)}\n")
        (texts / "clock.prom").write_text(_CLOCK)
        self._began = time.monotonic()
        self._write_stat()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._idle, name="idle machine")
        self.port = free_port()
        collectors = (
            *("cpu", "diskstats", "filesystem", "loadavg", "meminfo", "stat", "textfile"),
            *("uname", "vmstat"),
        )
        address = f"127.0.0.1:{self.port}"
        command = [
            "prometheus-node-exporter",
            f"--web.listen-address={address}",
            f"--path.procfs={self._proc}",
            f"--path.rootfs={self._root}",
            f"--collector.textfile.directory={texts}",
            "--collector.disable-defaults",
            *(f"--collector.{name}" for name in collectors),
        ]
        mount = f'mount -t tmpfs -o size={disk} tmpfs {self._root} && exec "$@"'
        self.program = Program(
            "node-exporter",
            ["unshare", "-m", "sh", "-c", mount, "sh", *command],
            folder,
            f"http://{address}/",
        )

    def start(self) -> None:
        self._thread.start()
        self.program.start()

    def disk(self) -> Path:
        """Return the folder that reaches the machine's disk from outside."""
        return Path(f"/proc/{self.program.pid}/root{self._root}")

    def end(self) -> None:
        self.program.end()
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _idle(self) -> None:
        while not self._ended.wait(0.2):
            self._write_stat()

    def _write_stat(self) -> None:
        """Write the state of CPUs that have been idle since the start."""
        idle = 1000 + round((time.monotonic() - self._began) * _TICKS)
        lines = [f"cpu  {100 * _CPUS} 0 {100 * _CPUS} {idle * _CPUS} 0 0 0 0 0 0"]
        lines += [f"cpu{number} 100 0 100 {idle} 0 0 0 0 0 0" for number in range(_CPUS)]
        lines += ["intr 1000 0", "ctxt 1000", f"btime {round(time.time()) - 3600}"]
        lines += [
            "processes 100",
            "procs_running 1",
            "procs_blocked 0",
            "softirq 10 0 0 0 0 0 0 0 0 0 0",
        ]
        new = self._proc / "stat.new"
        new.write_text("\n".join(lines) + "\n")
        new.replace(self._proc / "stat")
