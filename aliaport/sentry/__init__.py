"""Error tracking: errors, traces and the jobs' check-ins, sent to Sentry.

Import `aliaport.sentry` freely: the SDK itself is imported only when `start_sentry` is called, so a
service without a DSN pays nothing for it.
"""

from aliaport.sentry.checkins import JobCheckIns
from aliaport.sentry.tracking import Sentry, start_sentry
from aliaport.settings.sentry_dsn import check_dsn

__all__ = ["JobCheckIns", "Sentry", "check_dsn", "start_sentry"]
