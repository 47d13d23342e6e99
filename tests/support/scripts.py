"""Loads the scripts below deploy/, so that tests call their `main` in this process."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from unittest.mock import patch


def script(file: Path) -> ModuleType:
    """Load a script without a file extension under its name and that of its folder."""
    name = f"{file.parent.name}_{file.name}"
    loader = SourceFileLoader(name, str(file))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    # Leave no compiled copy beside the script, and none of its folders on the path.
    with patch.object(sys, "dont_write_bytecode", True), patch.object(sys, "path", [*sys.path]):
        loader.exec_module(module)
    return module
