"""The compose files as written, and their services."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BASE, MONITORING, ELK = (
    *("docker-compose.yml", "docker-compose.monitoring.yml"),
    "elk/docker-compose.elk.yml",
)
FILES = (BASE, MONITORING, ELK)
TEXTS = {name: (DEPLOY / name).read_text() for name in FILES}
COMPOSE: dict[str, dict[str, Any]] = {name: yaml.safe_load(TEXTS[name]) for name in FILES}

_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[-?])([^}]*))?\}|(?<!\$)\$(\w+)")


@dataclass(frozen=True)
class Service:
    """One service of one file."""

    file: str
    name: str
    values: dict[str, Any]

    def get(self, key: str) -> Any:
        return self.values.get(key)

    @property
    def environment(self) -> dict[str, Any]:
        found: dict[str, Any] = self.values.get("environment", {})
        return found

    @property
    def runs_once(self) -> bool:
        return bool(self.get("restart") == "no")

    def mounts(self) -> dict[str, tuple[str, str]]:
        """Return the source (its default) and the options, by the path in the container."""
        found = {}
        for volume in self.values.get("volumes", []):
            source, target, options = re.fullmatch(
                r"([^:]+):(/[^:]*)(?::(.+))?", with_defaults(volume)
            ).groups()  # type: ignore[union-attr]
            found[target] = (source, options or "")
        return found

    def secrets(self) -> dict[str, str]:
        """Return the secrets by their file names below /run/secrets."""
        return {
            (secret if isinstance(secret, str) else secret["target"]): (
                secret if isinstance(secret, str) else secret["source"]
            )
            for secret in self.values.get("secrets", [])
        }


SERVICES = [
    Service(file, name, values)
    for file, compose in COMPOSE.items()
    for name, values in compose["services"].items()
]
each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service.name))
each_file = pytest.mark.parametrize("file", FILES)


def service(name: str) -> Service:
    (found,) = [service for service in SERVICES if service.name == name]
    return found


def variables(text: str) -> list[tuple[str, str, str]]:
    """Return the name, the operator and the text after it, for each variable that Compose inserts."""
    return [(a or d, b, c) for a, b, c, d in _VARIABLE.findall(text)]


def with_defaults(text: str) -> str:
    """Return `text` with no variable set; those without a default become their name."""
    return _VARIABLE.sub(
        lambda found: (found[3] or "") if (found[2] or "").endswith("-") else str(found[1]), text
    )


def seconds(text: str) -> float:
    """Return the seconds of a Compose duration: 90s, 2m, 1m30s."""
    parts = re.findall(r"(\d+)(h|m|s)", text)
    assert "".join(number + unit for number, unit in parts) == text, text
    return float(sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts))


def example() -> dict[str, str]:
    """Return the variables of .env.production.example, including those behind a #."""
    text = (DEPLOY / ".env.production.example").read_text()
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))
