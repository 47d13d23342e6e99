"""The dashboard Aliaport Database: PostgreSQL, its connections and the service's statements."""

from . import baselines
from .baselines import above, below
from .board import Board, Section
from .panels import DOWN_UP, dashed, graph, stat
from .queries import WITHIN_A_SECOND, Query, grown, of, quantile, rate

STATEMENTS = "aliaport_db_query_duration_seconds"
CACHE = 'cache="postgresql"'
REAL = 'datname!~"template.*|"'
"""Databases in use; series without a name are about the server as a whole."""


def total(name: str, *matchers: str, by: str = "component", over: str = "$__rate_interval") -> str:
    """Return the summed growth of counters."""
    return f"sum by ({by}) ({grown(name, *matchers, over=over)})"


NOW = Section(
    "Now",
    (
        stat(
            "PostgreSQL Up",
            "Can the database be used? Checked by its exporter and by the service's own probe. If"
            " they differ, the cause is the network or a password.",
            "none",
            Query(of("pg_up"), "exporter"),
            Query(of("aliaport_probe_success", 'probe="database"'), "{{instance}}"),
            words=DOWN_UP,
            size=(6, 5),
            runbooks=("DatabaseDown",),
        ),
        stat(
            "Latency of the Probe",
            "How long does the simplest statement take? If it is slow, the cause is the server or"
            " the network, not a query.",
            "s",
            Query(of("aliaport_db_latency_seconds"), "{{instance}}"),
            limits=baselines.QUERY_TIME,
            size=(6, 5),
        ),
        stat(
            "Connections Used",
            "Is PostgreSQL running out of connections? The share of max_connections; when all are"
            " in use, nobody can connect.",
            "percentunit",
            Query(
                f"sum by (instance) ({of('aliaport_db_connections')})"
                f" / sum by (instance) ({of('aliaport_db_max_connections')})",
                "{{instance}}",
            ),
            limits=baselines.POOL,
            size=(6, 5),
            runbooks=("DatabaseConnectionsNearlyFull",),
        ),
        stat(
            "Size",
            "How large is the database?",
            "bytes",
            Query(f"max({of('aliaport_db_size_bytes')})", ""),
            size=(6, 5),
        ),
    ),
)

STATEMENTS_SECTION = Section(
    "Statements of the service",
    (
        graph(
            "Query Duration (p95)",
            "Are statements slow, and of which component? Baseline: 95th percentile below 100ms.",
            "s",
            Query(quantile(0.95, STATEMENTS, by="component"), "{{component}}"),
            limits=baselines.QUERY_TIME,
            runbooks=("QueryLatencyHigh",),
            no_value="No statements",
        ),
        graph(
            "Slow Queries (>1s)",
            "How many statements take more than a second? Baseline: below 0.1%.",
            "percentunit",
            Query(
                f"1 - {total(f'{STATEMENTS}_bucket', WITHIN_A_SECOND, over='1h')}"
                f" / ({total(f'{STATEMENTS}_count', over='1h')} > 0)",
                "{{component}}",
            ),
            limits=baselines.SLOW_QUERIES,
            runbooks=("SlowQueries",),
            no_value="No statements",
        ),
        graph(
            "Statements",
            "Which component queries the database, and how often? A sudden rise is a loop or a"
            " cache that fails.",
            "ops",
            Query(f"sum by (component) ({rate(f'{STATEMENTS}_count')})", "{{component}}"),
            stacked=True,
        ),
        graph(
            "Connection Pool Used",
            "Do requests wait for a connection from their pool? Baseline: below 80%. At 100% they"
            " wait and are then refused.",
            "percentunit",
            Query(
                f"{of('aliaport_db_pool_used')} / {of('aliaport_db_pool_max')}",
                "{{component}} {{instance}}",
            ),
            limits=baselines.POOL,
            high=1,
            runbooks=("DatabasePoolNearlyFull",),
        ),
    ),
)

SERVER = Section(
    "The server",
    (
        graph(
            "Connections by State",
            "What do the connections do? Those idle in a transaction hold locks and prevent"
            " cleanup. The dashed line is the server's limit.",
            "short",
            Query(f"max by (state) ({of('aliaport_db_connections')})", "{{state}}"),
            Query(f"max({of('aliaport_db_max_connections')})", "allowed"),
            stacked=True,
            overrides=(dashed("allowed"),),
        ),
        graph(
            "Connections by Database",
            "Are the connections ours or other programs'? According to the exporter.",
            "short",
            Query(
                f"sum by (datname) ({of('pg_stat_activity_count', REAL)})",
                "{{datname}}",
            ),
            stacked=True,
        ),
        graph(
            "Longest Transaction",
            "Does a transaction run forever? It blocks others and the cleanup of tables.",
            "s",
            Query(
                f"max by (datname) ({of('pg_stat_activity_max_tx_duration', REAL)})",
                "{{datname}}",
            ),
            limits=above((60, "orange"), (600, "red")),
        ),
        graph(
            "Deadlocks",
            "Do transactions lock each other? Each deadlock failed a transaction.",
            "short",
            Query(f"sum by (datname) ({grown('pg_stat_database_deadlocks', REAL)})", "{{datname}}"),
            limits=baselines.ANY,
        ),
        graph(
            "Transactions",
            "How many transactions run, and how many are undone? Many rollbacks mean errors.",
            "ops",
            Query(f"sum({rate('pg_stat_database_xact_commit', REAL)})", "committed"),
            Query(f"sum({rate('pg_stat_database_xact_rollback', REAL)})", "rolled back"),
        ),
        graph(
            "Cache Hit Rate",
            "Does the server read from memory or from disk? Far below 90%, it has too little"
            " memory for the tables in use, or queries read whole tables.",
            "percent",
            Query(
                f"min by (instance) ({of('aliaport_cache_hit_rate', CACHE)})",
                "{{instance}}",
            ),
            limits=below((80, "orange"), (90, "green")),
            high=100,
        ),
        graph(
            "Locks",
            "Is something locked? Exclusive table locks block everybody else.",
            "short",
            Query(f"sum by (mode) ({of('pg_locks_count', REAL)})", "{{mode}}"),
        ),
        graph(
            "Size by Database",
            "Which database grows? Compare with Disk Usage in System Metrics.",
            "bytes",
            Query(
                f"max by (datname) ({of('pg_database_size_bytes', REAL)})",
                "{{datname}}",
            ),
        ),
    ),
)

DATABASE = Board(
    uid="aliaport-database",
    title="Aliaport Database",
    description="Is it the database?",
    targets='{__name__=~"aliaport_build_info|pg_up"}',
    sections=(NOW, STATEMENTS_SECTION, SERVER),
)
