"""What authors test their plugins with: the real bulkhead, deadlines and validation, no server."""

from aliaport.testing.clock import FakeClock
from aliaport.testing.runner import ProbeAnswer, RunningPlugin, make_context, run_plugin

__all__ = ["FakeClock", "ProbeAnswer", "RunningPlugin", "make_context", "run_plugin"]
