"""What the configuration of the service on this machine says, and whether its log is written."""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from aliaport.correlation import REQUEST_ID_HEADER
from aliaport.doctor.checks import Check, Run
from aliaport.doctor.findings import CheckFailed, Finding, not_checked, passed
from aliaport.settings import Settings

KEEP_DAYS, KEEP_AUDIT_DAYS = 30, 90
LOG_FILES = ("app.log", "api.log", "error.log", "audit.log")
LOGGED_PATH = "/doctor"
"""Nothing is there: the service logs that, but not each successful look at what there is."""

TAIL = 262_144
"""Bytes at the end of a log file that are looked at."""

WAIT = 3.0
"""Seconds within which a line is on the disk: writers work in batches, several times a second."""

_ELSEWHERE = not_checked(
    "no configuration of the service is known here",
    "run doctor beside the service without --url, with its environment or --config",
)


async def sentry(run: Run) -> Finding:
    """A DSN is set. That it is well-formed was checked when the configuration was read."""
    settings = run.targets.settings
    if settings is None:
        return _ELSEWHERE
    if settings.sentry_dsn is None:
        raise CheckFailed(
            "SENTRY_DSN is not set: errors are told to nobody but the log",
            "set SENTRY_DSN or SENTRY_DSN_FILE to the DSN under the project's Client Keys",
        )
    parts = urlsplit(settings.sentry_dsn.get_secret_value())
    project = parts.path.rpartition("/")[2]
    return passed(f"set: project {project} at {parts.hostname} (Sentry itself was not asked)")


async def retention(run: Run) -> Finding:
    """At least the specification's days."""
    settings = run.targets.settings
    if settings is None:
        return _ELSEWHERE
    log = settings.log
    seen = (
        f"{log.keep_days} days, audit {log.keep_audit_days} days, "
        f"all together at most {log.max_total_mb} MB"
    )
    if log.keep_days >= KEEP_DAYS and log.keep_audit_days >= KEEP_AUDIT_DAYS:
        return passed(seen)
    raise CheckFailed(
        seen,
        f"set ALIAPORT_LOG__KEEP_DAYS to {KEEP_DAYS} and ALIAPORT_LOG__KEEP_AUDIT_DAYS to "
        f"{KEEP_AUDIT_DAYS} at least",
    )


async def log_written(run: Run) -> Finding:
    """A request of doctor's own is on the disk soon."""
    settings = run.targets.settings
    if settings is None:
        return _ELSEWHERE
    if settings.log.level not in ("debug", "info"):
        age = await _aside(lambda: newest_line(settings), run.targets.timeout)
        return not_checked(
            f"log.level is {settings.log.level}, so requests are not logged; newest line: {age}"
        )
    mark = f"doctor-{secrets.token_hex(8)}"
    await run.service().get(LOGGED_PATH, {REQUEST_ID_HEADER: mark})
    file = settings.log.folder / "api.log"
    asked = time.monotonic()
    while time.monotonic() - asked < WAIT:
        if await _aside(lambda: mark in _tail(file), run.targets.timeout):
            seconds = time.monotonic() - asked
            return passed(f"doctor's request was in {file} within {seconds:.1f} s")
        await asyncio.sleep(0.05)
    age = await _aside(lambda: newest_line(settings), run.targets.timeout)
    raise CheckFailed(
        f"doctor's request is not in {file} after {WAIT:g} s; newest line: {age}",
        "see whether this is the service's folder and what its probe `log` says",
        "LogWriteFailing",
    )


def newest_line(settings: Settings) -> str:
    """How old the newest line of all four files is, in words."""
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


async def _aside(look: Callable[[], object], timeout: float) -> object:
    """Run `look` in a thread that nobody waits for at the end: a disk may be stuck."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[object] = loop.create_future()

    def tell(outcome: object, error: OSError | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(outcome)

    def run() -> None:
        outcome, problem = None, None
        try:
            outcome = look()
        except OSError as error:
            problem = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, outcome, problem)

    threading.Thread(target=run, name="doctor-log", daemon=True).start()
    todo = "look at the rights of the log folder, and at its disk"
    try:
        async with asyncio.timeout(timeout):
            return await done
    except TimeoutError:
        raise CheckFailed(f"the log folder does not answer within {timeout:g} s", todo) from None
    except OSError as error:
        raise CheckFailed(f"{error.filename}: {error.strerror}", todo, "LogWriteFailing") from None


CHECKS = (
    Check("configuration.sentry", "Sentry DSN is set", sentry),
    Check("configuration.retention", "Logs are kept 30 days, audit 90", retention),
    Check("configuration.log", "Logs are written", log_written),
)
