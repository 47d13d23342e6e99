"""The lifecycle that plugins and mounted applications share: rejection, start with retries."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, ClassVar, Literal

from aliaport.contract.start_progress import StartProgress
from aliaport.errors import ConfigError, InvalidDefaultsError, MissingOptionsError
from aliaport.host.discovery import Candidate, RejectedError, Rejection
from aliaport.host.report import PluginRow
from aliaport.isolation.bulkhead import Bulkhead
from aliaport.isolation.positions import at_position
from aliaport.plugin import Logger, PluginConfig
from aliaport.settings import Group, PluginLimits, Sources, plugin_config


class State(StrEnum):
    """The state of a plugin or application."""

    STARTING = "starting"
    RUNNING = "running"
    REJECTED = "rejected"
    STOPPED = "stopped"


class Component:
    """One plugin or mounted application. Use it on the HTTP loop only.

    `deprecations` holds a warning for each old name of an option that the operator uses.
    `problems` lists what is wrong with its options. `problem` says why the last attempt to start
    failed. `attempted` is set once the first attempt has succeeded or failed.
    """

    kind: ClassVar[Literal["plugin", "app"]]

    def __init__(self, candidate: Candidate, log: Logger, limits: PluginLimits) -> None:
        self.candidate = candidate
        self.name = candidate.name
        self.log = log
        self.limits = limits
        self.state = State.STARTING
        self.rejection = candidate.rejection
        self.problem = ""
        self.problems: tuple[str, ...] = ()
        self.deprecations: list[str] = []
        self.attempted = asyncio.Event()
        self._bulkhead: Bulkhead | None = None
        self._progress = StartProgress(limits.migration_timeout)
        self._postponements = 0
        if self.rejection is not None:
            self.reject(self.rejection)

    @property
    def tasks(self) -> int:
        """The number of asyncio tasks alive in its bulkhead."""
        return self._bulkhead.tasks if self._bulkhead else 0

    @property
    def alive(self) -> bool:
        """True unless it has been rejected."""
        return self.state is not State.REJECTED

    @property
    def status(self) -> str:
        """Its state in a word: that of `state`, or `migrating`."""
        return "migrating" if self._migrates else self.state.value

    @property
    def trouble(self) -> str:
        """The reason why it does not run yet: the migration in progress, or the last failure."""
        return self._progress.activity if self._migrates else self.problem

    @property
    def _migrates(self) -> bool:
        return self.state is State.STARTING and bool(self._progress.activity)

    @property
    def outranked(self) -> bool:
        """True if it is rejected because another one keeps a name that both use."""
        return self.rejection is not None and self.rejection.outranked

    def row(self) -> PluginRow:
        """Return its row in /status."""
        return PluginRow(
            self.name,
            self.state.value,
            self.candidate.distribution,
            self.candidate.version,
            self.kind,
            self.rejection,
            self.trouble,
            self.tasks,
        )

    def close(self) -> None:
        """Stop the threads of its bulkhead as soon as their calls have ended."""
        if self._bulkhead is not None:
            self._bulkhead.close()

    def reject(self, rejection: Rejection) -> None:
        """Take it out of service for good, and log why."""
        self.state, self.rejection = State.REJECTED, rejection
        self.attempted.set()
        self.log.error(
            f"{self.kind}.rejected",
            distribution=self.candidate.distribution,
            stage=rejection.stage,
            reason=rejection.reason,
            hint=rejection.hint,
        )
        self.close()

    async def _call_guarded(
        self, function: Callable[[], Any], timeout: float, stage: str, hint: str
    ) -> Any:
        """Call `function` in the bulkhead; return its value, or None after rejecting the component.

        `function` may raise RejectedError; `stage` and `hint` describe any other failure.
        """

        def call() -> Any:
            try:
                return function()
            except RejectedError as error:
                return error.rejection

        run = self._require_bulkhead().submit(call, timeout=timeout, freeze=lambda value: value)
        await run.wait()
        if isinstance(run.value, Rejection):
            self.reject(run.value)
        elif not run.completed:
            reason = f"did not finish within {timeout:g} s{at_position(run.expired_where)}"
            self.reject(Rejection(stage, reason, hint))
        elif run.failure is not None:
            self.reject(Rejection(stage, str(run.failure), hint))
        else:
            return run.value
        return None

    def _validate(
        self, sources: Sources, group: Group, model: type[PluginConfig]
    ) -> tuple[PluginConfig, tuple[str, ...]]:
        """Return its options, and every problem that keeps the service from starting.

        Raises RejectedError if options are only missing, and the service can run without it, or if
        its author chose a wrong default.
        """
        try:
            return plugin_config(sources, group, self.name, model), ()
        except InvalidDefaultsError as error:
            raise RejectedError(
                "config",
                "; ".join(error.problems),
                "its authors must correct the default; until then, set the option to a valid value",
            ) from None
        except ConfigError as error:
            if isinstance(error, MissingOptionsError) and not self.candidate.required:
                raise RejectedError(
                    "config",
                    "; ".join(error.problems),
                    "set it, or disable the plugin with ALIAPORT_SELECTION__DISABLE",
                ) from None
            return PluginConfig(), error.problems

    def _require_bulkhead(self) -> Bulkhead:
        assert self._bulkhead is not None, "call load() first"
        return self._bulkhead

    async def _start_until_running(self, attempt: Callable[[], Awaitable[bool]]) -> None:
        """Await `attempt` with growing pauses until it returns True."""
        pause = self.limits.first_retry
        while not await attempt():
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311
            pause = min(self.limits.max_retry, pause * 2)

    def _new_progress(self) -> StartProgress:
        """Return the object in which the next attempt to start shows its migrations."""
        self._progress, self._postponements = StartProgress(self.limits.migration_timeout), 0
        return self._progress

    def _postpone(self) -> bool:
        """Return whether an attempt to start that has taken `start_timeout` may go on: it migrates.

        The service does not wait for it any longer. A migration ends itself in time; one whose
        thread is blocked does not go on for ever.
        """
        limits = self.limits
        granted = limits.start_timeout * (self._postponements - 1)
        if not self._migrates or granted > limits.migration_timeout:
            return False
        if not self._postponements:
            self.log.warning(
                f"{self.kind}.migrating",
                reason=self._progress.activity,
                hint=f"plugin_limits.migration_timeout bounds it: {limits.migration_timeout:g} s",
            )
        self._postponements += 1
        self.attempted.set()
        return True

    def _report_failed_start(self, problem: str, **fields: Any) -> None:
        """Record why an attempt to start failed; log it unless the last one failed the same way."""
        if problem != self.problem:
            self.log.error(f"{self.kind}.start_failed", reason=problem, **fields)
        self.problem = problem
        self.attempted.set()

    def _report_running(self, **fields: Any) -> None:
        self.state, self.problem = State.RUNNING, ""
        self.log.info(f"{self.kind}.running", **fields)
        self.attempted.set()
