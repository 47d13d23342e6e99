"""The log: structured events in four files of JSON lines, written without blocking callers."""

from aliaport.logs.audit import Audit
from aliaport.logs.pipeline import Logs
from aliaport.logs.requests import RequestLog

__all__ = ["Audit", "Logs", "RequestLog"]
