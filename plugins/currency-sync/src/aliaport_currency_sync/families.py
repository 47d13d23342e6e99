"""The metric families of the plugin and of its application."""

from aliaport.plugin import Metric

FAILURES = Metric.counter(
    "aliaport_currency_sync_failures_total", "Failed attempts, by reason.", ("reason",)
)
RUN_DURATION = Metric.histogram(
    "aliaport_currency_sync_run_duration_seconds",
    "Duration of runs that sent requests to the source.",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0),
)
RATES_STORED = Metric.counter(
    "aliaport_currency_sync_rates_stored_total", "Currency rates stored by this process."
)
VALUES_LEFT_OUT = Metric.counter(
    "aliaport_currency_sync_values_left_out_total",
    "Values of stored bulletins that this process left out because they cannot be.",
)
LAST_SUCCESS = Metric.gauge(
    "aliaport_currency_sync_last_success_timestamp_seconds",
    "Time when any replica last stored a bulletin.",
)
NEWEST_BULLETIN = Metric.gauge(
    "aliaport_currency_sync_newest_bulletin_timestamp_seconds",
    "Date of the newest stored bulletin, as midnight UTC.",
)
EXPECTED_BULLETIN = Metric.gauge(
    "aliaport_currency_sync_expected_bulletin_timestamp_seconds",
    "Date of the bulletin that should be stored by now, as midnight UTC.",
)
MISSED_BULLETINS = Metric.gauge(
    "aliaport_currency_sync_missed_bulletins",
    "Business days whose bulletin is overdue and not stored.",
)
JUMPED_RATES = Metric.gauge(
    "aliaport_currency_sync_jumped_rates",
    "Currencies of the newest bulletin that changed by more than the configured percentage.",
)
LEADER = Metric.gauge(
    "aliaport_currency_sync_leader", "1 if this replica downloads the bulletins, otherwise 0."
)
CACHE_HITS = Metric.counter(
    "aliaport_currency_sync_cache_hits_total", "Days of rates served from the cache."
)
CACHE_MISSES = Metric.counter(
    "aliaport_currency_sync_cache_misses_total", "Days of rates read from the database."
)

COVERAGE = (LAST_SUCCESS, NEWEST_BULLETIN, EXPECTED_BULLETIN, MISSED_BULLETINS, JUMPED_RATES)
