"""The options of the disk plugin and the probe names that follow from them."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from aliaport.plugin import PluginConfig

NAME_LENGTH = 40


def _normal(path: str) -> str:
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ValueError("must be an absolute path without '..', such as /data")
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


MountPath = Annotated[str, AfterValidator(_normal)]
Percent = Annotated[float, Field(gt=0, le=100)]


class DiskConfig(PluginConfig):
    """`[plugins.disk]`: which mounts to look at and when they are in trouble."""

    mounts: tuple[MountPath, ...] = Field(
        default=("/",),
        min_length=1,
        description="Mount points; the first one's figures stand in /status.",
    )
    warn_percent: Percent = Field(
        default=80, description="Degraded from this share of the space in use, as df computes it."
    )
    critical_percent: Percent = Field(
        default=95, description="Unhealthy from this share of the space in use."
    )
    warn_inodes_percent: Percent = Field(
        default=80, description="Degraded from this share of the inodes in use."
    )
    critical_inodes_percent: Percent = Field(
        default=95, description="Unhealthy from this share of the inodes in use."
    )
    read_only_mounts: tuple[MountPath, ...] = Field(
        default=(),
        description="Those of `mounts` that are meant to be read-only, and so may be full too.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for warn, critical in (
            ("warn_percent", "critical_percent"),
            ("warn_inodes_percent", "critical_inodes_percent"),
        ):
            if getattr(self, warn) > getattr(self, critical):
                raise ValueError(f"{warn} must not be above {critical}")
        if len(set(self.mounts)) < len(self.mounts):
            raise ValueError("a path stands twice in mounts; remove one")
        for path in self.read_only_mounts:
            if path not in self.mounts:
                raise ValueError(f"read_only_mounts names {path}, which is not in mounts")
        return self


def probe_names(mounts: tuple[str, ...]) -> dict[str, str]:
    """A legal and unique probe name for each mount: `disk_root` for /, `disk_data` for /data."""
    names: dict[str, str] = {}
    for mount in mounts:
        slug = re.sub(r"[^a-z0-9]+", "_", mount.lower()).strip("_")
        name = base = f"disk_{slug or ('root' if mount == '/' else 'mount')}"[:NAME_LENGTH]
        number = 1
        while name in names.values():
            number += 1
            name = f"{base[: NAME_LENGTH - 1 - len(str(number))]}_{number}"
        names[mount] = name
    return names
