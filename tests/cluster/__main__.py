"""Seeds of clusters under faults, and the planted bugs that they must find.

python -m tests.cluster --seeds 100 [--first N] [--jobs N]
python -m tests.cluster --seed 17        one seed; prints its last events if something does not hold
python -m tests.cluster --planted        every planted bug until a seed finds it
"""

import sys

from tests.cluster.plans import play
from tests.cluster.planted import PLANTED, planted
from tests.seeds import Tried, run, tried

PLANTED_SEEDS = 60
COUNTED = ("elections won", "with one won by a stranger")


def _counts(seed: int) -> tuple[int, ...]:
    invariants = play(seed).invariants
    return invariants.elections, int(invariants.stranger_won)


def try_seed(seed: int) -> Tried:
    """Play a seed; returns it, what is wrong or nothing, and what was counted."""
    return tried(seed, _counts)


if __name__ == "__main__":
    sys.exit(bool(run("tests.cluster", __doc__, try_seed, COUNTED, PLANTED, planted, PLANTED_SEEDS)))
