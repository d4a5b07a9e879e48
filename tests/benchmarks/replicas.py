"""What each attached replica costs a master: CPU time per write, ours beside a real server's.

    python -m tests.benchmarks.replicas [--requests 100000] [--pipeline 16] [--runs 3]

The replicas are connections that take the stream and throw it away, in a process of their own, so that nothing but
the master's work is measured. The figure is the slope: (CPU per SET with four replicas, less that with none) / 4;
what the backlog costs shows in the row with one. Medians of the runs.
"""

import argparse
import os
import selectors
import socket
import sys
import time
from statistics import median

from engine.protocol.resp import encode_command
from tests.benchmarks.__main__ import ask, cpu_seconds, our_server, run_benchmark
from tests.real import start_server

COUNTS = (0, 1, 2, 4)


def swallow(port: int, count: int) -> int:
    """Fork a process that is `count` replicas of the server at a port; gives its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        poller = selectors.DefaultSelector()
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(encode_command([b"PSYNC", b"?", b"-1"]))
            poller.register(sock, selectors.EVENT_READ)
        while True:
            for key, _ in poller.select():
                if not key.fileobj.recv(1 << 20):  # type: ignore[union-attr]
                    os._exit(0)
    finally:
        os._exit(1)


def online(port: int) -> int:
    """Return how many replicas are online."""
    return ask(port, b"INFO", b"replication").count(b"state=online")


def measure(port: int, pid: int, requests: int, pipeline: int) -> list[float]:
    """Return µs of CPU per SET with each number of replicas."""
    found = []
    ask(port, b"CONFIG", b"SET", b"repl-diskless-sync", b"no")
    for count in COUNTS:
        ask(port, b"FLUSHALL")
        child = swallow(port, count) if count else 0
        try:
            end = time.monotonic() + 20
            while online(port) != count:
                if time.monotonic() > end:
                    raise SystemExit("the replicas were not attached")
                time.sleep(0.05)
            before = cpu_seconds(pid)
            run_benchmark(port, "set", pipeline, requests)
            found.append((cpu_seconds(pid) - before) / requests * 1e6)
        finally:
            if child:
                os.kill(child, 9)
                os.waitpid(child, 0)
        while online(port):
            time.sleep(0.02)
    return found


def main() -> int:
    """Measure both in turns and print a table."""
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks.replicas", description=__doc__)
    options.add_argument("--requests", type=int, default=100_000)
    options.add_argument("--pipeline", type=int, default=16)
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    ours, theirs = [], []
    with our_server() as (port, pid, _), start_server() as real:
        for _ in range(chosen.runs):
            ours.append(measure(port, pid, chosen.requests, chosen.pipeline))
            theirs.append(measure(real.port, real.process.pid, chosen.requests, chosen.pipeline))
        print(f"µs of CPU per SET at -P {chosen.pipeline}: ours, {real.program}")
    tables = [[median(run[i] for run in runs) for i in range(len(COUNTS))] for runs in (ours, theirs)]
    for count, mine, real_one in zip(COUNTS, *tables, strict=True):
        print(f"{count} replicas {mine:8.2f} {real_one:8.2f}")
    slopes = [(table[-1] - table[0]) / COUNTS[-1] for table in tables]
    print(f"a replica  {slopes[0]:8.2f} {slopes[1]:8.2f}  ratio {slopes[0] / slopes[1]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
