"""The dashboard Aliaport Overview: state, alerts, requests and users."""

from . import baselines
from .baselines import above, below
from .board import Board, Section
from .panels import (
    DOWN_UP,
    NO_YES,
    dashed,
    graph,
    limits_of,
    stat,
)
from .queries import USERS, Query, added, grown, of, quantile, rate, share
from .tables import alerts

FAILED = 'status=~"5.."'
REFUSED = 'status=~"4.."'
REQUESTS = "aliaport_http_requests_total"

SERVICE = 'job="aliaport-backend"'
"""Every target of Prometheus has an `up`, and "All" chooses all of them."""


def firing(severity: str) -> Query:
    """Return a query for the number of firing alerts of a severity."""
    selector = f'ALERTS{{alertstate="firing",severity="{severity}"}}'
    return Query(f"count({selector}) or vector(0)", severity)


def last_day(name: str, label: str) -> Query:
    """Return a query for the growth of a total in the database within a day."""
    return Query(added(name, label, over="24h"), f"{{{{{label}}}}}")


NOW = Section(
    "Now",
    (
        stat(
            "Service Up",
            "Does every replica respond to Prometheus? Down means dead, frozen or unreachable.",
            "none",
            Query(of("up", SERVICE), "{{instance}}"),
            words=DOWN_UP,
            runbooks=("AliaportDown", "AliaportAbsent"),
            no_value="No target",
        ),
        stat(
            "Ready",
            "Does /ready let users in? It does while no critical probe is unhealthy.",
            "none",
            Query(
                f"min by (job, instance) ({of('aliaport_probe_success')}"
                f" and on (job, instance, plugin, probe) {of('aliaport_probe_critical')} == 1)",
                "{{instance}}",
            ),
            words=NO_YES,
            runbooks=("AliaportNotReady",),
            no_value="No critical probe",
        ),
        stat(
            "Seen From Outside",
            "Does blackbox exporter get the expected responses, also from the public address? If"
            " not, but the service is up: DNS, certificate, proxy or network.",
            "none",
            Query('probe_success{job="uptime"}', "{{monitor}}"),
            words=DOWN_UP,
            runbooks=("UptimeProbeFailing",),
        ),
        stat(
            "Alerts by Severity",
            "How serious is it? Includes the symptoms that Alertmanager mutes.",
            "none",
            firing("critical"),
            firing("warning"),
            firing("info"),
            size=(6, 5),
            overrides=(
                limits_of("critical", baselines.ANY),
                limits_of("warning", baselines.SOME),
                limits_of("info", above((1, "blue"))),
            ),
        ),
        stat(
            "Uptime",
            "Which version runs, and since when? Only a few minutes: a deployment, or the process"
            " keeps dying.",
            "dtdurations",
            Query(
                f"(time() - {of('aliaport_start_timestamp_seconds')}) * on (job, instance)"
                f" group_left (version) {of('aliaport_build_info')}",
                "{{version}} on {{instance}}",
            ),
            limits=((None, "orange"), (600, "green")),
            size=(6, 5),
            runbooks=("AliaportRestarting",),
        ),
        alerts(
            "Firing Alerts",
            "What is wrong, since when, and what can I do? Each name links to its runbook.",
            (),
            size=(24, 7),
        ),
    ),
)

TRAFFIC = Section(
    "Requests",
    (
        graph(
            "Request Rate",
            "Is the traffic as usual? Health checks, scrapes and paths that do not exist are a"
            " separate line, so that missing users are visible.",
            "reqps",
            Query(
                f"sum by (method, endpoint) ({rate(REQUESTS, USERS)})", "{{method}} {{endpoint}}"
            ),
            Query(
                f"sum by (job) ({rate(REQUESTS, USERS.replace('!~', '=~'))})",
                "not from users",
            ),
            stacked=True,
        ),
        graph(
            "Response Time (p95)",
            "How long do users wait? One request in twenty takes longer. Orange: the baseline of"
            " the slowest route (400ms). Red: HighResponseTime fires (1s).",
            "s",
            Query(quantile(0.95, "aliaport_http_request_duration_seconds", USERS), "all"),
            Query(
                quantile(
                    0.95, "aliaport_http_request_duration_seconds", USERS, by="method, endpoint"
                ),
                "{{method}} {{endpoint}}",
            ),
            limits=baselines.RESPONSE_TIME,
            runbooks=("HighResponseTime",),
            no_value="No requests",
        ),
        graph(
            "Error Rate",
            "Which share of requests fails on our side (5xx)? Baseline: below 1%. HighErrorRate"
            " fires above 5%. Health checks and scrapes are excluded.",
            "percentunit",
            Query(share(rate(REQUESTS, USERS, FAILED), rate(REQUESTS, USERS)), "all"),
            Query(
                share(
                    rate(REQUESTS, USERS, FAILED),
                    rate(REQUESTS, USERS),
                    by="method, endpoint",
                )
                + " > 0",
                "{{method}} {{endpoint}}",
            ),
            limits=baselines.SERVER_ERRORS,
            runbooks=("HighErrorRate",),
            no_value="No requests",
        ),
        graph(
            "Client Error Rate",
            "Which share of requests is refused (4xx)? Baseline: below 5%. More: a client's"
            " mistake, an attack, or a release that broke a contract.",
            "percentunit",
            Query(share(rate(REQUESTS, USERS, REFUSED), rate(REQUESTS, USERS)), "all"),
            limits=baselines.CLIENT_ERRORS,
            runbooks=("HighClientErrorRate",),
            no_value="No requests",
        ),
        graph(
            "HTTP Loop Lag",
            "Is the program itself blocked? The longest wait between two scrapes. From 250ms on,"
            " code blocks or CPU is short.",
            "s",
            Query(of("aliaport_http_loop_lag_seconds"), "{{instance}}"),
            limits=above((0.25, "orange")),
            runbooks=("HttpLoopLagging",),
        ),
        graph(
            "Responses by Status",
            "What do users get, success or errors? By HTTP status code.",
            "reqps",
            Query(f"sum by (status) ({rate(REQUESTS, USERS)})", "{{status}}"),
            stacked=True,
            no_value="No requests",
        ),
    ),
)

CONNECTIONS = Section(
    "Connections and limits",
    (
        graph(
            "HTTP Connections Used",
            "Do clients still get a connection? Baseline: below 80%. At 100% new ones get a 503.",
            "percentunit",
            Query(
                f"{of('aliaport_http_connections')} / {of('aliaport_http_connections_max')}",
                "{{listener}} {{instance}}",
            ),
            limits=baselines.POOL,
            high=1,
            runbooks=("AliaportConnectionsNearLimit",),
        ),
        graph(
            "Limits Reached",
            "Which limit refuses, closes or drops something? By its log event, which says what to"
            " do. Also listed under `limits` in /status.",
            "short",
            Query(
                f"sum by (limit) ({grown('aliaport_limit_reached_total')}) > 0",
                "{{limit}}",
            ),
            no_value="None",
        ),
    ),
)

OPERATIONS = Section(
    "Users and operations",
    (
        graph(
            "Active Users",
            "How many users are affected? Users with a request in the last 15 minutes, on any"
            " replica.",
            "short",
            Query(f"max by (job) ({of('aliaport_active_users')})", "users"),
            size=(8, 7),
            no_value="Not measured",
        ),
        graph(
            "Database Connections",
            "Is the database running out of connections? The dashed line is its limit.",
            "short",
            Query(f"max by (state) ({of('aliaport_db_connections')})", "{{state}}"),
            Query(f"max({of('aliaport_db_max_connections')})", "allowed"),
            stacked=True,
            overrides=(dashed("allowed"),),
            size=(8, 7),
        ),
        stat(
            "Currency Sync Success Rate",
            "Do attempts to fetch the exchange rates succeed? Over the last 24 hours. Failures"
            " before a success do no harm; Aliaport Business shows whether rates are missing.",
            "percent",
            Query(
                "100 * "
                + share(
                    grown("aliaport_currency_sync_success", over="24h"),
                    f"{grown('aliaport_currency_sync_success', over='24h')}"
                    f" + {grown('aliaport_currency_sync_failure', over='24h')}",
                ),
                "",
            ),
            limits=below((50, "orange"), (90, "green")),
            size=(8, 7),
            no_value="No attempt",
        ),
        stat(
            "Work Orders (24h)",
            "Is work going on? Work orders created in the last 24 hours, by their first status.",
            "short",
            last_day("aliaport_operations_work_orders_created", "status"),
            size=(12, 5),
            no_value="Not measured",
        ),
        stat(
            "Gate Logs (24h)",
            "Is the gate in use? Passages in the last 24 hours, by direction.",
            "short",
            last_day("aliaport_operations_gate_logs", "direction"),
            size=(12, 5),
            no_value="Not measured",
        ),
    ),
)

OVERVIEW = Board(
    uid="aliaport-overview",
    title="Aliaport Overview",
    description="Does everything work, and if not, where do I look next?",
    targets="aliaport_build_info",
    sections=(NOW, TRAFFIC, CONNECTIONS, OPERATIONS),
)
