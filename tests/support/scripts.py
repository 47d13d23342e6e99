"""Runs the scripts below deploy/ in this process, as `main(arguments)`: starting Python takes longer."""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from unittest.mock import patch


@dataclass(frozen=True)
class Done:
    """How a run ended, and what it wrote."""

    code: int
    out: str
    err: str


def script(file: Path) -> ModuleType:
    """Load a script, whose file has no ending, under its name and that of its folder."""
    name = f"{file.parent.name}_{file.name}"
    loader = SourceFileLoader(name, str(file))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    # No compiled copy may lie beside the script, and its folders may not stay on the path.
    with patch.object(sys, "dont_write_bytecode", True), patch.object(sys, "path", [*sys.path]):
        loader.exec_module(module)
    return module


def run(main: Callable[[], int]) -> Done:
    """Call what a script calls, and return its exit code and its output."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main()
        except SystemExit as error:
            assert isinstance(error.code, int), error.code
            code = error.code
    return Done(code, out.getvalue(), err.getvalue())
