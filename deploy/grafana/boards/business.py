"""The dashboard Aliaport Business: exchange rates, work orders, gate logs and users."""

from . import baselines
from .baselines import above
from .board import Board, Section
from .panels import Words, graph, heatmap, stat, states
from .queries import Query, added, grown, of, rate, share

SYNC = "aliaport_currency_sync"
ROLE: Words = {0: ("Follower", "gray"), 1: ("Leader", "green")}


def newest(name: str) -> str:
    """Return the newest date that a replica reports, in milliseconds."""
    return f"1000 * max({of(f'{SYNC}_{name}_timestamp_seconds')})"


def by(name: str, label: str) -> Query:
    """Return a query for the growth of a total in the database within an hour."""
    return Query(added(name, label, over="1h"), f"{{{{{label}}}}}")


RATES = Section(
    "Exchange rates",
    (
        stat(
            "Missed Bulletins",
            "Are rates missing? Business days whose bulletin should be stored but is not. One can"
            " wait until the morning; two cannot.",
            "short",
            Query(f"max({of(f'{SYNC}_missed_bulletins')})", ""),
            limits=above((1, "orange"), (2, "red")),
            runbooks=("CurrencySyncFailed", "CurrencyBulletinsMissed"),
        ),
        stat(
            "Newest Bulletin",
            "For which day are the rates that users get?",
            "dateTimeAsLocalNoDateIfToday",
            Query(newest("newest_bulletin"), ""),
            no_value="None stored",
            size=(5, 5),
        ),
        stat(
            "Expected Bulletin",
            "For which day should they be by now, considering weekends and holidays?",
            "dateTimeAsLocalNoDateIfToday",
            Query(newest("expected_bulletin"), ""),
            size=(5, 5),
        ),
        stat(
            "Last Success",
            "When did a replica last store a bulletin?",
            "dateTimeFromNow",
            Query(newest("last_success"), ""),
            no_value="Never",
            size=(5, 5),
        ),
        stat(
            "Jumped Rates",
            "Are the stored rates plausible? Currencies that changed by more than usual: a mistake"
            " of the source, or a crisis.",
            "short",
            Query(f"max({of(f'{SYNC}_jumped_rates')})", ""),
            limits=baselines.SOME,
            size=(5, 5),
            runbooks=("CurrencyRateJump",),
            no_value="None stored",
        ),
        states(
            "Leader",
            "Does exactly one replica fetch bulletins? If there are two leaders, one of them has"
            " lost its database connection.",
            ROLE,
            Query(of(f"{SYNC}_leader"), "{{instance}}"),
            size=(12, 7),
            runbooks=("CurrencyNoLeader",),
        ),
        graph(
            "Failures by Reason",
            "Why does fetching fail? unreachable and source_timeout: the source or the network;"
            " html_page, not_xml and similar: bad data from the source; database: our database.",
            "short",
            Query(f"sum by (reason) ({grown(f'{SYNC}_failures_total', over='1h')})", "{{reason}}"),
            size=(12, 7),
            stacked=True,
            runbooks=("CurrencySourceFailing",),
        ),
        graph(
            "Attempts",
            "Does a replica try to fetch bulletins, and with which result? Per hour.",
            "short",
            Query(f"sum({grown(f'{SYNC}_success', over='1h')})", "succeeded"),
            Query(f"sum({grown(f'{SYNC}_failure', over='1h')})", "failed"),
            size=(12, 7),
        ),
        heatmap(
            "Duration of Runs",
            "Is the source slow? Runs that requested it, by duration.",
            "s",
            Query(f"sum by (le) ({rate(f'{SYNC}_run_duration_seconds_bucket')})", "{{le}}"),
            size=(12, 7),
        ),
        graph(
            "Cache Hit Rate",
            "Do requests for rates reach the database? A day's rates are read once and cached.",
            "percentunit",
            Query(
                share(
                    rate(f"{SYNC}_cache_hits_total"),
                    f"{rate(f'{SYNC}_cache_hits_total')} + {rate(f'{SYNC}_cache_misses_total')}",
                ),
                "hits",
            ),
            high=1,
            size=(12, 7),
            no_value="No requests",
        ),
        graph(
            "Rates Stored",
            "How many currencies did the last bulletins have? If far fewer than usual, the source"
            " left some out.",
            "short",
            Query(f"sum({grown(f'{SYNC}_rates_stored_total', over='1h')})", "rates"),
            size=(12, 7),
        ),
    ),
)

OPERATIONS = Section(
    "Operations",
    (
        graph(
            "Active Users",
            "Is anybody using the service? Compare with the same hour a week ago.",
            "short",
            Query(f"max({of('aliaport_active_users')})", "users"),
            Query(f"max({of('aliaport_active_users')} offset 1w)", "a week ago"),
            size=(8, 8),
            no_value="Not measured",
        ),
        graph(
            "Work Orders per Hour",
            "Is work going on? Work orders created per hour, by their first status.",
            "short",
            by("aliaport_operations_work_orders_created", "status"),
            size=(8, 8),
            stacked=True,
            no_value="Not measured",
        ),
        graph(
            "Gate Logs per Hour",
            "Is the gate in use? If only one direction is recorded, a reader is broken.",
            "short",
            by("aliaport_operations_gate_logs", "direction"),
            size=(8, 8),
            no_value="Not measured",
        ),
        graph(
            "Work Orders Now",
            "Does work pile up? Work orders that wait or are in progress, by status.",
            "short",
            Query(
                "max by (status) ("
                + of("aliaport_operations_work_orders", 'status=~"draft|planned|in_progress"')
                + ")",
                "{{status}}",
            ),
            size=(8, 8),
            stacked=True,
            no_value="Not measured",
        ),
        graph(
            "Sign-ins per Hour",
            "Does somebody guess passwords, or can nobody sign in? Failed and throttled sign-ins"
            " should be few compared with successful ones.",
            "short",
            Query(
                f"sum by (result) ({grown('aliaport_operations_sign_ins_total', over='1h')})",
                "{{result}}",
            ),
            size=(8, 8),
            stacked=True,
            no_value="Not measured",
        ),
        graph(
            "Refused for Lack of Capacity",
            "Do users get 503 because the service is at its limit? By the resource that ran out:"
            " database connections (pool) or threads that check passwords (hashing).",
            "reqps",
            Query(
                f"sum by (reason) ({rate('aliaport_operations_shed_total')})",
                "{{reason}}",
            ),
            size=(8, 8),
            no_value="Not measured",
        ),
    ),
)

BUSINESS = Board(
    uid="aliaport-business",
    title="Aliaport Business",
    description="Are the exchange rates up to date, and is work going on?",
    targets="aliaport_build_info",
    sections=(RATES, OPERATIONS),
    since="now-24h",
)
