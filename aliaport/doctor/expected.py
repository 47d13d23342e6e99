"""The rule groups, alerts, baselines and dashboards of deploy/ that doctor looks for.

A test keeps this equal to deploy/prometheus and deploy/grafana, which are not in the wheel.
"""

RULES: dict[str, tuple[str, ...]] = {
    "aliaport": (
        "HighErrorRate",
        "HighResponseTime",
        "DatabaseDown",
        "HighCPUUsage",
        "HighMemoryUsage",
        "CurrencySyncFailed",
    ),
    "aliaport-currency": (
        "CurrencyBulletinsMissed",
        "CurrencySourceFailing",
        "CurrencyRateJump",
        "CurrencyNoLeader",
    ),
    "aliaport-database": (
        "QueryLatencyHigh",
        "SlowQueries",
        "DatabasePoolNearlyFull",
        "DatabaseConnectionsNearlyFull",
    ),
    "aliaport-log": (
        "LogWriteFailing",
        "LogEventsDropped",
        "AuditLogRefusing",
        "FilebeatFailing",
    ),
    "aliaport-machine": (
        "CPUBaselineExceeded",
        "MemoryBaselineExceeded",
        "DiskUsageHigh",
        "DiskAlmostFull",
        "DiskWillFill",
        "OutOfMemoryKills",
        "CPUThrottled",
        "ClockSkewed",
    ),
    "aliaport-pipeline": (
        "Watchdog",
        "TargetDown",
        "TargetAbsent",
        "PrometheusConfigReloadFailed",
        "PrometheusRulesFailing",
        "PrometheusNotificationsFailing",
        "PrometheusAlertmanagerMissing",
        "PrometheusStorageFailing",
        "PrometheusScrapesRejected",
        "AlertmanagerConfigReloadFailed",
        "AlertmanagerNotificationsFailing",
        "UptimeProbeFailing",
        "CertificateExpiring",
        "CertificateExpiresSoon",
        "PostgresExporterFailing",
    ),
    "aliaport-service": (
        "AliaportDown",
        "AliaportAbsent",
        "AliaportNotReady",
        "AliaportRestarting",
        "ReadinessFlapping",
        "ProbeFailing",
        "ProbeDegraded",
        "ProbeNotRun",
        "PluginStuck",
        "PluginRejected",
        "PluginNotStarted",
        "PluginSeriesDropped",
        "CollectorFailing",
        "JobFailing",
        "JobMissedRuns",
        "HttpLoopLagging",
        "AliaportMemoryGrowing",
        "AliaportConnectionsNearLimit",
        "HighClientErrorRate",
    ),
    "aliaport-slo-5m": (),
    "aliaport-slo-30m": (),
    "aliaport-slo-1h": (),
    "aliaport-slo-2h": (),
    "aliaport-slo-6h": (),
    "aliaport-slo-1d": (),
    "aliaport-slo-3d": (),
    "aliaport-slo": (
        "AvailabilityBudgetBurnFast",
        "AvailabilityBudgetBurnSlow",
        "LatencyBudgetBurn",
    ),
}
"""The alerts of each group; a group without alerts records series for other groups."""

LATENCY = {
    ("GET", "/api/cari"): 0.3,
    ("POST", "/api/cari"): 0.2,
    ("GET", "/api/work-order"): 0.4,
    ("POST", "/auth/login"): 0.2,
    ("GET", "/health"): 0.05,
}
"""The baselines: seconds within which 95% of a route's requests complete."""

DATA_SOURCE = "aliaport-prometheus"
DASHBOARDS = (
    "aliaport-business",
    "aliaport-database",
    "aliaport-monitoring",
    "aliaport-overview",
    "aliaport-probes",
    "aliaport-slo",
    "aliaport-system",
)
