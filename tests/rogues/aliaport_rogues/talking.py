"""A plugin that logs, from its loop, its thread, a library and its audit log."""

import asyncio
import logging

from aliaport.plugin import Check, Job, Plugin, PluginConfig, Probe


class Talking(Plugin[PluginConfig]):
    api = (1, 0)

    def probes(self) -> list[Probe]:
        return [
            Probe(name="on_loop", run=self.on_loop, timeout=5),
            Probe(name="in_thread", run=self.in_thread, timeout=5),
        ]

    def jobs(self) -> list[Job]:
        return [Job(name="talk", run=self.talk, every=3600, timeout=30)]

    async def on_loop(self) -> Check:
        await asyncio.sleep(0)
        self.context.log.info("talking.on_loop", password="geheim123")
        await self.context.audit.arecord("talking.audited", user="ayşe")
        return Check.healthy()

    def in_thread(self) -> Check:
        self.context.log.warning("talking.in_thread", url="postgresql://u:geheim123@h/x")
        logging.getLogger("some.library").warning("token=%s", "geheim123")
        try:
            raise LookupError("Cookie: sid=geheim123")
        except LookupError:
            self.context.log.exception("talking.failed")
        return Check.healthy()

    async def talk(self) -> None:
        self.context.log.info("talking.in_job")
