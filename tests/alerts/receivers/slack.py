"""Slack's incoming webhook, on loopback."""

import json
from typing import Any

from tests.alerts.receivers.posts import Posts


class Slack(Posts):
    """Slack. `.messages`: the payloads, the oldest first; the text is in their only attachment.

    A title begins with `🔴 CRITICAL: DatabaseDown (` or `✅ RESOLVED: DatabaseDown (`.
    """

    reply = b"ok"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]
