"""JSON as literals of a library's types, checked by the TypeScript compiler."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

_SETTINGS = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "skipLibCheck": True,
        "module": "nodenext",
        "types": [],
    },
    "include": ["*.ts"],
}
_COMPLAINT = re.compile(r"([\w.-]+)\.ts\(\d+,\d+\): error (.+)")


def compiled(folder: Path, modules: Path, sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the compiler's errors by source file; `modules` is the folder node_modules."""
    (folder / "node_modules").symlink_to(modules)
    (folder / "tsconfig.json").write_text(json.dumps(_SETTINGS))
    for name, text in sources.items():
        (folder / f"{name}.ts").write_text(text)
    done = subprocess.run(
        [folder / "node_modules/.bin/tsc", "--project", folder, "--pretty", "false"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        if match := _COMPLAINT.match(line):
            found.setdefault(match[1], []).append(match[2])
    assert (done.returncode == 0) == (not found), done.stdout + done.stderr
    return found
