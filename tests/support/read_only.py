"""Opens the log in a folder on a read-only file system (run on a tmpfs)."""

import subprocess
import sys
from pathlib import Path

from aliaport.errors import StartupError
from aliaport.logs import Logs
from aliaport.settings import LogSettings


def main(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, timeout=30)
    try:
        Logs(LogSettings(folder=folder / "logs"), {"service.name": "aliaport-api"})
    except StartupError as error:
        print(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
