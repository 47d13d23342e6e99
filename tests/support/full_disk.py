"""Fills the disk under the log, frees it, and prints what happened to the lines (run on a tmpfs)."""

import json
import sys
import time
from pathlib import Path

from aliaport.errors import AuditError
from aliaport.logs import Logs
from aliaport.settings import LogSettings
from tests.support.tmpfs import fill
from tests.support.waiting import wait_until


def main(folder: Path) -> None:
    logs = Logs(LogSettings(folder=folder / "logs"), {"service.name": "aliaport-api"})
    log, audit = logs.logger(), logs.audit()
    log.info("before", number=0)
    audit.record("before")
    assert logs.flush(5)
    filler = fill(folder)
    story: dict[str, object] = {}
    longest = 0.0
    for number in range(20_000):
        began = time.monotonic()
        log.info("during", number=number, text="x" * 200)
        longest = max(longest, time.monotonic() - began)
    story["max_s"] = longest
    writer = logs.writers["app.log"]
    wait_until(lambda: writer.state.fault is not None, "the full disk is noticed")
    story["fault"] = writer.state.fault
    try:
        audit.record("refused.while.full", padding="x" * 4000)
        story["audit"] = "recorded"
    except AuditError as error:
        story["audit"] = str(error)
    filler.unlink()
    log.info("after", number=1)
    wait_until(lambda: logs.flush(1), "the log is flushed once there is room")
    audit.record("after")
    lines = [json.loads(line) for line in (folder / "logs" / "app.log").read_text().splitlines()]
    story["during"] = [
        line["aliaport.numbers.number"] for line in lines if line["message"] == "during"
    ]
    story["messages"] = sorted({line["message"] for line in lines})
    audited = (folder / "logs" / "audit.log").read_text().splitlines()
    story["audited"] = [json.loads(line)["message"] for line in audited]
    print(json.dumps(story))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
