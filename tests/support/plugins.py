"""The bundled plugins, read from the members of the uv workspace, the only list of them."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
_WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]

FOLDERS = sorted(
    path for pattern in _WORKSPACE["members"] for path in ROOT.glob(pattern) if path.is_dir()
)
BUNDLED = tuple(folder.name.replace("-", "_") for folder in FOLDERS)
"""Their names, as used by entry points and the configuration."""
