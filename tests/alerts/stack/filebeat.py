"""A stand-in for the statistics page of Filebeat 9, which was not available."""

from typing import Any

from tests.support.stand_in import Reply, Request, StandIn


def statistics(filled: float) -> dict[str, Any]:
    """Return a /stats page, as far as it is known here, with a queue that is `filled` (0 to 1)."""
    return {
        "beat": {"info": {"name": "filebeat", "uptime": {"ms": 600_000}, "version": "9.5.1"}},
        "filebeat": {
            "events": {"active": 0, "added": 1200, "done": 1200},
            "harvester": {"closed": 0, "open_files": 4, "running": 4, "skipped": 0, "started": 4},
        },
        "libbeat": {
            "config": {"module": {"running": 0, "starts": 0, "stops": 0}},
            "output": {
                "events": {"acked": 1200, "active": 0, "batches": 24, "failed": 0, "total": 1200},
                "read": {"bytes": 4096, "errors": 0},
                "type": "elasticsearch",
                "write": {"bytes": 900_000, "errors": 0},
            },
            "pipeline": {
                "clients": 2,
                "events": {"active": 0, "filtered": 0, "published": 1200, "total": 1200},
                "queue": {
                    "acked": 1200,
                    "filled": {"bytes": 0, "events": round(3200 * filled), "pct": filled},
                    "max_events": 3200,
                },
            },
        },
        "registrar": {"states": {"cleanup": 0, "current": 4, "update": 1200}},
    }


class Filebeat(StandIn):
    """A server of /stats; `filled` is the state of its queue."""

    def __init__(self) -> None:
        self.filled = 0.0
        super().__init__()

    def reply_to(self, request: Request) -> Reply:
        return Reply.json(statistics(self.filled)) if request.target == "/stats" else Reply(404)
