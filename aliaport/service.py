"""The process lifecycle: listen, start the plugins, serve, drain, stop, exit."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from pydantic import SecretStr

from aliaport.embedded import STOP_TIMEOUT as EMBEDDED_STOP
from aliaport.embedded import BackgroundPostgres, own_folder
from aliaport.errors import AliaportError, AuditError, ConfigError, StartupError
from aliaport.host.discovery import Candidate
from aliaport.host.host import NO_DATABASE, Host, OwnProbes
from aliaport.host.limits import LimitLog
from aliaport.host.scrape import Metrics, declare_host_families
from aliaport.host.shadowing import HINT as SHADOWED_HINT
from aliaport.isolation.bulkhead import finish_within
from aliaport.isolation.stall_watch import LoopWatch
from aliaport.logs import Audit, Logs
from aliaport.logs.audit import RECORD_TIMEOUT
from aliaport.logs.health import LogHealth
from aliaport.logs.pipeline import CLOSE_TIMEOUT as LOG_CLOSE
from aliaport.metrics.http import HttpMetrics
from aliaport.metrics.registry import MetricRegistry
from aliaport.plugin import Logger
from aliaport.postgres.tls import HINT as UNVERIFIED_HINT
from aliaport.postgres.tls import unverified_server
from aliaport.process.address import publish
from aliaport.process.ending import STOP_SIGNALS, Ending
from aliaport.process.limits import limit_error
from aliaport.process.memory import give_back, keep_what_is_loaded
from aliaport.process.threads import start_libuv_threads, worker
from aliaport.sentry import Sentry
from aliaport.sentry.tracking import LAST_FLUSH as SENTRY_FLUSH
from aliaport.settings import (
    Settings,
    Sources,
    environment_warnings,
    masked,
    renamed_options,
    token_file_problems,
)
from aliaport.settings.database_url import DatabaseUrl
from aliaport.web.application import make_app
from aliaport.web.auth import OperatorAuth
from aliaport.web.drain import max_check_interval
from aliaport.web.listening import is_loopback_only
from aliaport.web.mounts import MountedApp, reject_shared_prefixes
from aliaport.web.server import CLOSE_TIMEOUT, Server
from aliaport.web.state import AppState

ROOT_HINT = (
    "plugins and applications have all rights of root; start the service as an ordinary user"
)
FORKING_HINT = (
    "the embedded database starts a process for each connection; at the limit, it refuses them"
)

END_MARGIN = 1.5
"""Seconds that the end may take beyond the sum of its timeouts, on a busy machine."""


MEMORY_INTERVAL = 15.0
"""Seconds after which memory that is no longer used goes back to the system."""


class Service:
    """One run of the service; create it on the HTTP loop.

    `listeners` are the listening sockets: those of the public port and, if configured, those of the
    internal one.
    `sentry` is None if errors are not tracked.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        logs: Logs,
        listeners: Sequence[Sequence[socket.socket]],
        ending: Ending,
        sentry: Sentry | None = None,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._logs = logs
        self._sentry = sentry
        self._log: Logger = logs.logger()
        self._audit = logs.audit()
        self._listeners = listeners
        self._ending = ending
        self._signals = 0
        self._stop = asyncio.Event()
        self._skip_drain = asyncio.Event()
        self._database: BackgroundPostgres | None = None
        self._watch = LoopWatch(self._log, settings.plugin_limits.stall_timeout)
        registry = MetricRegistry(settings.metrics.max_series_per_family)
        declare_host_families(registry)
        health = LogHealth(logs)
        self._host = Host(
            settings,
            sources,
            registry,
            self._logger_for,
            self._audit_for,
            own=OwnProbes([health.probe()], self._log),
            observe_job=sentry.job_observer if sentry else None,
        )
        self._apps = [
            MountedApp(candidate, self._logger_for(candidate), settings.plugin_limits)
            for candidate in self._host.apps
        ]
        http = HttpMetrics()
        limits = LimitLog(self._log)
        self._state = AppState(
            settings=settings,
            host=self._host,
            metrics=Metrics(
                self._host,
                http,
                settings.metrics,
                loop_lag=self._watch.worst_lag,
                log_samples=health.samples,
                limits=limits,
                connections=self._count_connections,
                app_states=lambda: {app.name: app.state for app in self._apps},
            ),
            http=http,
            auth=OperatorAuth(settings, self._log),
            log=self._log,
            requests=logs.requests,
            apps=self._apps,
            limits=limits,
        )
        self._server = Server(self._state, internal=len(listeners) > 1)

    async def run(self) -> int:
        """Serve until a signal arrives; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._logs.reopen)
        self._ending.watch_signals(
            stop_timeout(self._settings),
            self._settings.drain_seconds,
            lambda: self._logs.flush(0.2),
        )
        self._watch.start()
        keeping = asyncio.create_task(self._keep_memory_small())
        await self._listen()
        try:
            return await self._serve()
        finally:
            await self._end()
            keeping.cancel()

    async def _serve(self) -> int:
        """Start, and wait until a signal has arrived and the drain is over, or the start fails."""
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and (error := starting.exception()) is not None:
            return self._report_failure(error)
        await stopping
        starting.cancel()
        await self._drain()
        return 0

    async def _keep_memory_small(self) -> None:
        loop, thread = asyncio.get_running_loop(), worker("memory")
        while True:
            await asyncio.sleep(MEMORY_INTERVAL)
            # Not on the HTTP loop: large heaps of plugins take longer.
            await loop.run_in_executor(thread, give_back)

    async def _listen(self) -> None:
        public, *internal = self._listeners
        await self._server.listen(make_app(self._state, detailed=not internal), public, "public")
        for sockets in internal:
            await self._server.listen(make_app(self._state, detailed=True), sockets, "internal")
        publish([opened.getsockname()[:2] for opened in public])
        host, port = public[0].getsockname()[:2]
        self._log.info(
            "service.listening",
            host=host,
            port=port,
            addresses=" ".join(opened.getsockname()[0] for opened in public),
            environment=self._settings.environment,
        )
        if not (
            self._settings.open or internal or self._settings.metrics_auth
        ) and not is_loopback_only(public):
            self._log.warning(
                "service.metrics_public",
                reason="everyone who reaches the port can read /metrics, and in /status the names "
                "and states of probes and plugins",
                hint="set ALIAPORT_INTERNAL_PORT, or ALIAPORT_METRICS_AUTH, or let the proxy block "
                "both paths",
            )

    def _count_connections(self) -> dict[str, tuple[int, int]]:
        return {
            listener: (len(pool), pool.capacity) for listener, pool in self._state.pools.items()
        }

    async def _start(self) -> None:
        if os.geteuid() == 0:
            self._log.warning("service.runs_as_root", hint=ROOT_HINT)
        for warning in environment_warnings(self._sources):
            self._log.warning("configuration.ignored", problem=warning)
        deprecations = renamed_options(self._sources, (), Settings.renamed_options)
        problems = token_file_problems(self._settings, self._sources)
        problems += await self._host.load()
        for found in await asyncio.gather(*(app.load(self._sources) for app in self._apps)):
            problems += found
        for component in self._state.components:
            deprecations += component.deprecations
        for shadow in self._host.shadowed():
            self._log.warning("plugin.shadowed", **asdict(shadow), hint=SHADOWED_HINT)
        for deprecation in deprecations:
            self._log.warning("configuration.deprecated", problem=deprecation)
        reject_shared_prefixes(self._apps)
        if problems:
            raise ConfigError(problems)
        database_url = await self._database_url()
        self._warn_unverified(database_url)
        problems = await self._host.construct(database_url)
        if problems:
            raise ConfigError(problems)
        await self._audit_start()
        if self._apps:
            await start_libuv_threads()
        for app in self._apps:
            app.begin(self._host.context(app.candidate, database_url), self._state.http.expect)
        await asyncio.gather(self._host.start(), *(app.attempted.wait() for app in self._apps))
        for absence in self._host.absent:
            self._log.error("plugin.absent", plugin=absence.name, reason=absence.problem)
        keep_what_is_loaded()
        if not self._host.instances:
            self._log.warning(
                "service.no_plugins", hint="install at least one, such as aliaport-db"
            )
        self._log.info(
            "service.started",
            seconds=round(time.monotonic() - self._state.started, 2),
            plugins=[instance.name for instance in self._host.instances if instance.alive],
            drain_seconds=self._settings.drain_seconds,
            max_check_interval=max_check_interval(self._settings.drain_seconds),
        )

    async def _database_url(self) -> SecretStr | None:
        given = self._settings.database_url
        if given is not None or not self._host.needs_database:
            return given
        if self._host.lacks_database:
            raise StartupError(NO_DATABASE)
        folder = own_folder()
        self._database = BackgroundPostgres(folder)
        url = await self._database.start()
        self._log.info("database.embedded", folder=str(folder))
        if problem := await self._database.limit_problem():
            self._log.warning("database.near_process_limit", problem=problem, hint=FORKING_HINT)
        self._host.data_folders.append(folder)
        return SecretStr(url)

    def _warn_unverified(self, database_url: SecretStr | None) -> None:
        if database_url is None or self._settings.environment != "production":
            return
        url = DatabaseUrl.parse(database_url.get_secret_value()).resolved()
        problem = unverified_server(url)
        if problem:
            self._log.warning("database.unverified", problem=problem, hint=UNVERIFIED_HINT)

    async def _drain(self) -> None:
        drain = self._state.drain
        drain.active, drain.ends_at = True, time.monotonic() + self._settings.drain_seconds
        self._log.info("service.draining", seconds=self._settings.drain_seconds)
        record = asyncio.create_task(
            self._record_audit("service.drain_started", signals=self._signals)
        )
        if self._signals < 2:
            await finish_within(self._skip_drain.wait(), self._settings.drain_seconds)
        await record

    async def _end(self) -> None:
        try:
            await self._server.close()
            await asyncio.gather(self._host.stop(), *(app.stop() for app in self._apps))
        finally:  # whatever fails, the server must not outlive the service
            if self._database is not None:
                await self._database.stop()
        self._watch.stop()
        self._log.info("service.stopped")
        if self._sentry is not None:
            self._sentry.flush()
        self._logs.close()

    async def _audit_start(self) -> None:
        """Record the plugins and the configuration that the service runs with."""
        values = masked(self._settings) | {
            "plugins": {
                instance.name: instance.shown_options
                for instance in self._host.instances
                if instance.alive
            }
        }
        # Concurrently: an unresponsive disk delays the start by one deadline, not by many.
        records = [
            self._record_audit(
                "configuration.applied", **{f"config_{key}": value for key, value in values.items()}
            )
        ]
        for component in self._state.components:
            rejection = component.rejection
            fields: dict[str, Any] = {
                "plugin": component.name,
                "distribution": component.candidate.distribution,
                "distribution_version": component.candidate.version,
            }
            if rejection is None:
                records.append(self._record_audit("plugin.loaded", **fields))
            else:
                fields |= {"stage": rejection.stage, "reason": rejection.reason}
                records.append(self._record_audit("plugin.rejected", outcome="failure", **fields))
        await asyncio.gather(*records)

    async def _record_audit(self, action: str, **fields: Any) -> None:
        """Record an action that happens in any case; log an error if it cannot be recorded."""
        try:
            await self._audit.arecord(action, **fields)
        except AuditError as error:
            self._log.error("audit.failed", action=action, reason=str(error))

    def _report_failure(self, error: BaseException) -> int:
        """Return the exit code of a start that failed. Raises an error that has no explanation."""
        if not isinstance(error, AliaportError):
            error = limit_error(error) or error
        code = error.exit_code if isinstance(error, AliaportError) else 1
        # Writing to standard error may block, if nobody reads it.
        self._ending.within(end_timeout(self._settings), code)
        if not isinstance(error, AliaportError):
            raise error
        self._log.error("service.failed", reason=str(error))
        with suppress(OSError):
            sys.stderr.write(f"aliaport: {error}\n")
        return error.exit_code

    def _on_stop_signal(self) -> None:
        self._signals += 1
        self._stop.set()
        if self._signals == 2:
            self._skip_drain.set()

    def _logger_for(self, candidate: Candidate) -> Logger:
        logger: Logger = self._logs.logger(
            plugin=candidate.name,
            distribution=candidate.distribution,
            distribution_version=candidate.version,
        )
        return logger

    def _audit_for(self, candidate: Candidate) -> Audit:
        return self._logs.audit(plugin=candidate.name, distribution=candidate.distribution)


def stop_timeout(settings: Settings) -> float:
    """Return the maximum seconds from the first stop signal to the exit, whatever happens."""
    return max(settings.drain_seconds, RECORD_TIMEOUT) + end_timeout(settings)


def end_timeout(settings: Settings) -> float:
    """Return the maximum seconds from the end of the drain to the exit, whatever happens."""
    if settings.end_timeout is not None:
        return settings.end_timeout
    return (
        CLOSE_TIMEOUT
        + settings.plugin_limits.stop_all_timeout
        + (2 * EMBEDDED_STOP if settings.open else 0)
        + SENTRY_FLUSH
        + LOG_CLOSE
        + END_MARGIN
    )
