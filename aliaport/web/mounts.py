"""Applications mounted beside the state's routes: imported, started with retries, stopped."""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
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

from aliaport.apps import App
from aliaport.errors import ConfigError
from aliaport.host.discovery import Candidate, RejectedError, Rejection, check_api, load
from aliaport.host.report import PluginRow
from aliaport.isolation.bulkhead import Bulkhead, finish_within
from aliaport.isolation.failures import Failure, describe
from aliaport.metrics.http import UNMATCHED
from aliaport.plugin import Context, Logger, PluginConfig
from aliaport.settings import Sources, plugin_config

IMPORT_TIMEOUT = 10.0
START_TIMEOUT = 10.0
STOP_TIMEOUT = 3.0
FIRST_RETRY = 1.0
LAST_RETRY = 60.0
"""All in seconds."""


Expect = Callable[[str, str, int], None]


@cache
def endpoint_label(canonical: str) -> str:
    """The label `endpoint` of the route with this template, of which there are but a few."""
    return canonical.rstrip("/") or "/"


class WholePaths(PrefixedSubAppResource):
    """An application whose routes have their whole path, which aiohttp cannot mount."""

    def __init__(self, application: web.Application) -> None:
        PrefixResource.__init__(self, "")
        self._app = application


class MountedApp:
    """One application. Use it on the HTTP loop only; `attempted` as with plugins."""

    def __init__(self, candidate: Candidate, log: Logger) -> None:
        self.candidate = candidate
        self.name = candidate.name
        self.rejection = candidate.rejection
        self.problem = ""
        self.declared: App | None = None
        self.running: PrefixedSubAppResource | None = None
        self.attempted = asyncio.Event()
        self._log = log
        self._config = PluginConfig()
        self._application: web.Application | None = None
        self._task: asyncio.Task[None] | None = None
        if self.rejection is not None:
            self.reject(self.rejection)

    def row(self) -> PluginRow:
        """The application as /status lists it."""
        state = "rejected" if self.rejection else "running" if self.running else "starting"
        return PluginRow(
            self.name,
            state,
            self.candidate.distribution,
            self.candidate.version,
            "app",
            self.rejection,
            self.problem,
        )

    def reject(self, rejection: Rejection) -> None:
        """Take the application out for good, and say so once."""
        self.rejection = rejection
        self.attempted.set()
        self._log.error(
            "app.rejected",
            distribution=self.candidate.distribution,
            stage=rejection.stage,
            reason=rejection.reason,
            hint=rejection.hint,
        )

    async def load(self, sources: Sources) -> tuple[str, ...]:
        """Import it in a thread of its own; return everything that is wrong with its options."""
        if self.rejection is not None:
            return ()
        bulkhead = Bulkhead(self.name, self.candidate.package, self._notify)
        run = bulkhead.submit(
            lambda: self._import(sources), timeout=IMPORT_TIMEOUT, freeze=lambda value: value
        )
        await run.done
        where = run.expired_where
        bulkhead.close()
        if not run.answered or run.failure is not None:
            reason = str(run.failure) if run.answered else f"no end within 10 s (at {where})"
            hint = "importing must do no input or output"
            self.reject(Rejection("import", reason, hint))
        elif isinstance(run.value, Rejection):
            self.reject(run.value)
        else:
            self.declared, self._config, problems = run.value
            return tuple(problems)
        return ()

    def begin(self, context: Context, expect: Expect) -> None:
        """Start it in the background, again and again until it succeeds.

        `expect` is then told of its routes and of the status whose first occurrence counts.
        """
        if self.declared is not None:
            self._task = asyncio.create_task(self._keep_starting(self.declared, context, expect))

    async def stop(self) -> None:
        """Let it release what it has; takes at most STOP_TIMEOUT."""
        if self._task is not None:
            self._task.cancel()
        if self._application is not None and not await finish_within(
            _end(self._application), STOP_TIMEOUT
        ):
            self._log.warning("app.stop_failed", reason=f"no end within {STOP_TIMEOUT:g} s")

    def _import(self, sources: Sources) -> Any:
        try:
            declared = load(self.candidate)
            if not isinstance(declared, App):
                raise RejectedError(
                    "type",
                    f"{self.candidate.entry.value} is {type(declared).__name__}, not an App",
                    "let the entry point name an aliaport.apps.App",
                )
            check_api(self.candidate, declared.api)
        except RejectedError as error:
            return error.rejection
        try:
            return declared, plugin_config(sources, "apps", self.name, declared.config), ()
        except ConfigError as error:
            return declared, self._config, error.problems

    async def _keep_starting(self, declared: App, context: Context, expect: Expect) -> None:
        pause = FIRST_RETRY
        while True:
            try:
                application = declared.create(context, self._config)
                resource = (
                    PrefixedSubAppResource(declared.prefix, application)
                    if declared.prefix
                    else WholePaths(application)
                )
                application.freeze()
                task = asyncio.ensure_future(application.startup())
                done, _ = await asyncio.wait({task}, timeout=START_TIMEOUT)
                if done:
                    task.result()
                    break
                task.cancel()
                self._fail(f"no end of its start within {START_TIMEOUT:g} s", "")
            except Exception as error:  # the bulkhead of an application's start
                failure = describe(error, self.candidate.package)
                self._fail(str(failure), failure.traceback)
            self.attempted.set()
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311
            pause = min(LAST_RETRY, pause * 2)
        self._application, self.running, self.problem = application, resource, ""
        for route in application.router.routes():
            if route.resource is not None and route.method not in ("HEAD", "OPTIONS", "*"):
                expect(route.method, endpoint_label(route.resource.canonical), 500)
        self._log.info("app.running", prefix=" ".join(declared.roots))
        self.attempted.set()

    def _fail(self, problem: str, traceback: str) -> None:
        if problem != self.problem:
            self._log.error("app.start_failed", reason=problem, traceback=traceback)
        self.problem = problem

    def _notify(self, event: str, failure: Failure) -> None:
        self._log.error(event, reason=str(failure), where=failure.where)


class AppNotRunning(MatchInfoError):
    """No application answers under `prefix` now: 503, counted under the prefix."""

    def __init__(self, app: MountedApp, prefix: str) -> None:
        text = f"the application {app.name} is {app.row().state}"
        super().__init__(web.HTTPServiceUnavailable(text=text))
        self.prefix = prefix


class Mounts(PrefixResource):
    """Answers under the applications' prefixes: they do, or 503 while they do not run.

    One resource for all, since the routes are fixed before the applications are imported.
    """

    def __init__(self, apps: Sequence[MountedApp]) -> None:
        super().__init__("/")
        self._apps = apps

    async def resolve(self, request: web.Request) -> tuple[Any, set[str]]:
        """Let the router of the application decide whose prefix it is."""
        path = request.rel_url.raw_path
        for app in self._apps:
            root = app.declared and app.declared.root_of(path)
            if not root:
                continue
            if app.running is not None:
                return await app.running.resolve(request)
            return AppNotRunning(app, root), set()
        for app in self._apps:
            if app.declared is None and app.rejection is None:  # it may be the one: not imported
                return AppNotRunning(app, UNMATCHED), set()
        return None, set()

    def url_for(self, *_args: str, **_kwargs: str) -> URL:
        """There is none: the applications know their own."""
        raise RuntimeError("the applications make their own URLs")

    def get_info(self) -> Any:
        """What aiohttp shows in debugging."""
        return {"prefix": self._prefix}

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[AbstractRoute]:
        return iter(())


def reject_shared_prefixes(apps: Iterable[MountedApp]) -> None:
    """Reject all applications that want one and the same prefix."""
    wanted: dict[str, list[MountedApp]] = {}
    for app in apps:
        for root in app.declared.roots if app.declared else ():
            wanted.setdefault(root, []).append(app)
    for prefix, rivals in wanted.items():
        if len(rivals) > 1:
            names = " and ".join(app.name for app in rivals)
            for app in rivals:
                if app.rejection is not None:
                    continue
                app.declared = None
                hint = "disable all but one of them"
                app.reject(Rejection("collision", f"{names} both want {prefix}", hint))


async def _end(application: web.Application) -> None:
    await application.shutdown()
    await application.cleanup()
