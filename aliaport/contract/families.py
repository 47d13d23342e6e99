"""The metric families that the core declares and any plugin may contribute samples to.

Their names and labels are those of the specification; a family without a contributor is exported
with its help and type only.
"""

from aliaport.contract.declarations import Metric

ACTIVE_USERS = Metric.gauge("aliaport_active_users", "Active user count.")
DB_CONNECTIONS = Metric.gauge(
    "aliaport_db_connections", "Database connections, by state.", ("state",)
)
CACHE_HIT_RATE = Metric.gauge(
    "aliaport_cache_hit_rate", "Cache hit rate in percent, by cache.", ("cache",)
)
WORK_ORDERS = Metric.counter(
    "aliaport_work_orders_total", "Work orders created, by initial status.", ("status",)
)
GATE_LOGS = Metric.counter(
    "aliaport_gate_logs_total", "Gate logs written, by direction.", ("direction",)
)
CURRENCY_SYNC_SUCCESS = Metric.counter(
    "aliaport_currency_sync_success", "Successful currency syncs."
)
CURRENCY_SYNC_FAILURE = Metric.counter("aliaport_currency_sync_failure", "Failed currency syncs.")

DB_QUERY_DURATION = Metric.histogram(
    "aliaport_db_query_duration_seconds",
    "Duration of database statements, by component.",
    ("component",),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
DB_POOL_USED = Metric.gauge(
    "aliaport_db_pool_used", "Pooled database connections in use, by component.", ("component",)
)
DB_POOL_IDLE = Metric.gauge(
    "aliaport_db_pool_idle", "Idle pooled database connections, by component.", ("component",)
)
DB_POOL_MAX = Metric.gauge(
    "aliaport_db_pool_max",
    "Maximum size of the database connection pool, by component.",
    ("component",),
)

SHARED_FAMILIES = {
    metric.name: metric
    for metric in (
        ACTIVE_USERS,
        DB_CONNECTIONS,
        CACHE_HIT_RATE,
        WORK_ORDERS,
        GATE_LOGS,
        CURRENCY_SYNC_SUCCESS,
        CURRENCY_SYNC_FAILURE,
        DB_QUERY_DURATION,
        DB_POOL_USED,
        DB_POOL_IDLE,
        DB_POOL_MAX,
    )
}
"""Maps names to families. The two HTTP families are the core's own (`aliaport.metrics.http`)."""
