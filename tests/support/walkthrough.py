"""Runs a document as a reader pastes it: its files are written, its commands run in one shell.

How a code block is read:

- A block below a line that is only a name and a colon (`plugin.py`:) is written to that file.
- `console`: lines that begin with `$ ` are commands, run one after the other. The other lines are
  their output. `…` matches anything; times, durations, versions and percentages are not compared.
  `curl` and `grep` are repeated for a while until they agree, since a service writes its log later.
- `sh`: commands, each of which must succeed. `make run` and `aliaport serve` are started in the
  background, as in a second terminal, and the walk goes on when the service has started. The next
  one stops the one before, as Ctrl-C does.
- Everything else is shown only: `mermaid`, `text`, and the languages of files that are not named.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aliaport.embedded import default_folder
from tests.support.plugins import ROOT
from tests.support.ports import free_port
from tests.support.service import INTERRUPTIBLE
from tests.support.waiting import PATIENCE, wait_until

SHOWN_ONLY = {"mermaid", "text", "json", "toml", "python", "yaml"}
NOT_COPIED = {"tests", "logs", "build", "dist", "site"}
"""Folders of the root that a clone does not have, or that no page uses; hidden ones too."""
STARTS = ("make run", "aliaport serve")
LATE = 10.0
"""Seconds in which a page of the service or a log must show what the document shows."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"^`([\w./-]+)`:\n\n\Z", re.MULTILINE)
_DONE = "walkthrough-command-ended"

MASKS = {
    r" +│": " │",  # a table is as wide as its widest row
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z": "TIME",
    r"\d+(\.\d+)? (ms|s|%|MiB|GiB)(?!\w)": r"N \2",
    r'("\w+_(ms|mb|gb|percent)": ?)[\d.]+': r"\1N",
    r"in \d+\.\d+s": "in N s",
    r"PostgreSQL \d+\.\d+": "PostgreSQL VERSION",
    r'("version": ?")[^"]+': r"\1VERSION",
    r"\b\d+\.\d+\.\d+\b": "VERSION",
    r"\b[0-9a-f]{32}\b": "ID",
}
"""Parts of an output that differ from run to run, as patterns with what replaces them."""


@dataclass(frozen=True)
class Block:
    """One code block; `line` is that of its fence, `name` the file that it is written to."""

    line: int
    language: str
    text: str
    name: str = ""


def blocks(page: Path) -> Iterator[Block]:
    """Return the code blocks of a page, in order."""
    text = page.read_text()
    for fence in _FENCE.finditer(text):
        before = text[: fence.start()]
        name = _NAME.search(before)
        yield Block(before.count("\n") + 1, fence[1], fence[2], name[1] if name else "")


def commands(block: Block) -> Iterator[tuple[str, str | None]]:
    """Return each command of a block with its output, which is None where none is shown."""
    lines = block.text.splitlines()
    if block.language == "sh":
        for command in re.split(r"(?<!\\)\n", block.text.strip()):
            yield command.split("  #")[0].strip(), None
        return
    while lines:
        command = lines.pop(0).removeprefix("$ ")
        output = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0))
        yield command, "\n".join(output)


def masked(text: str) -> str:
    """Replace what differs from run to run."""
    for pattern, replacement in MASKS.items():
        text = re.sub(pattern, replacement, text)
    return text.strip()


def agree(shown: str, actual: str) -> bool:
    """Compare the output that a page shows with the actual one."""
    pieces = map(re.escape, masked(shown).split("…"))
    return re.fullmatch(".*?".join(pieces), masked(actual), re.DOTALL) is not None


def make_checkout(folder: Path) -> Path:
    """Copy what a clone has; its environment borrows the packages of this one.

    What a page installs there is not installed here.
    """
    shutil.copytree(ROOT, folder, ignore=_not_copied, symlinks=True)
    environment = folder / ".venv"
    venv.create(environment, symlinks=True)
    bin_folder = environment / "bin"
    site = next(environment.glob("lib/python*/site-packages"))
    borrowed = sysconfig.get_path("purelib")
    (site / "borrowed.pth").write_text(f"import site; site.addsitedir({borrowed!r})\n")
    for program in Path(sys.executable).parent.iterdir():
        copy = bin_folder / program.name
        if copy.exists() or not program.is_file():
            continue
        head, _, rest = program.read_bytes().partition(b"\n")
        if head.startswith(b"#!") and b"python" in head:
            copy.write_bytes(f"#!{bin_folder / 'python'}\n".encode() + rest)
            copy.chmod(0o755)
        elif not head.startswith(b"#!"):
            copy.symlink_to(program)
    for stamp in ("uv", "dependencies", "setup"):
        (environment / f"{stamp}.stamp").touch()
    return folder


def _not_copied(folder: str, names: list[str]) -> set[str]:
    hidden = {name for name in names if name.startswith(".") or name in NOT_COPIED}
    return (hidden if Path(folder) == ROOT else set()) | {"__pycache__", "node_modules"}


class Walkthrough:
    """One shell, in a checkout, and the service that it started."""

    def __init__(self, checkout: Path, environ: Mapping[str, str]) -> None:
        self.checkout = checkout
        self.port = free_port()
        python = Path(getattr(sys, "_base_executable", sys.executable)).parent
        self._environ = {
            "PATH": f"{python}:{os.environ['PATH']}",
            "HOME": str(checkout.parent),
            "LANG": "C.UTF-8",
            "ALIAPORT_PORT": str(self.port),
            # A page does what a reader with a network does; here everything is installed already.
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            **environ,
        }
        self._shell = subprocess.Popen(
            [*INTERRUPTIBLE, "bash", "--noprofile", "--norc"],
            cwd=checkout,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._service: subprocess.Popen[bytes] | None = None

    @property
    def borrowed(self) -> str:
        """Return the folder of the packages that the environment borrows."""
        return sysconfig.get_path("purelib")

    def run(self, command: str) -> tuple[int, str]:
        """Run one command; return its exit code and what it wrote to the terminal."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        placed = re.sub(r"(localhost|127\.0\.0\.1):8000", rf"\1:{self.port}", command)
        self._shell.stdin.write(f'{placed}\necho "\n{_DONE} $?"\n')
        self._shell.stdin.flush()
        lines: list[str] = []
        for line in self._shell.stdout:
            if line.startswith(_DONE):
                output = "".join(lines).replace(f":{self.port}", ":8000")
                return int(line.split()[1]), output.strip("\n")
            lines.append(line)
        raise AssertionError(f"the shell ended at: {command}\n{''.join(lines)}")

    def start_service(self, command: str) -> None:
        """Start the service as a reader does in a terminal of its own, in the checkout."""
        self.stop_service()
        log = self.checkout / "logs" / "app.log"
        before = _starts(log)
        with (self.checkout.parent / "service.txt").open("ab") as output:
            self._service = subprocess.Popen(
                [*INTERRUPTIBLE, "bash", "-c", command],
                cwd=self.checkout,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def started() -> bool:
            assert self._service is not None
            assert self._service.poll() is None, (self.checkout.parent / "service.txt").read_text()
            return _starts(log) > before

        wait_until(started, f"{command}: service.started is logged", PATIENCE)

    def stop_service(self) -> None:
        """Stop it as Ctrl-C does."""
        if self._service is not None:
            self._signal_service(signal.SIGINT)
            self._service.wait(PATIENCE)
            self._service = None

    def walk(
        self,
        page: Path,
        *,
        take: Callable[[Block], bool] = lambda block: True,
        replace: Mapping[str, str] | None = None,
    ) -> None:
        """Do what the page says, block by block.

        `take` selects blocks. `replace` has text of commands, such as the address of a server that
        a reader has, and what to run instead; an empty replacement leaves the command out.
        """
        for block in filter(take, blocks(page)):
            if block.name:
                _, folder = self.run("pwd")
                file = Path(folder, block.name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text)
            elif block.language in ("sh", "console"):
                for command, shown in commands(block):
                    for text, other in (replace or {}).items():
                        command = command.replace(text, other)
                    if command:
                        self._do(command, shown, f"{page.name}:{block.line}")
            else:
                assert block.language in SHOWN_ONLY, f"{page.name}:{block.line}: which language?"

    def _do(self, command: str, shown: str | None, where: str) -> None:
        if command.endswith(STARTS):
            self.start_service(command)
            return
        code, actual = self.run(command)
        if shown is None:
            assert code == 0, f"{where}: {command}\nexit code {code}\n{actual}"
            return
        deadline = time.monotonic() + LATE
        while (
            not agree(shown, actual)
            and command.startswith(("curl ", "grep "))
            and time.monotonic() < deadline
        ):
            time.sleep(0.2)
            _, actual = self.run(command)
        assert agree(shown, actual), f"{where}: {command}\nshows:\n{shown}\nbut:\n{actual}"

    def close(self) -> None:
        """End the shell and the service, and remove its database."""
        try:
            self.stop_service()
        finally:
            if self._service is not None:
                self._signal_service(signal.SIGKILL)
                self._service.wait()
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell.wait(PATIENCE)
            assert self._shell.stdout is not None
            self._shell.stdout.close()
            shutil.rmtree(default_folder(self.checkout), ignore_errors=True)

    def _signal_service(self, number: signal.Signals) -> None:
        if self._service is not None and self._service.poll() is None:
            os.killpg(self._service.pid, number)


def _starts(log: Path) -> int:
    return log.read_text().count('"message":"service.started"') if log.exists() else 0
