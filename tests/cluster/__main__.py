"""Seeds of clusters under faults, and the planted bugs that they must find.

python -m tests.cluster --seeds 100 [--first N] [--jobs N]
python -m tests.cluster --seed 17        one seed; prints its last events if something does not hold
python -m tests.cluster --planted        every planted bug until a seed finds it
"""

import argparse
import multiprocessing
import sys
import time

from tests.cluster.plans import BrokenError, play
from tests.cluster.planted import PLANTED, planted

PLANTED_SEEDS = 60


def try_seed(seed: int) -> tuple[int, str, int]:
    """Play a seed; returns (seed, what is wrong or nothing, elections won)."""
    try:
        return seed, "", play(seed).invariants.elections
    except BrokenError as error:
        return seed, str(error), 0
    except Exception as error:
        return seed, repr(error), 0


def try_seeds(first: int, count: int, jobs: int) -> int:
    """Play many seeds; returns how many failed."""
    began = time.perf_counter()
    failed = elections = 0
    with multiprocessing.Pool(jobs) as pool:
        for seed, wrong, won in pool.imap_unordered(try_seed, range(first, first + count)):
            elections += won
            if wrong:
                failed += 1
                print(f"seed {seed}: {wrong.splitlines()[0][:300]}", flush=True)
    print(f"{count} seeds, {elections} elections won, {failed} failed, {time.perf_counter() - began:.0f} s")
    return failed


def find_planted() -> int:
    """Plant every bug; returns how many no seed found."""
    missed = 0
    for name in PLANTED:
        found, seed = "", 0
        with planted(name):
            while not found and seed < PLANTED_SEEDS:
                _, found, _ = try_seed(seed)
                seed += 1
        missed += not found
        verdict = f"seed {seed - 1}: {found.splitlines()[0][:120]}" if found else f"not found by {seed} seeds"
        print(f"{name:42} {verdict}", flush=True)
    print(f"{len(PLANTED) - missed} of {len(PLANTED)} planted bugs found")
    return missed


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="play one seed")
    parser.add_argument("--planted", action="store_true", help="plant bugs")
    options = parser.parse_args()
    if options.planted:
        return find_planted()
    if options.seed is not None:
        wrong = try_seed(options.seed)[1]
        print(wrong or f"seed {options.seed}: everything holds")
        return bool(wrong)
    return try_seeds(options.first, options.seeds, options.jobs)


if __name__ == "__main__":
    sys.exit(bool(main()))
