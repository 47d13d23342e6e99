"""The watch outside that misses the heartbeat of a dead Prometheus or Alertmanager, on loopback."""

import json
from typing import Any

from tests.alerts.receivers.posts import Posts


class Heartbeat(Posts):
    """`.messages`: what came with each beat; `.count`: how many beats there were."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def count(self) -> int:
        return len(self.bodies)
