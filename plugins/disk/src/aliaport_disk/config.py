"""The options of the disk plugin, and the probe names derived from them."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from aliaport.plugin import PluginConfig

NAME_LENGTH = 40


def _normalized(path: str) -> str:
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ValueError("must be an absolute path without '..', such as /data")
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


MountPath = Annotated[str, AfterValidator(_normalized)]
Percent = Annotated[float, Field(gt=0, le=100)]


class DiskConfig(PluginConfig):
    """`[plugins.disk]`: the mounts to check and their thresholds."""

    mounts: tuple[MountPath, ...] = Field(
        default=("/",),
        min_length=1,
        description="Mount points to check; /status shows the first one.",
    )
    data_folders: bool = Field(
        default=True,
        description="Also check the mounts that hold the log folder and the embedded database.",
    )
    warn_percent: Percent = Field(
        default=80, description="Degraded at this percentage of space used, as df computes it."
    )
    critical_percent: Percent = Field(
        default=95, description="Unhealthy at this percentage of space used."
    )
    warn_inodes_percent: Percent = Field(
        default=80, description="Degraded at this percentage of inodes used."
    )
    critical_inodes_percent: Percent = Field(
        default=95, description="Unhealthy at this percentage of inodes used."
    )
    read_only_mounts: tuple[MountPath, ...] = Field(
        default=(),
        description="Mounts from `mounts` that are read-only on purpose; they may also be full.",
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
            raise ValueError("mounts lists a path twice; remove one")
        for path in self.read_only_mounts:
            if path not in self.mounts:
                raise ValueError(f"read_only_mounts lists {path}, which is not in mounts")
        return self


def probe_names(mounts: tuple[str, ...]) -> dict[str, str]:
    """Return a valid, unique probe name per mount: `disk_root` for /, `disk_data` for /data."""
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
