"""The external service that misses the heartbeat of a dead Prometheus or Alertmanager, on loopback."""

import json
from typing import Any

from tests.alerts.receivers.posts import Posts


class Heartbeat(Posts):
    """The heartbeat service. `.messages`: the payload of each beat; `.count`: the number of beats."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def count(self) -> int:
        return len(self.bodies)
