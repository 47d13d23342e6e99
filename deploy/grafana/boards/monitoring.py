"""The dashboard Aliaport Monitoring: Prometheus, Alertmanager and the exporters themselves."""

from . import baselines
from .baselines import above, below
from .board import Board, Section
from .panels import DOWN_UP, NO_YES, graph, stat, states
from .queries import Query, grown, of, rate

UP = Query(of("up"), "{{job}} {{instance}}")
SENT = "alertmanager_notifications"
FAILED = "prometheus_rule_evaluation_failures_total"
MISSED = "prometheus_rule_group_iterations_missed_total"
DAY = 86400


def failures(*names: str) -> tuple[Query, ...]:
    """Return queries of counters that should not grow, each with its short name as legend."""
    return tuple(
        Query(f"sum({grown(name)})", name.removeprefix("prometheus_").removesuffix("_total"))
        for name in names
    )


ALERTING = Section(
    "Do alerts arrive?",
    (
        stat(
            "Watchdog",
            "Does Prometheus evaluate its rules? This alert always fires; if it does not, no"
            " other alert fires either.",
            "none",
            Query('count(ALERTS{alertname="Watchdog",alertstate="firing"}) or vector(0)', ""),
            words={0: ("Silent", "red"), 1: ("Fires", "green")},
            size=(4, 6),
            runbooks=("Watchdog",),
        ),
        stat(
            "Alertmanagers Known",
            "Does Prometheus have an Alertmanager to send alerts to?",
            "short",
            Query(of("prometheus_notifications_alertmanagers_discovered"), "{{instance}}"),
            limits=below((1, "green")),
            size=(4, 6),
            runbooks=("PrometheusAlertmanagerMissing",),
        ),
        stat(
            "Configuration Accepted",
            "Was the last configuration change loaded? If not, the old configuration still"
            " applies, and the next restart will fail.",
            "none",
            Query(of("prometheus_config_last_reload_successful"), "Prometheus"),
            Query(of("alertmanager_config_last_reload_successful"), "Alertmanager"),
            words=NO_YES,
            size=(8, 6),
            runbooks=("PrometheusConfigReloadFailed", "AlertmanagerConfigReloadFailed"),
        ),
        graph(
            "Notifications Failed",
            "Which channel is broken? The share that was not delivered; from 1% on, an alert fires"
            " and arrives through another channel.",
            "percentunit",
            Query(
                f"sum by (integration) ({rate(f'{SENT}_failed_total')})"
                f" / (sum by (integration) ({rate(f'{SENT}_total')}) > 0)",
                "{{integration}}",
            ),
            limits=above((0.01, "red")),
            high=1,
            size=(8, 6),
            runbooks=("AlertmanagerNotificationsFailing",),
            no_value="Nothing sent",
        ),
        graph(
            "Notifications Sent",
            "Are notifications sent, and through which channel? Watchdog alone is sent regularly.",
            "short",
            Query(f"sum by (integration) ({grown(f'{SENT}_total')}) > 0", "{{integration}}"),
            size=(8, 7),
            no_value="Nothing sent",
        ),
        graph(
            "Prometheus to Alertmanager",
            "Do alerts get lost on their way? Errors are retried; dropped alerts are gone.",
            "short",
            *failures(
                "prometheus_notifications_errors_total", "prometheus_notifications_dropped_total"
            ),
            limits=baselines.ANY,
            size=(8, 7),
            runbooks=("PrometheusNotificationsFailing",),
        ),
        graph(
            "Alerts in Alertmanager",
            "How many alerts are sent, and how many are held back by a silence or another alert?",
            "short",
            Query(f"sum by (state) ({of('alertmanager_alerts')})", "{{state}}"),
            size=(8, 7),
            stacked=True,
        ),
    ),
)

SCRAPING = Section(
    "Is everything monitored?",
    (
        states(
            "Targets",
            "What can Prometheus not reach? A job that is missing here has no targets.",
            DOWN_UP,
            UP,
            size=(12, 9),
            runbooks=("TargetDown", "TargetAbsent"),
        ),
        states(
            "Probes From Outside",
            "What can blackbox exporter not reach? It also probes Filebeat's statistics: if those"
            " are down, logs are not shipped.",
            DOWN_UP,
            Query(of("probe_success"), "{{job}} {{instance}}"),
            size=(12, 9),
            runbooks=("UptimeProbeFailing", "FilebeatFailing"),
        ),
        stat(
            "Certificate Expires In",
            "When will clients refuse to connect? The certificate should be renewed before 21 days"
            " are left.",
            "s",
            Query(f"{of('probe_ssl_earliest_cert_expiry')} - time()", "{{instance}}"),
            limits=below((7 * DAY, "orange"), (21 * DAY, "green")),
            size=(6, 7),
            runbooks=("CertificateExpiring", "CertificateExpiresSoon"),
            no_value="No certificate",
        ),
        stat(
            "PostgreSQL Exporter",
            "Could it read all statistics of PostgreSQL?",
            "none",
            Query(of("pg_exporter_last_scrape_error"), ""),
            words={0: ("OK", "green"), 1: ("Failed", "red")},
            size=(6, 7),
            runbooks=("PostgresExporterFailing",),
        ),
        graph(
            "Scrape Duration",
            "Which target responds slowly? After 10s, Prometheus gives up.",
            "s",
            Query(of("scrape_duration_seconds"), "{{job}} {{instance}}"),
            limits=above((5, "orange"), (10, "red")),
            size=(12, 7),
        ),
    ),
)

STORAGE = Section(
    "Prometheus itself",
    (
        graph(
            "Rules Failing",
            "Are rules evaluated? Rules that fail or are skipped raise no alert.",
            "short",
            *failures(FAILED, MISSED),
            Query(f"sum by (rule_group) ({grown(FAILED)}) > 0", "failed {{rule_group}}"),
            Query(f"sum by (rule_group) ({grown(MISSED)}) > 0", "missed {{rule_group}}"),
            limits=baselines.ANY,
            size=(8, 8),
            runbooks=("PrometheusRulesFailing",),
        ),
        graph(
            "Storage Failures",
            "Is Prometheus' disk full or broken?",
            "short",
            *failures(
                "prometheus_tsdb_compactions_failed_total",
                "prometheus_tsdb_wal_corruptions_total",
                "prometheus_tsdb_reloads_failures_total",
            ),
            limits=baselines.ANY,
            size=(8, 8),
            runbooks=("PrometheusStorageFailing",),
        ),
        graph(
            "Samples Rejected",
            "Does a target send bad samples? Duplicates, out of order, or too many.",
            "short",
            *failures(
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                "prometheus_target_scrapes_sample_out_of_order_total",
                "prometheus_target_scrapes_exceeded_sample_limit_total",
            ),
            limits=baselines.SOME,
            size=(8, 8),
            runbooks=("PrometheusScrapesRejected",),
        ),
        graph(
            "Series",
            "Does a label have too many values? A sudden rise usually means that an ID became a"
            " label.",
            "short",
            Query(of("prometheus_tsdb_head_series"), "all"),
            size=(8, 8),
        ),
        graph(
            "Samples by Target",
            "Which target sends the most samples?",
            "short",
            Query(of("scrape_samples_scraped"), "{{job}} {{instance}}"),
            size=(8, 8),
        ),
        graph(
            "Storage",
            "How much disk space does Prometheus use?",
            "bytes",
            Query(of("prometheus_tsdb_storage_blocks_bytes"), "{{instance}}"),
            size=(8, 8),
        ),
    ),
)

MONITORING = Board(
    uid="aliaport-monitoring",
    title="Aliaport Monitoring",
    description="Does the monitoring itself work?",
    targets="up",
    sections=(ALERTING, SCRAPING, STORAGE),
)
