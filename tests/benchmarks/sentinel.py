"""What watching costs: the CPU time of our Sentinel and of a real one, each idle beside the same five instances.

    python -m tests.benchmarks.sentinel [--seconds 60]

Three Sentinels, two of them ours, watch a real master with two replicas: each has five instances to watch. The limit
for one of ours is 1 % of a core.
"""

import argparse
import sys
import time

from tests.benchmarks.__main__ import cpu_seconds
from tests.real import find_servers
from tests.replication.servers import servers, settle, wait_for
from tests.sentinel.live import sentinels, watch
from tests.sentinel.mixed import complete, kind

LIMIT = 0.01


def main() -> int:
    """Measure and print; returns 1 if the limit was exceeded."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.sentinel", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure")
    options = parser.parse_args()
    program = next(iter(find_servers()), None)
    if program is None:
        parser.error("no real server was found")
    worst = 0.0
    with servers(program, program, program) as members:
        for replica in members[1:]:
            replica.follow(members[0].port)
        settle(*members)
        with sentinels(None, None, program, lines=watch(members[0].port, 2)) as group:
            wait_for(lambda: complete(group, members), "all see each other")
            before = [cpu_seconds(each.process.pid) for each in group]
            time.sleep(options.seconds)
            for each, used in zip(group, before, strict=True):
                share = (cpu_seconds(each.process.pid) - used) / options.seconds
                print(f"{kind(each)}: {share:.2%} of a core")
                if each.program is None:
                    worst = max(worst, share)
    print(f"limit {LIMIT:.0%}")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
