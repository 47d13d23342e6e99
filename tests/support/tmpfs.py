"""A file system of a few kilobytes to fill up; needs root and its own mount namespace."""

import subprocess
import sys
from pathlib import Path


def fill(folder: Path) -> Path:
    """Write a file until the file system is full; return it."""
    filler = folder / "filler"
    try:
        with filler.open("wb") as stream:
            while True:
                stream.write(b"x" * 1024)
                stream.flush()
    except OSError:
        return filler


def run_on_tmpfs(script: Path, folder: Path, size: str, *arguments: str) -> str:
    """Run a Python script with a private tmpfs of `size` mounted on `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = f'mount -t tmpfs -o size={size} tmpfs {folder} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, str(script), str(folder),
         *arguments],
        capture_output=True, text=True, timeout=100, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
