"""Installs distributions into a folder as an installer does, but faster."""

from collections.abc import Mapping
from pathlib import Path


def install(
    folder: Path,
    distribution: str,
    plugins: Mapping[str, str] | None = None,
    apps: Mapping[str, str] | None = None,
    version: str = "1.0",
    groups: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Write the metadata of a distribution; put `folder` on PYTHONPATH.

    `groups` are further groups of entry points, such as misspelled ones.
    """
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    lines = []
    for group, entries in (
        ("aliaport.plugins", plugins),
        ("aliaport.apps", apps),
        *(groups or {}).items(),
    ):
        if entries:
            lines.append(f"[{group}]")
            lines += [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
