"""Everything that a plugin declares (probes, metrics, jobs) and returns, in one place to import."""

import re

from aliaport.contract.jobs import Job, JobResult, Schedule
from aliaport.contract.metrics import Collector, Metric, MetricKind, Sample
from aliaport.contract.probes import (
    CODE,
    HOST_CODES,
    PROBE_NAME,
    Check,
    Probe,
    Scalar,
    Status,
)

__all__ = [
    "CODE",
    "HOST_CODES",
    "PLUGIN_NAME",
    "PROBE_NAME",
    "Check",
    "Collector",
    "Job",
    "JobResult",
    "Metric",
    "MetricKind",
    "Probe",
    "Sample",
    "Scalar",
    "Schedule",
    "Status",
]

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
