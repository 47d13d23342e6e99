"""Plugins that fail or hang while they are constructed, started and stopped."""

import asyncio
import re
import time

from pydantic import ConfigDict, Field, SecretStr

from aliaport.plugin import Check, Context, Plugin, PluginConfig, Probe
from aliaport.postgres import Pool


class ConstructFails(Plugin[PluginConfig]):
    api = (1, 0)

    def __init__(self, config: PluginConfig, context: Context) -> None:
        raise RuntimeError("cannot be made")


class StartFails(Plugin[PluginConfig]):
    api = (1, 0)
    attempts = 0

    async def start(self) -> None:
        type(self).attempts += 1
        if self.attempts < 2:
            raise ConnectionRefusedError("not yet")

    def probes(self) -> list[Probe]:
        return [Probe(name="late", run=self.check, critical=True)]

    async def check(self) -> Check:
        return Check.healthy()


class StopHangs(Plugin[PluginConfig]):
    api = (1, 0)

    async def stop(self) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue


class StopBlocks(Plugin[PluginConfig]):
    api = (1, 0)

    async def stop(self) -> None:
        time.sleep(3600)


class FutureApi(Plugin[PluginConfig]):
    api = (9, 0)


class Quoted(Plugin["SomeConfig"]):
    api = (1, 0)


class SomeConfig(PluginConfig):
    pass


NOT_A_PLUGIN = 7


class ConstructHangs(Plugin[PluginConfig]):
    api = (1, 0)

    def __init__(self, config: PluginConfig, context: Context) -> None:
        time.sleep(3600)


class StartHangs(Plugin[PluginConfig]):
    api = (1, 0)

    async def start(self) -> None:
        await asyncio.sleep(3600)


class StartBlocks(Plugin[PluginConfig]):
    api = (1, 0)

    async def start(self) -> None:
        time.sleep(3600)


class NamedLog(Plugin[PluginConfig]):
    api = (1, 0)

    def probes(self) -> list[Probe]:
        return [Probe(name="log", run=self.check)]

    async def check(self) -> Check:
        return Check.healthy()


class StopHoldsInterpreter(Plugin[PluginConfig]):
    api = (1, 0)

    async def stop(self) -> None:
        re.match(r"(a+)+$", "a" * 100 + "b")


class Litters(Plugin[PluginConfig]):
    """Opens a connection and creates tasks at each start, and fails but for the fourth time."""

    api = (1, 0)
    attempts = 0
    tasks: list[asyncio.Task[None]] = []

    def __init__(self, config: PluginConfig, context: Context) -> None:
        super().__init__(config, context)
        self.pool = Pool(context, component="litters", size=2)

    async def start(self) -> None:
        type(self).attempts += 1
        self.pool = Pool(self.context, component="litters", size=2)
        await self.pool.start()
        self.tasks.append(asyncio.create_task(asyncio.sleep(3600)))
        if self.attempts < 4:
            raise ConnectionRefusedError("not yet")

    async def stop(self) -> None:
        await self.pool.stop()


class Clings(Plugin[PluginConfig]):
    """Fails to start twice, and leaves a task that cannot be cancelled; its stop fails too."""

    api = (1, 0)
    attempts = 0

    async def start(self) -> None:
        type(self).attempts += 1
        if self.attempts < 3:
            self.task = asyncio.create_task(self.cling())
            await asyncio.sleep(0)
            raise ConnectionRefusedError("not yet")

    async def cling(self) -> None:
        while True:
            try:
                await asyncio.sleep(3600)  # the line that clings
            except asyncio.CancelledError:
                continue

    async def stop(self) -> None:
        raise RuntimeError("nothing to stop")


class Squats(Plugin[PluginConfig]):
    """Declares a critical probe with the name of a bundled plugin's, and another critical one."""

    api = (1, 0)
    name = "disk_root"

    def probes(self) -> list[Probe]:
        return [
            Probe(name=self.name, run=self.check, critical=True),
            Probe(name=f"{self.context.plugin}_own", run=self.check, critical=True),
        ]

    async def check(self) -> Check:
        return Check.healthy()


class SquatsDatabase(Squats):
    name = "database"


class NeedsKeyConfig(PluginConfig):
    key: str
    size: int = 1


class NeedsKey(Plugin[NeedsKeyConfig]):
    """Has an option without a default."""

    api = (1, 0)


class WrongDefaultConfig(PluginConfig):
    size: int = Field(20, le=10)


class WrongDefault(Plugin[WrongDefaultConfig]):
    """Has an option whose default is refused by its own rule."""

    api = (1, 0)


class Untold:
    """A value whose text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("has no text")


class UntoldHangs(Untold):
    def __str__(self) -> str:
        while True:
            time.sleep(3600)


class ShowsFailConfig(PluginConfig):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    value: Untold = Field(default_factory=Untold)


class ShowFails(Plugin[ShowsFailConfig]):
    """Has an option that cannot be shown."""

    api = (1, 0)


class ShowHangsConfig(ShowsFailConfig):
    value: Untold = Field(default_factory=UntoldHangs)


class ShowHangs(Plugin[ShowHangsConfig]):
    """Has an option that takes forever to be shown."""

    api = (1, 0)


def no_sizes() -> int:
    raise OSError("/etc/sizes: no such file")


class FactoryFailsConfig(PluginConfig):
    size: int = Field(default_factory=no_sizes)


class FactoryFails(Plugin[FactoryFailsConfig]):
    """Computes a default, which fails."""

    api = (1, 0)


class Unclear:
    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")


class NeedsUnclear(Plugin[PluginConfig]):
    """Says unclearly whether it needs a database."""

    api = (1, 0)
    needs_database = Unclear()  # type: ignore[assignment]


class NeedsSecretConfig(PluginConfig):
    key: SecretStr


class NeedsSecret(Plugin[NeedsSecretConfig]):
    """Has a secret without a default."""

    api = (1, 0)
