"""What tells this service from others in logs and error reports."""

from aliaport import __version__
from aliaport.settings.model import Settings

SERVICE = "aliaport-api"


def service_fields(settings: Settings) -> dict[str, str]:
    """The fields of the Elastic Common Schema that every line carries."""
    return {
        "service.name": SERVICE,
        "service.version": __version__,
        "service.environment": settings.environment,
    }
