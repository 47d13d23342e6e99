"""Checks the configuration of the service on this machine, and that its log is written."""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from aliaport.correlation import REQUEST_ID_HEADER
from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed, warned
from aliaport.postgres.tls import HINT as UNVERIFIED_HINT
from aliaport.postgres.tls import unverified_server
from aliaport.settings import Settings
from aliaport.settings.database_url import DatabaseUrl

KEEP_DAYS, KEEP_AUDIT_DAYS = 30, 90
LOG_FILES = ("app.log", "api.log", "error.log", "audit.log")
LOGGED_PATH = "/doctor"
"""A path that does not exist: every 404 is logged, but not every successful request of a probe."""

TAIL = 262_144
"""Bytes to read from the end of a log file."""

WAIT = 3.0
"""Seconds to wait for a line on the disk: writers write batches several times a second."""

_ELSEWHERE = not_checked(
    "doctor has no configuration of the service",
    "run doctor on the service's machine without --url, with its environment or --config",
)

_ASSUMED = "; doctor found no configuration and assumes the defaults"


async def sentry(_run: Run, settings: Settings) -> Finding:
    """Check that a DSN is set; its form was validated when the configuration was read."""
    if settings.sentry_dsn is None:
        raise CheckFailed(
            "SENTRY_DSN is not set: errors are only logged",
            "set SENTRY_DSN or SENTRY_DSN_FILE to the DSN shown under the project's Client Keys",
        )
    parts = urlsplit(settings.sentry_dsn.get_secret_value())
    project = parts.path.rpartition("/")[2]
    return passed(f"set: project {project} at {parts.hostname} (Sentry itself was not contacted)")


async def database(_run: Run, settings: Settings) -> Finding:
    """Check that the server of the database is verified before it receives the password."""
    if settings.environment != "production":
        return not_checked(f"the environment is {settings.environment}, not production")
    if settings.database_url is None:
        return not_checked("DATABASE_URL is not set")
    url = DatabaseUrl.parse(settings.database_url.get_secret_value()).resolved()
    problem = unverified_server(url)
    return warned(problem, UNVERIFIED_HINT) if problem else passed("verified, or on this machine")


async def retention(_run: Run, settings: Settings) -> Finding:
    """Check that logs are kept for at least the days that the specification requires."""
    log = settings.log
    seen = (
        f"{log.keep_days} days, audit {log.keep_audit_days} days, "
        f"at most {log.max_total_mb} MB in total"
    )
    if log.keep_days >= KEEP_DAYS and log.keep_audit_days >= KEEP_AUDIT_DAYS:
        return passed(seen)
    raise CheckFailed(
        seen,
        f"set ALIAPORT_LOG__KEEP_DAYS to at least {KEEP_DAYS} and ALIAPORT_LOG__KEEP_AUDIT_DAYS "
        f"to at least {KEEP_AUDIT_DAYS}",
    )


async def log_written(run: Run, settings: Settings) -> Finding:
    """Check that doctor's own request appears in the log file within seconds."""
    if settings.log.level not in ("debug", "info"):
        age = await _in_thread(lambda: newest_line(settings), run.targets.timeout)
        return not_checked(
            f"log.level is {settings.log.level}, so requests are not logged; newest line: {age}"
        )
    mark = f"doctor-{secrets.token_hex(8)}"
    await run.service().get(LOGGED_PATH, {REQUEST_ID_HEADER: mark})
    file = settings.log.folder / "api.log"
    sent = time.monotonic()
    while time.monotonic() - sent < WAIT:
        if await _in_thread(lambda: mark in _tail(file), run.targets.timeout):
            seconds = time.monotonic() - sent
            return passed(f"doctor's request was in {file} within {seconds:.1f} s")
        await asyncio.sleep(0.05)
    age = await _in_thread(lambda: newest_line(settings), run.targets.timeout)
    raise CheckFailed(
        f"doctor's request is not in {file} after {WAIT:g} s; newest line: {age}",
        "check that this is the service's log folder, and see its probe `log` in /status",
        "LogWriteFailing",
    )


def newest_line(settings: Settings) -> str:
    """Return the age of the newest line in the four files, in words."""
    ages = [age for name in LOG_FILES if (age := _age(settings.log.folder / name)) is not None]
    return f"{min(ages):.0f} s old" if ages else "none"


def _age(file: Path) -> float | None:
    for line in reversed(_tail(file).splitlines()):
        try:
            at = datetime.fromisoformat(json.loads(line)["@timestamp"])
        except (ValueError, KeyError, TypeError):
            continue  # the last line may be half written, and the first is cut
        return time.time() - at.timestamp()
    return None


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - TAIL))
            return stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


async def _in_thread(look: Callable[[], object], timeout: float) -> object:
    """Run `look` in a daemon thread, so that a stuck disk cannot keep doctor from exiting."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[object] = loop.create_future()

    def settle(outcome: object, error: OSError | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(outcome)

    def run() -> None:
        outcome, problem = None, None
        try:
            outcome = look()
        except OSError as error:
            problem = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, outcome, problem)

    threading.Thread(target=run, name="doctor-log", daemon=True).start()
    todo = "check the permissions of the log folder, and its disk"
    try:
        async with asyncio.timeout(timeout):
            return await done
    except TimeoutError:
        raise CheckFailed(f"the log folder was not read within {timeout:g} s", todo) from None
    except OSError as error:
        raise CheckFailed(f"{error.filename}: {error.strerror}", todo, "LogWriteFailing") from None


def _with_settings(
    look: Callable[[Run, Settings], Awaitable[Finding]],
) -> Callable[[Run], Awaitable[Finding]]:
    """Make a check of `look`, which needs the service's settings."""

    async def check(run: Run) -> Finding:
        settings = run.targets.settings
        if settings is None:
            return _ELSEWHERE
        if run.targets.configured:
            return await look(run, settings)
        status = await run.service(detailed=True).json("/status")
        environment = status["data"]["environment"]
        if environment != settings.environment:
            return not_checked(
                f"doctor found no configuration, but the service has one: it is in {environment}",
                "run doctor with the service's environment or --config",
            )
        try:
            finding = await look(run, settings)
        except CheckFailed as failed:
            finding = failed.finding
        return replace(finding, seen=finding.seen + _ASSUMED)

    return check


CHECKS = (
    Check("configuration.sentry", "Sentry DSN is set", _with_settings(sentry)),
    Check("configuration.database", "Database server is verified", _with_settings(database)),
    Check("configuration.retention", "Logs are kept 30 days, audit 90", _with_settings(retention)),
    Check("configuration.log", "Logs are written", _with_settings(log_written)),
)
