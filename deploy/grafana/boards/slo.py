"""The dashboard Aliaport Objectives: availability, latency and the error budget."""

from .baselines import ROUTES, Route, above, below
from .board import Board, Section
from .panels import graph, stat
from .queries import USERS, Query, grown, quantile, recorded, share

REQUESTS = "aliaport_http_requests_total"
FAILED = 'status=~"5.."'
AVAILABLE = 'slo="availability"'
LATENCY = 'slo="latency"'
BURNING = above((1, "yellow"), (3, "orange"), (14.4, "red"))
"""How many times faster than allowed the budget is spent. At 14.4 it is gone in two days, which
pages at once; 3 opens a ticket within a day; at 1 it lasts exactly for the month."""

ALLOWED = f"(1 - scalar(max(slo:objective:ratio{{{AVAILABLE}}})))"


def failed(over: str) -> str:
    """Return the share of user requests that failed."""
    return share(grown(REQUESTS, USERS, FAILED, over=over), grown(REQUESTS, USERS, over=over))


def burn(window: str) -> Query:
    """Return a query for the burn rate of the availability budget over a window."""
    errors = recorded(f"slo:error_ratio:rate{window}", AVAILABLE)
    return Query(f"{errors} / {ALLOWED}", window)


def route_burn(window: str) -> Query:
    """Return a query for the burn rates of the routes' budgets over a window."""
    errors = recorded(f"slo:error_ratio:rate{window}", LATENCY)
    allowed = f"(1 - slo:objective:ratio{{{LATENCY}}})"
    return Query(
        f"{errors} / on (method, endpoint) group_left () {allowed}",
        f"{{{{method}}}} {{{{endpoint}}}} {window}",
    )


def p95(route: Route) -> Query:
    """Return a query for a route's 95th percentile."""
    name = "aliaport_http_request_duration_seconds"
    return Query(quantile(0.95, name, *route.matchers), "")


AVAILABILITY = Section(
    "Availability: 99% of user requests succeed",
    (
        stat(
            "Availability",
            "Which share of requests succeeded, over the time range chosen above?",
            "percentunit",
            Query(f"1 - {failed('$__range')}", ""),
            limits=below((0.99, "green")),
            size=(6, 8),
            no_value="No requests",
        ),
        stat(
            "Error Budget Left",
            "How much of the error budget (1% of requests) is left, over the time range chosen"
            " above? Below 0, the objective is missed.",
            "percentunit",
            Query(f"1 - {failed('$__range')} / {ALLOWED}", ""),
            limits=below((0, "orange"), (0.5, "green")),
            size=(6, 8),
            no_value="No requests",
        ),
        graph(
            "Burn Rate",
            "How many times faster than allowed do requests fail? An alert needs a long and a short"
            " window above the same line: 14.4 and 6 page, 3 and 1 open a ticket.",
            "none",
            *(burn(window) for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")),
            limits=BURNING,
            size=(12, 8),
            runbooks=("AvailabilityBudgetBurnFast", "AvailabilityBudgetBurnSlow"),
            no_value="No requests",
        ),
        graph(
            "Failed by Route",
            "Which route spends the budget? Requests with 5xx per hour.",
            "short",
            Query(
                f"sum({grown(REQUESTS, USERS, FAILED, over='1h')})"
                f" or 0 * sum({grown(REQUESTS, USERS, over='1h')})",
                "all",
            ),
            Query(
                f"sum by (method, endpoint) ({grown(REQUESTS, USERS, FAILED, over='1h')}) > 0",
                "{{method}} {{endpoint}}",
            ),
        ),
        graph(
            "Requests in an Hour",
            "Are there enough requests for a meaningful ratio? Alerts need more than 20 an hour.",
            "short",
            Query(recorded("slo:requests:increase1h", AVAILABLE), "all"),
            limits=below((20, "green")),
        ),
    ),
)

ROUTES_NOW = Section(
    "Response time (p95): the routes with a baseline",
    (
        *(
            stat(
                route.name,
                f"Is this route fast enough now? Its baseline is a 95th percentile below"
                f" {route.bound * 1000:.0f}ms.",
                "s",
                p95(route),
                limits=route.limits,
                size=(4, 5),
                no_value="No requests",
            )
            for route in ROUTES
        ),
        stat(
            "Worst Route Now",
            "Which route has the largest share of requests over its bound? 5% is allowed.",
            "percentunit",
            Query(
                f"topk(1, {recorded('slo:error_ratio:rate5m', LATENCY)})",
                "{{method}} {{endpoint}}",
            ),
            limits=above((0.05, "orange"), (0.72, "red")),
            size=(4, 5),
            no_value="No requests",
        ),
    ),
)

LATENCIES = Section(
    "Latency: 95% of a route's requests end within its bound",
    (
        graph(
            "Too Slow by Route",
            "Which share of a route's requests takes longer than its baseline? 5% is allowed.",
            "percentunit",
            Query(
                recorded("slo:error_ratio:rate30m", LATENCY),
                "{{method}} {{endpoint}}",
            ),
            limits=above((0.05, "orange")),
            high=1,
            no_value="No requests",
        ),
        graph(
            "Burn Rate by Route",
            "How many times faster than allowed is the latency budget spent? Over an hour and over"
            " a day.",
            "none",
            route_burn("1h"),
            route_burn("1d"),
            limits=BURNING,
            runbooks=("LatencyBudgetBurn",),
            no_value="No requests",
        ),
        graph(
            "Requests in an Hour by Route",
            "Does a route have enough requests to judge it? Alerts need more than 20 an hour.",
            "short",
            Query(
                f"{recorded('slo:requests:increase1h', LATENCY)} and on (method, endpoint)"
                f" slo:objective:ratio{{{LATENCY}}}",
                "{{method}} {{endpoint}}",
            ),
            limits=below((20, "green")),
        ),
        graph(
            "Mean Response Time",
            "Are all requests of a route slow, or only some? Compare with the 95th percentile.",
            "s",
            Query(
                "sum by (method, endpoint)"
                f" ({grown('aliaport_http_request_duration_seconds_sum', USERS)})"
                " / (sum by (method, endpoint)"
                f" ({grown('aliaport_http_request_duration_seconds_count', USERS)}) > 0)",
                "{{method}} {{endpoint}}",
            ),
            no_value="No requests",
        ),
    ),
)

SLO = Board(
    uid="aliaport-slo",
    title="Aliaport Objectives",
    description="Do we meet our objectives, and how fast is the error budget used up?",
    targets="aliaport_build_info",
    sections=(AVAILABILITY, ROUTES_NOW, LATENCIES),
    since="now-7d",
)
