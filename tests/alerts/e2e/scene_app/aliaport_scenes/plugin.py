"""A probe that hangs while one file exists, and holds the interpreter if another does."""

import re
import time
from collections.abc import Sequence
from pathlib import Path

from aliaport.plugin import Check, Plugin, PluginConfig, Probe


class Options(PluginConfig):
    folder: Path = Path()


class ScenesPlugin(Plugin[Options]):
    """A plugin whose probe blocks its own thread, as a hung mount does."""

    api = (1, 0)

    def probes(self) -> Sequence[Probe]:
        return [Probe(name="scene", title="The scene", run=self.check, timeout=0.5)]

    def check(self) -> Check:
        hold = self.config.folder / "hold"
        while (self.config.folder / "hang").exists():
            if hold.exists():
                hold.unlink()
                _hold_interpreter(seconds=5.5)
            time.sleep(0.05)
        return Check.healthy("all is well")


def _hold_interpreter(seconds: float) -> None:
    """Keep every other thread from running for at least this long at once."""
    size, took = 20, 0.0
    while took < seconds:  # each takes twice as long as the one before
        size, began = size + 1, time.monotonic()
        re.match(r"(a+)+$", "a" * size + "b")
        took = time.monotonic() - began
