"""The dashboards of Aliaport in Python; `../generate` writes them as Grafana JSON."""

from .board import text
from .business import BUSINESS
from .database import DATABASE
from .monitoring import MONITORING
from .overview import OVERVIEW
from .probes import PROBES
from .slo import SLO
from .system import SYSTEM

BOARDS = (OVERVIEW, SYSTEM, SLO, DATABASE, BUSINESS, PROBES, MONITORING)

__all__ = ["BOARDS", "text"]
