"""A long history in the laboratory: its memory, how long it takes to open its file, and to reach any of its places.

    python -m tests.benchmarks.laboratory_scale [--events 400000]

A master with two replicas, and a write every 20 ms. 400,000 events shall take less than 1 GB and open in under 10 s.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.simulation.actions import AddHost, OpenClient, SendCommand, Start
from engine.simulation.checkpoints import size_bytes
from engine.simulation.history import History
from engine.values.rng import Rng
from tutor.lab.event_log import EventLog
from tutor.lab.ledger import Ledger

EVENTS = 400_000


def memory_mb() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20


def build(events: int) -> History:
    """Return a history of so many events."""
    history = History(1)
    history.do(AddHost("A", "172.16.6.18:6379", ("repl-diskless-sync-delay 0",)))
    for name, ip in (("B", "172.16.6.57"), ("C", "172.16.6.58")):
        history.do(AddHost(name, f"{ip}:6379", ("replicaof 172.16.6.18 6379",)))
    for name in "ABC":
        history.do(Start(name))
    history.do(OpenClient("app", "A"))
    history.run(history.world.now_us + 2_000_000)
    number = 0
    while history.place < events:
        number += 1
        history.do(SendCommand("app", (b"SET", b"load:%d" % (number % 1000), b"x" * 16)))
        history.run(history.world.now_us + 20_000)
    return history


def told(what: str, history: History, began: float) -> None:
    """Print what a history takes."""
    kept = history.branch_now.checkpoints
    print(f"{what}: {history.place:,} events in {time.process_time() - began:.1f} s of CPU, {memory_mb()} MB, "
          f"of which {len(kept)} checkpoints take {size_bytes(kept) >> 20} MB", flush=True)  # fmt: skip


def reached(history: History) -> None:
    """Print how long it takes to reach places, by their age."""
    count, rng = len(history.trace), Rng(1)
    for youngest, oldest in ((0, 10_000), (10_000, 100_000), (100_000, count)):
        times = []
        for _ in range(30):
            began = time.process_time()
            place = count - youngest - rng.below(max(1, min(count, oldest) - youngest))
            history.goto(max(0, place))
            times.append((time.process_time() - began) * 1000)
        times.sort()
        print(
            f"to a place {youngest:,} to {oldest:,} events ago: median {times[15]:.0f} ms, worst {times[-1]:.0f} ms"
        )


def main() -> int:
    """Build, save, and open in another process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--open")
    chosen = parser.parse_args()
    began = time.process_time()
    if chosen.open:
        history = History.decode(Path(chosen.open).read_bytes())
        told("opened", history, began)
        began = time.process_time()
        log = EventLog(history)
        log.read(history)
        print(f"its log: {len(log.rows):,} rows in {time.process_time() - began:.1f} s, {memory_mb()} MB")
        began = time.process_time()
        ledger = Ledger().read(history.trace)
        writes = ledger.acknowledged(history.place)
        print(f"its ledger: {writes:,} writes in {time.process_time() - began:.1f} s, {memory_mb()} MB")
        reached(history)
        return 0
    history = build(chosen.events)
    told("made", history, began)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(history.encode())
        print(f"its file: {Path(file.name).stat().st_size >> 10} KB", flush=True)
        del history
        return subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.laboratory_scale", "--open", file.name]
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
