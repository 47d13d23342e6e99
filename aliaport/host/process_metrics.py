"""The standard metrics of the process, as client libraries of Prometheus name them."""

from aliaport.contract.declarations import Metric
from aliaport.metrics.exposition import Families
from aliaport.process.usage import read_usage

PROCESS_MEMORY = Metric.gauge("process_resident_memory_bytes", "Memory of the process in RAM.")
PROCESS_CPU = Metric.counter("process_cpu_seconds_total", "CPU time that the process has used.")
PROCESS_OPEN_FDS = Metric.gauge("process_open_fds", "Open file descriptors of the process.")
PROCESS_MAX_FDS = Metric.gauge("process_max_fds", "File descriptors that the process may open.")
PROCESS_STARTED = Metric.gauge(
    "process_start_time_seconds", "Start time of the process, as the kernel knows it."
)
PROCESS_THREADS = Metric.gauge(
    "process_threads", "Threads of the process, with those that Python does not know."
)

PROCESS_FAMILIES = (
    *(PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_MEMORY, PROCESS_STARTED),
    PROCESS_THREADS,
)


def process_families() -> Families:
    """Return the families with the current values, by name; what cannot be read has no sample.

    Reads files of the kernel: call it in a thread.
    """
    usage = read_usage()
    return [
        (metric, {} if value is None else {(): float(value)})
        for metric, value in zip(
            PROCESS_FAMILIES,
            (
                *(usage.cpu_seconds, usage.max_descriptors, usage.open_descriptors),
                *(usage.resident_bytes, usage.started, usage.threads),
            ),
            strict=True,
        )
    ]
