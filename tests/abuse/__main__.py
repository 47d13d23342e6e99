"""Runs the whole campaign and prints its measurements: `make abuse`."""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.abuse.campaign import FULL, Outcome, run
from tests.support.postgres import TcpPostgres


def show(outcome: Outcome) -> None:
    print(f"/health: {dict(outcome.results)}")
    for share in (0.5, 0.99, 0.999, 1.0):
        print(f"  p{share * 100:g}: {outcome.percentile(share) * 1000:.0f} ms")
    for when, memory in outcome.memory.items():
        print(f"{when}: {memory / 2**20:.0f} MiB, {outcome.descriptors[when]} descriptors")
    print(f"killed for lack of memory: {outcome.killed}")
    for name, count in sorted(outcome.attackers.items()):
        print(f"  {name}: {count}")
    for limit in outcome.limits:
        print(f"  {limit}")
    for failure in outcome.failures:
        print(f"  failed: {failure}")
    for message, count in outcome.logged.most_common():
        print(f"  {message}: {count}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.abuse", description=__doc__)
    parser.add_argument("--seconds", type=float, default=FULL.seconds)
    strength = replace(FULL, seconds=parser.parse_args().seconds)
    server = TcpPostgres(max_connections="100")
    try:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(Path(folder), strength, server)
    finally:
        server.remove()
    show(outcome)
    held = set(outcome.results) == {"200"} and outcome.percentile(0.999) < 0.25
    return 0 if held and not outcome.killed else 1


if __name__ == "__main__":
    sys.exit(main())
