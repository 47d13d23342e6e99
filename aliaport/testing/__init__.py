"""The test kit for plugin authors: the real bulkhead, deadlines and validation, no server."""

from typing import TYPE_CHECKING

from aliaport.deprecation import renamed
from aliaport.host.probes import ProbeResult
from aliaport.testing.clock import FakeClock
from aliaport.testing.runner import RunningPlugin, make_context, run_plugin

__all__ = ["FakeClock", "ProbeResult", "RunningPlugin", "make_context", "run_plugin"]

if not TYPE_CHECKING:  # type checkers see the new name only
    __getattr__ = renamed(__name__, {"ProbeAnswer": ("ProbeResult", ProbeResult)})
