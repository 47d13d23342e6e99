"""Applications mounted next to the core's routes: imported, started with retries, stopped."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from aiohttp import web
from aiohttp.web_urldispatcher import (
    AbstractRoute,
    MatchInfoError,
    PrefixedSubAppResource,
    PrefixResource,
)
from yarl import URL

from aliaport.apps import ApiDescription, App
from aliaport.contract.start_progress import START_PROGRESS
from aliaport.host.discovery import Candidate, RejectedError, Rejection
from aliaport.host.lifecycle import Component
from aliaport.host.loading import check_api, load
from aliaport.isolation.bulkhead import Bulkhead
from aliaport.isolation.containment import is_ending, outcome
from aliaport.isolation.failures import Failure, describe
from aliaport.isolation.source_lines import keep_lines
from aliaport.metrics.http import UNMATCHED
from aliaport.plugin import Context, Logger, PluginConfig
from aliaport.postgres.forgotten import terminate_forgotten
from aliaport.settings import PluginLimits, Sources, renamed_options
from aliaport.web.exact import ExactPath
from aliaport.web.headers import protect
from aliaport.web.openapi import description_of

Expect = Callable[[str, str, int], None]
"""Creates the /metrics series of a method, route and status, at 0."""


@cache
def endpoint_label(canonical: str) -> str:
    """Return the `endpoint` label of the route with this template; cached, since they are few."""
    return canonical.rstrip("/") or "/"


class WholePaths(PrefixedSubAppResource):
    """An application whose routes have their full path, which aiohttp itself cannot mount."""

    def __init__(self, application: web.Application) -> None:
        PrefixResource.__init__(self, "")
        self._app = application


class MountedApp(Component):
    """One application. `declared` is set once it is imported, `running` once it is started."""

    kind = "app"

    def __init__(self, candidate: Candidate, log: Logger, limits: PluginLimits) -> None:
        super().__init__(candidate, log, limits)
        self.declared: App | None = None
        self.description: ApiDescription | None = None
        self.running: PrefixedSubAppResource | None = None
        self._config = PluginConfig()
        self._context: Context | None = None
        self._application: web.Application | None = None
        self._task: asyncio.Task[None] | None = None

    async def load(self, sources: Sources) -> tuple[str, ...]:
        """Import it in its own thread; return every problem with its options."""
        if not self.alive:
            return ()
        bulkhead = self._bulkhead = Bulkhead(self.name, self.candidate.package, self._notify)
        imported = await self._call_guarded(
            lambda: self._import(sources),
            self.limits.import_timeout,
            "import",
            "importing must not do I/O; open resources in cleanup_ctx",
        )
        bulkhead.close()
        if imported is None:
            return ()
        self.declared, self.description, self._config, self.problems = imported
        self.deprecations = renamed_options(
            sources, ("apps", self.name), self.declared.config.renamed_options
        )
        return self.problems

    def begin(self, context: Context, expect: Expect) -> None:
        """Start it in the background, and retry until it succeeds.

        `expect` is then called for each of its routes.
        """
        if self.declared is not None:
            self._context = context
            self._task = asyncio.create_task(self._run(self.declared, context, expect))

    async def stop(self) -> None:
        """Let it release its resources; takes at most `limits.stop_timeout`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=self.limits.stop_timeout)
        if self._application is not None:
            await self._release(_end(self._application))
        if self._context is not None:
            terminate_forgotten(self._context)

    async def _release(self, ending: Awaitable[None]) -> None:
        """Await the end of the application for at most `limits.stop_timeout`; log what fails."""
        timeout = self.limits.stop_timeout
        task = asyncio.ensure_future(outcome(ending))
        done, _ = await asyncio.wait({task}, timeout=timeout)
        if not done:
            task.cancel()
            self.log.warning("app.stop_failed", reason=f"did not finish within {timeout:g} s")
        elif not task.cancelled() and (error := task.result()) is not None:
            failure = describe(error, self.candidate.package)
            self.log.warning(
                "app.stop_failed",
                reason=str(failure),
                where=failure.where,
                traceback=failure.traceback,
            )

    def _import(
        self, sources: Sources
    ) -> tuple[App, ApiDescription | None, PluginConfig, tuple[str, ...]]:
        declared = load(self.candidate)
        if not isinstance(declared, App):
            raise RejectedError(
                "type",
                f"{self.candidate.entry.value} is {type(declared).__name__}, not an App",
                "set the entry point to an aliaport.apps.App",
            )
        check_api(self.candidate, declared.api)
        keep_lines(self.candidate.package)
        description = description_of(declared)
        return declared, description, *self._validate(sources, "apps", declared.config)

    async def _run(self, declared: App, context: Context, expect: Expect) -> None:
        await self._start_until_running(lambda: self._start(declared, context))
        if self._application is None:  # it was rejected
            return
        for route in self._application.router.routes():
            if route.resource is not None and route.method not in ("HEAD", "OPTIONS", "*"):
                expect(route.method, endpoint_label(route.resource.canonical), 500)
        self._report_running(prefix=" ".join(declared.roots))

    async def _start(self, declared: App, context: Context) -> bool:
        """Create and start the application once; return whether that is done, or was in vain.

        What an attempt has acquired that failed, or during which the service stops, is released.
        """
        application, started = None, False
        try:
            application = self._create(declared, context)
            resource = (
                PrefixedSubAppResource(declared.prefix, application)
                if declared.prefix
                else WholePaths(application)
            )
            application.on_response_prepare.append(protect)
            application.freeze()
            started = await self._start_up(application)
            if started:
                self._application, self.running = application, resource
        except RejectedError as error:
            self.reject(error.rejection)
            return True
        except BaseException as error:  # the bulkhead of an application's start
            if is_ending(error):
                raise
            self._report_raised(error)
        finally:
            if not started:
                if application is not None:
                    await self._release(application.cleanup())
                terminate_forgotten(context)
        return started

    def _create(self, declared: App, context: Context) -> web.Application:
        created: object = declared.create(context, self._config)
        if isinstance(created, web.Application):
            return created
        if inspect.iscoroutine(created):
            created.close()  # or Python would warn that it was never awaited
        reason = f"create() returned {type(created).__name__}, not an aiohttp.web.Application"
        raise RejectedError("declare", reason, "return the application from create()")

    async def _start_up(self, application: web.Application) -> bool:
        """Start the application within `limits.start_timeout`; return whether it started."""
        limit, progress = self.limits.start_timeout, self._new_progress()

        async def start() -> None:
            START_PROGRESS.set(progress)
            await application.startup()

        task = asyncio.ensure_future(outcome(start()))
        try:
            done, _ = await asyncio.wait({task}, timeout=limit)
            while not done and self._postpone():
                done, _ = await asyncio.wait({task}, timeout=limit)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=self.limits.stop_timeout)
        if not done:
            self._report_failed_start(f"its start did not finish within {limit:g} s", traceback="")
        elif (error := task.result()) is not None:
            self._report_raised(error)
        else:
            return True
        return False

    def _report_raised(self, error: BaseException) -> None:
        failure = describe(error, self.candidate.package)
        self._report_failed_start(str(failure), where=failure.where, traceback=failure.traceback)

    def _notify(self, event: str, failure: Failure) -> None:
        self.log.error(event, reason=str(failure), where=failure.where)


class AppNotRunning(MatchInfoError):
    """The match for an application that is not running: 503, counted under `prefix`."""

    def __init__(self, text: str, prefix: str) -> None:
        super().__init__(web.HTTPServiceUnavailable(text=text))
        self.prefix = prefix


class Mounts(PrefixResource):
    """Routes the paths below the applications' prefixes to them; 503 for those not running.

    A single resource, since the routes are fixed before the applications are imported. Of the
    other paths, it has the one of `document`.
    """

    def __init__(self, apps: Sequence[MountedApp], document: ExactPath) -> None:
        super().__init__("/")
        self._apps = apps
        self._document = document

    async def resolve(self, request: web.Request) -> tuple[Any, set[str]]:
        """Resolve the request with the router of the application that has this prefix."""
        path = request.rel_url.raw_path
        for app in self._apps:
            root = app.declared and app.declared.root_of(path)
            if not root:
                continue
            if app.running is not None:
                return await app.running.resolve(request)
            return AppNotRunning(f"the application {app.name} is {app.status}", root), set()
        loading = [app.name for app in self._apps if app.declared is None and app.alive]
        if loading:
            text = f"the path may belong to an application that is loading: {', '.join(loading)}"
            return AppNotRunning(text, UNMATCHED), set()
        return await self._document.resolve(request)

    def url_for(self, *_args: str, **_kwargs: str) -> URL:
        """Raise RuntimeError: only the applications know their URLs."""
        raise RuntimeError("the applications make their own URLs")

    def get_info(self) -> Any:
        """Return what aiohttp shows when debugging."""
        return {"prefix": self._prefix}

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[AbstractRoute]:
        return iter(())


def reject_shared_prefixes(apps: Iterable[MountedApp]) -> None:
    """Reject applications that declare the same prefix; the one of the highest rank keeps it."""
    wanted: dict[str, list[MountedApp]] = {}
    for app in apps:
        for root in app.declared.roots if app.declared else ():
            wanted.setdefault(root, []).append(app)
    for prefix, rivals in wanted.items():
        if len(rivals) < 2:
            continue
        highest = max(app.candidate.rank for app in rivals)
        keepers = [app for app in rivals if app.candidate.rank == highest]
        names = " and ".join(app.name for app in rivals)
        reason, hint = f"{names} declare the same prefix {prefix}", "disable all but one of them"
        for app in rivals:
            if app.alive and keepers != [app]:
                app.declared = None
                app.reject(Rejection("collision", reason, hint, outranked=len(keepers) == 1))


async def _end(application: web.Application) -> None:
    try:
        await application.shutdown()
    finally:
        await application.cleanup()
