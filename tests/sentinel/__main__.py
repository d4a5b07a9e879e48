"""Seeds of groups of Sentinels under faults, and the planted bugs that they must find.

python -m tests.sentinel --seeds 100 [--first N] [--jobs N]
python -m tests.sentinel --seed 17        one seed; prints its last events if something does not hold
python -m tests.sentinel --planted        every planted bug until a seed finds it
"""

import sys

from tests.seeds import Tried, run, tried
from tests.sentinel.plans import play
from tests.sentinel.planted import PLANTED, planted

PLANTED_SEEDS = 100
COUNTED = ("failovers", "replicas promoted")


def _counts(seed: int) -> tuple[int, ...]:
    invariants = play(seed).invariants
    return invariants.failovers, invariants.promoted


def try_seed(seed: int) -> Tried:
    """Play a seed; returns it, what is wrong or nothing, and what was counted."""
    return tried(seed, _counts)


if __name__ == "__main__":
    sys.exit(bool(run("tests.sentinel", __doc__, try_seed, COUNTED, PLANTED, planted, PLANTED_SEEDS)))
