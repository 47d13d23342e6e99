"""Applies the migrations of all selected plugins and applications, without starting any of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from pydantic import SecretStr

from aliaport.contract.start_progress import START_PROGRESS, StartProgress
from aliaport.embedded import borrowed_database
from aliaport.errors import AliaportError, ConfigError, StartupError
from aliaport.host.context import HostContext
from aliaport.host.discovery import Candidate, scan, unknown_names
from aliaport.logs.command_audit import CommandAudit
from aliaport.logs.terminal import terminal_logger
from aliaport.metrics.registry import MetricRegistry
from aliaport.postgres import Migration, migrate
from aliaport.settings import Settings, service_fields

GROUP = "aliaport.migrations"
"""Entry points: the name is the component of `migrate`, the object a sequence of migrations."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """The result for one component: the version of its tables, and how many steps were applied."""

    component: str
    version: int
    applied: int


async def migrate_selected(settings: Settings) -> list[Migrated]:
    """Apply what is missing, in alphabetical order.

    Raises ConfigError for unknown names in the selection, StartupError without a database,
    AliaportError for migrations that cannot be loaded or applied, and the errors of connecting.
    """
    selection = settings.selection
    candidates = scan(selection.allow, selection.disable, required=selection.required)
    problems = [
        *unknown_names("selection.allow", selection.allow or (), candidates),
        *unknown_names("selection.disable", selection.disable, candidates),
    ]
    if problems:
        raise ConfigError(problems)
    declared = {entry.name: _load(entry) for entry in _declared(candidates)}
    if not declared:
        return []
    with borrowed_database(settings) as url:
        if url is None:
            raise StartupError(
                "DATABASE_URL is not set; set it to the URL of the role that owns the tables"
            )
        return [
            await _migrated(settings, component, declared[component], url)
            for component in sorted(declared)
        ]


async def _migrated(
    settings: Settings, component: str, migrations: Sequence[Migration], url: SecretStr
) -> Migrated:
    context = HostContext(
        plugin=component,
        log=terminal_logger(plugin=component),
        audit=CommandAudit(settings.log, service_fields(settings), {"plugin": component}),
        environment=settings.environment,
        given_url=url,
        registry=MetricRegistry(settings.metrics.max_series_per_family),
    )
    START_PROGRESS.set(StartProgress(settings.plugin_limits.migration_timeout))
    applied = await migrate(context, component, migrations)
    return Migrated(component, len(migrations), applied)


def _declared(candidates: Sequence[Candidate]) -> Iterator[EntryPoint]:
    """Yield what the distributions of selected plugins and applications declare."""
    for candidate in candidates:
        if not candidate.selected:
            continue
        if candidate.rejection is not None:
            if candidate.rejection.outranked:
                continue
            raise AliaportError(f"{candidate.name} is rejected: {candidate.rejection}")
        distribution = candidate.entry.dist
        assert distribution is not None  # it was found in one
        yield from distribution.entry_points.select(group=GROUP)


def _load(entry: EntryPoint) -> Sequence[Migration]:
    try:
        loaded = entry.load()
    except (ImportError, AttributeError) as error:
        raise AliaportError(f"the migrations {entry.value} cannot be imported: {error}") from None
    if not isinstance(loaded, list | tuple) or not all(
        isinstance(step, Migration) for step in loaded
    ):
        raise AliaportError(
            f"{entry.value} is not a list of aliaport.postgres.Migration; its authors must correct "
            f"the entry point in the group {GROUP}"
        )
    return loaded
