"""The client of the SDK, which is imported only if a DSN is set."""

import logging
from typing import Any

import sentry_sdk
from sentry_sdk.crons import capture_checkin
from sentry_sdk.integrations.asyncpg import AsyncPGIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.utils import event_from_exception

from aliaport.sentry.checkins import CheckIn
from aliaport.sentry.sampling import Sampler
from aliaport.sentry.scrubbing import HEADERS, scrub, scrub_transaction
from aliaport.sentry.tracebacks import is_ours
from aliaport.sentry.tracing import RequestTracing
from aliaport.sentry.transport import Transport


class Client:
    """The SDK's one client of this process."""

    def __init__(self, dsn: str, environment: str, release: str, traces_sample_rate: float) -> None:
        # Each retry of an unreachable server would be a log line.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        # Several lines for each request, even if nobody reads them.
        logging.getLogger("sentry_sdk").setLevel(logging.INFO)
        sentry_sdk.init(
            dsn,
            environment=environment,
            release=release,
            transport=Transport,
            traces_sampler=Sampler(traces_sample_rate),
            # Requests to third parties must not carry our trace IDs.
            trace_propagation_targets=[],
            # No hooks into logging, threads or the exit: the log pipeline delivers events.
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[
                RequestTracing(transaction_style="method_and_path_pattern"),
                AsyncPGIntegration(record_params=False),
                DedupeIntegration(),
            ],
            shutdown_timeout=0,
            max_breadcrumbs=30,
            max_request_body_size="never",
            include_local_variables=False,
            # It overrides include_local_variables; options that are not listed are on.
            data_collection={
                "user_info": False,
                "cookies": {"mode": "off"},
                "http_headers": {"request": {"mode": "allowlist", "terms": list(HEADERS)}},
                "http_bodies": [],
                "url_query_params": {"mode": "off"},
                "graphql": {"document": False, "variables": False},
                "gen_ai": {"inputs": False, "outputs": False},
                "database_query_data": False,
                "queues": False,
                "stack_frame_variables": False,
            },
            before_send=lambda event, _hint: scrub(event),
            before_send_transaction=lambda event, _hint: scrub_transaction(event),
            before_breadcrumb=lambda crumb, _hint: scrub(crumb),
            enable_metrics=False,
            spotlight=False,
        )
        self._client = sentry_sdk.get_client()

    @property
    def lost(self) -> int:
        """Envelopes that could not be sent."""
        transport = self._client.transport
        return transport.lost if isinstance(transport, Transport) else 0

    def describe(self, error: BaseException) -> list[dict[str, Any]]:
        """Return an exception and its causes in Sentry's format."""
        event, _ = event_from_exception(
            error, self._client.options, {"type": "aliaport", "handled": True}
        )
        values: list[dict[str, Any]] = list(event["exception"]["values"])
        for value in values:
            for frame in (value.get("stacktrace") or {}).get("frames", ()):
                frame["in_app"] = is_ours(str(frame.get("abs_path", "")))
        return values

    def send_event(self, event: Any, error: BaseException | None) -> None:
        """Queue an event, unless its exception was the last one sent in this context."""
        hint = {} if error is None else {"exc_info": (type(error), error, error.__traceback__)}
        sentry_sdk.capture_event(event, hint=hint)

    def send_check_in(self, check_in: CheckIn) -> None:
        """Queue a check-in."""
        capture_checkin(
            monitor_slug=check_in.slug,
            status=check_in.status,
            duration=check_in.seconds,
            monitor_config=check_in.monitor,  # type: ignore[arg-type]
        )

    def flush(self, seconds: float) -> None:
        """Wait up to `seconds` until everything queued is sent."""
        self._client.flush(timeout=seconds)
