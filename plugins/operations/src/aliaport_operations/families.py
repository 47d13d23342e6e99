"""Metric families of the plugin and its application, in addition to the shared ones."""

from aliaport.plugin import Metric

SIGN_INS = Metric.counter(
    "aliaport_operations_sign_ins_total", "Sign-in attempts, by result.", ("result",)
)
TRANSITIONS = Metric.counter(
    "aliaport_operations_transitions_total",
    "Status changes of work orders made by this process.",
    ("from_status", "to_status"),
)
SHED = Metric.counter(
    "aliaport_operations_shed_total",
    "Requests refused with 503 under overload, by the exhausted resource.",
    ("reason",),
)
REPLAYED = Metric.counter(
    "aliaport_operations_replayed_total",
    "Repeated requests that got the stored response for their Idempotency-Key.",
)
PURGED = Metric.counter(
    "aliaport_operations_purged_total",
    "Rows that this process deleted or cleared of personal data, by table.",
    ("table",),
)
ACCOUNTS = Metric.gauge(
    "aliaport_operations_accounts", "Accounts in the database, by state.", ("state",)
)
WORK_ORDERS_NOW = Metric.gauge(
    "aliaport_operations_work_orders",
    "Work orders in the database, by current status.",
    ("status",),
)
WORK_ORDERS_CREATED = Metric.gauge(
    "aliaport_operations_work_orders_created",
    "Work orders in the database, by first status: all that were ever created.",
    ("status",),
)
GATE_LOG_ENTRIES = Metric.gauge(
    "aliaport_operations_gate_logs",
    "Gate logs in the database, by direction: all that were ever written.",
    ("direction",),
)

TOTALS = (ACCOUNTS, WORK_ORDERS_NOW, WORK_ORDERS_CREATED, GATE_LOG_ENTRIES)
