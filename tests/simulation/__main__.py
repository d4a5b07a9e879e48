"""Thousands of seeds: random clients, faults and changes of roles, and what has to hold whatever happens.

    python -m tests.simulation --seeds 1000            a night of it: --seeds 500000 --jobs 8
    python -m tests.simulation --seed 17 --write FILE  one seed, told line by line, its history kept in a file
    python -m tests.simulation --planted               every planted bug until a seed finds it
    python -m tests.simulation --digests 20            the hashes of the histories of twenty seeds

A failing seed is printed with two commands: one plays it again and keeps its history, up to where it failed, and one
opens that in the laboratory.
"""

import argparse
import contextlib
import multiprocessing
import sys
import time

from engine.simulation.history import History
from engine.simulation.trace import NodeEvent
from tests.simulation.invariants import BrokenError
from tests.simulation.plans import PLANS, kind_of, play
from tests.simulation.planted import PLANTED, planted

LAST_LINES = 60


def try_seed(job):
    """Play a seed; returns (seed, what is wrong or nothing, answers that clients got)."""
    seed, kind = job
    try:
        return seed, "", play(seed, kind=kind).promises.answers
    except BrokenError as error:
        return seed, str(error), 0
    except Exception as error:
        return seed, repr(error), 0


def try_seeds(first, count, kind, jobs):
    """Play many seeds; returns how many failed."""
    began = time.perf_counter()
    failed = answers = 0
    seeds = ((first + i, kind) for i in range(count))
    with contextlib.ExitStack() as stack:
        if jobs == 1:
            outcomes = map(try_seed, seeds)
        else:
            outcomes = stack.enter_context(multiprocessing.Pool(jobs)).imap_unordered(try_seed, seeds, 8)
        for seed, wrong, answered in outcomes:
            answers += answered
            if wrong:
                failed += 1
                print(f"seed {seed} ({kind or kind_of(seed)}): {wrong}")
                chosen = f" --kind {kind}" if kind else ""
                print(f"    python -m tests.simulation --seed {seed}{chosen} --write seed-{seed}.history")
                print(f"    redis-tutor lab --open seed-{seed}.history", flush=True)
    elapsed = time.perf_counter() - began
    print(f"{count} seeds, {answers} commands answered, {failed} failed, {elapsed:.0f} s")
    return failed


def tell(seed, kind, path):
    """Play one seed on a history; prints the end of it, and keeps it in a file."""
    history = History(seed)
    wrong = ""
    try:
        play(seed, history, kind)
    except BrokenError as error:
        wrong = str(error)
    except Exception as error:
        wrong = repr(error)
    shown = [event for event in history.trace if not isinstance(event, NodeEvent)]
    for event in shown[-LAST_LINES:]:
        print(str(event)[:200])
    if path:
        with open(path, "wb") as file:
            file.write(history.encode())
        print(f"{history.place} events kept in {path}")
    print(f"seed {seed}: {wrong or 'everything holds'}")
    return bool(wrong)


def find_planted(limit):
    """Plant every bug; returns how many no seed found."""
    missed = 0
    for name, (kind, *_) in PLANTED.items():
        found = ""
        began = time.perf_counter()
        with planted(name):
            for seed in range(limit):
                _, found, _ = try_seed((seed, kind))
                if found:
                    break
        missed += not found
        verdict = f"seed {seed}: {found[:90]}" if found else f"not found by {limit} seeds"
        print(f"{name:42} {time.perf_counter() - began:5.1f} s   {verdict}", flush=True)
    print(f"{len(PLANTED) - missed} of {len(PLANTED)} planted bugs found")
    return missed


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", choices=sorted(PLANS), default="", help="only one kind of plan")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="play one seed and tell it")
    parser.add_argument("--write", default="", help="keep the history of --seed in a file")
    parser.add_argument("--planted", action="store_true", help="plant bugs")
    parser.add_argument("--digests", type=int, default=0, help="print the hashes of so many histories")
    options = parser.parse_args()
    if options.planted:
        return find_planted(200)
    if options.seed is not None:
        return tell(options.seed, options.kind, options.write)
    if options.digests:
        for seed in range(options.first, options.first + options.digests):
            print(seed, play(seed, kind=options.kind).world.digest)
        return 0
    return try_seeds(options.first, options.seeds, options.kind, options.jobs)


if __name__ == "__main__":
    sys.exit(bool(main()))
