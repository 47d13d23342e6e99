"""A pod as the service sees it: its environment, its configuration, its budgets."""

import re
from pathlib import Path
from typing import Any

from aliaport.settings import Settings, core_settings, read_sources
from tests.kubernetes.render import KUBERNETES, build, one, pod_spec

DOCKERFILE = (KUBERNETES.parents[1] / "Dockerfile").read_text()
SECRETS = {
    "database-url": "postgresql://aliaport:secret@db:5432/aliaport",
    "sentry-dsn": "https://key@sentry.example.org/1",
    "status-token": "a-token-of-sixteen-or-more",
}
"""The keys of the Secret `backend`, with values for tests."""


def container(overlay: str) -> dict[str, Any]:
    (found,) = pod_spec(one(build(overlay), "Deployment"))["containers"]
    result: dict[str, Any] = found
    return result


def image_environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    text = DOCKERFILE.rpartition("\nENV ")[2].partition("\nVOLUME")[0]
    pairs = re.findall(r"(\w+)=(\S+)", text)
    return {name: value for name, value in pairs if name != "PATH"}


class Mounted:
    """A pod's container on this machine: each mount is a folder below `folder`."""

    def __init__(self, overlay: str, folder: Path, **secrets: str) -> None:
        resources = build(overlay)
        spec = pod_spec(one(resources, "Deployment"))
        self.container = container(overlay)
        self.secrets = SECRETS | secrets
        self.places: dict[str, Path] = {}
        by_name = {volume["name"]: volume for volume in spec["volumes"]}
        for mount in self.container["volumeMounts"]:
            volume = by_name[mount["name"]]
            place = folder / "volumes" / mount["name"]
            if "emptyDir" in volume:  # as the kubelet lays it out
                place = folder / "volumes/kubernetes.io~empty-dir" / mount["name"]
            place.mkdir(parents=True)
            self.places[mount["mountPath"]] = place
            if "configMap" in volume:
                data = one(resources, "ConfigMap", volume["configMap"]["name"])["data"]
                for name, text in data.items():
                    (place / name).write_text(text.replace("/app/logs", str(self.of("/app/logs"))))
            for item in volume.get("secret", {}).get("items", []):
                (place / item["path"]).write_text(self.secrets[item["key"]])

    def of(self, path: str) -> Path:
        """Return the path on this machine for a path in the container."""
        for mount, place in self.places.items():
            if path == mount or path.startswith(f"{mount}/"):
                return place / path.removeprefix(mount).lstrip("/")
        # A mount that comes later.
        return Path(path)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of the container, with the paths of this machine."""
        given = image_environment()
        given |= {variable["name"]: variable["value"] for variable in self.container["env"]}
        return {
            name: str(self.of(value)) if value.startswith("/") else value
            for name, value in given.items()
        }


def settings(overlay: str, folder: Path) -> Settings:
    """Return the settings that a pod of the overlay runs with."""
    return core_settings(read_sources(Mounted(overlay, folder).environment))
