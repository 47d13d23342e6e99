"""A probe that hangs as long as a file is there."""

import time
from collections.abc import Sequence
from pathlib import Path

from aliaport.plugin import Check, Plugin, PluginConfig, Probe


class Options(PluginConfig):
    folder: Path = Path()


class ScenesPlugin(Plugin[Options]):
    """Its probe blocks a thread of its own, as a hung mount does."""

    api = (1, 0)

    def probes(self) -> Sequence[Probe]:
        return [Probe(name="scene", title="The scene", run=self.check, timeout=0.5)]

    def check(self) -> Check:
        while (self.config.folder / "hang").exists():
            time.sleep(0.05)
        return Check.healthy("all is well")
