"""Kill the real process at random moments, under load, and see what it still knows.

    python -m tests.crashes [--kills N] [--seed N] [--keep DIRECTORY]

Each kill is a SIGKILL, with snapshots and rewrites under way, while it starts and loads, of the process alone or with
its children; now and then a SIGTERM. The server is started again on its files, which must load; what it holds must be
what its clients were told. With an append-only file that is everything acknowledged, without one everything that a
successful save had seen. Under `everysec` it is everything that was written: as in Redis a write may wait for the
fsync under way, and its reply does not. Prints the seed first, and what was killed at the end; a failure leaves the
files.
"""

import argparse
import random
import sys

from tests.crashes.run import CrashError, Run


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", help="work here, and leave the files")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    run = Run(options.seed, options.kills, options.keep, sys.stdout)
    try:
        run.all()
    except CrashError as failure:
        print(f"after {run.kills} kills (seed {options.seed}): {failure}")
        return 1
    print(run.summary())
    return 0


if __name__ == "__main__":
    sys.exit(main())
