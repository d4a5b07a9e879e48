"""How fast simulated time passes: CPU time for an hour of a Sentinel group and for a minute of a cluster.

    python -m tests.benchmarks.simulation [--runs N]

The group is a master with two replicas and three Sentinels, the cluster three masters with a replica each. In both a
client writes ten times a second, and the hash of the history is taken at the end. What is printed is the median of
the runs, their steps in a second of simulated time, and that hash, which must be the same before and after a change
that only makes this faster.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from statistics import median

from engine.simulation.actions import OpenClient, SendCommand
from engine.simulation.world import World
from tests.cluster.simulated import SimulatedCluster
from tests.sentinel.group import Group

WRITES_PER_S = 10
SECOND_US = 1_000_000
KEYS = 100


def group() -> tuple[World, str]:
    """Return the world of a Sentinel group that has found itself, and the name of its client."""
    made = Group(servers=3, sentinels=3, observed=False)
    made.run(10)
    made.world.do(OpenClient("client", made.servers[0]))
    return made.world, "client"


def cluster() -> tuple[World, str]:
    """Return the world of a cluster that is up, and the name of its first master's client."""
    made = SimulatedCluster(1)
    return made.world, made.client("a")


def write(world: World, client: str, seconds: int) -> float:
    """Let time pass while a client writes; returns how much CPU time that took, in s."""
    steps = world.steps
    began = time.process_time()
    for number in range(seconds * WRITES_PER_S):
        # The hash tag's slot belongs to the first of the three masters.
        world.do(SendCommand(client, (b"SET", b"{06S}%d" % (number % KEYS), b"%d" % number)))
        world.run(world.now_us + SECOND_US // WRITES_PER_S)
    digest = world.digest
    took = time.process_time() - began
    print(
        f"    {took:6.2f} s of CPU, {(world.steps - steps) / seconds:.0f} steps/s, history {digest[:16]}", flush=True
    )
    return took


def measure(what: str, make: Callable[[], tuple[World, str]], seconds: int, runs: int, limit_s: float) -> bool:
    """Print how long simulated time takes; returns whether that is within the limit."""
    print(what)
    took = median(write(*make(), seconds) for _ in range(runs))
    print(f"    median {took:.2f} s, limit {limit_s} s")
    return took <= limit_s


def main() -> int:
    """Measure; returns 1 if a limit was exceeded."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.simulation", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=1, help="how often each is measured")
    options = parser.parse_args()
    print(f"Python {platform.python_version()} on {platform.machine()}")
    passed = [
        measure("an hour of a Sentinel group", group, 3600, options.runs, 20),
        measure("a minute of a cluster", cluster, 60, options.runs, 0.5),
    ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
