"""Runs the service with its log on a small disk, fills it, and prints what callers see."""

import json
import sys
from pathlib import Path

from tests.support.service import start
from tests.support.tmpfs import fill


def main(folder: Path) -> None:
    work = folder.parent / "work"
    service = start(
        work,
        allow=["disk"],
        environ={
            "ALIAPORT_LOG__FOLDER": str(folder / "logs"),
            "ALIAPORT_LOG__PROBE_REQUESTS": "true",
        },
    )
    try:
        service.wait_listening()
        service.wait_for(lambda: service.get("/ready").status == 200, "it is ready")
        filler = fill(folder)

        def row() -> dict[str, str]:
            for _ in range(20):
                service.get("/health")
            found: dict[str, str] = service.get("/status/log").json["data"]
            return found

        service.wait_for(lambda: row()["code"] == "disk_full", "the row reports the full disk")
        story: dict[str, object] = dict(row())
        # A file fails only once its own last block is full.
        failing = 'aliaport_log_failing{file="api.log"} 1'
        service.wait_for(
            lambda: row() and failing in service.get("/metrics").text, "so does its metric"
        )
        story["health"] = service.get("/health").status
        story["ready"] = service.get("/ready").status
        filler.unlink()
        service.wait_for(lambda: row()["code"] == "ok", "it heals")
        story["healed"] = row()["code"]
    finally:
        service.process.kill()
        service.process.wait()
    print(json.dumps(story))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
