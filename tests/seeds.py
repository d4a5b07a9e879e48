"""Seeds of groups of processes under faults, and the planted bugs that they must find: what the runners share."""

import argparse
import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.simulation.actions import Cut
from engine.simulation.world import World
from engine.values.rng import Rng

Tried = tuple[int, str, tuple[int, ...]]  # the seed, what is wrong or nothing, how often what happened in it


def cut_some_off(world: World, rng: Rng, names: Sequence[str]) -> None:
    """Cut about a third of the machines off from the others, in one of the ways in which links fail."""
    ones = [name for name in names if not rng.below(3)]
    kind = ("silent", "reset", "half-open")[rng.below(3)]
    direction = ("both", "a-b", "b-a")[rng.below(3)] if kind == "silent" else "both"
    for a in ones:
        for b in names:
            if b not in ones:
                world.do(Cut(a, b, kind, direction))


def tried(seed: int, counts: Callable[[int], tuple[int, ...]]) -> Tried:
    """Play a seed; `counts` plays it and returns how often what happened, or raises what is wrong."""
    try:
        return seed, "", counts(seed)
    except AssertionError as error:
        return seed, str(error), ()
    except Exception as error:
        return seed, repr(error), ()


def try_seeds(try_seed: Callable[[int], Tried], seeds: range, jobs: int, counted: Sequence[str]) -> int:
    """Play many seeds in processes, and print what was `counted`; returns how many failed."""
    began = time.perf_counter()
    failed, totals = 0, [0] * len(counted)
    with multiprocessing.Pool(jobs) as pool:
        for seed, wrong, counts in pool.imap_unordered(try_seed, seeds):
            totals = [total + count for total, count in zip(totals, counts or [0] * len(totals), strict=True)]
            if wrong:
                failed += 1
                print(f"seed {seed}: {wrong.splitlines()[0][:300]}", flush=True)
    told = ", ".join(f"{total} {what}" for total, what in zip(totals, counted, strict=True))
    print(f"{len(seeds)} seeds, {told}, {failed} failed, {time.perf_counter() - began:.0f} s")
    return failed


def find_planted(
    try_seed: Callable[[int], Tried],
    names: Iterable[str],
    planted: Callable[[str], contextlib.AbstractContextManager[Any]],
    most: int,
) -> int:
    """Plant every bug until one of so many seeds finds it; returns how many no seed found."""
    names = list(names)
    missed = 0
    for name in names:
        found, seed = "", 0
        with planted(name):
            while not found and seed < most:
                _, found, _ = try_seed(seed)
                seed += 1
        missed += not found
        verdict = f"seed {seed - 1}: {found.splitlines()[0][:120]}" if found else f"not found by {seed} seeds"
        print(f"{name:42} {verdict}", flush=True)
    print(f"{len(names) - missed} of {len(names)} planted bugs found")
    return missed


def options_of(program: str, doc: str | None) -> argparse.Namespace:
    """Read the command line of a runner."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=(doc or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="play one seed")
    parser.add_argument("--planted", action="store_true", help="plant bugs")
    return parser.parse_args()


def run(
    program: str,
    doc: str | None,
    try_seed: Callable[[int], Tried],
    counted: Sequence[str],
    names: Iterable[str],
    planted: Callable[[str], contextlib.AbstractContextManager[Any]],
    most: int,
) -> int:
    """Do what the command line asks for; returns how much failed."""
    options = options_of(program, doc)
    if options.planted:
        return find_planted(try_seed, names, planted, most)
    if options.seed is not None:
        wrong = try_seed(options.seed)[1]
        print(wrong or f"seed {options.seed}: everything holds")
        return bool(wrong)
    return try_seeds(try_seed, range(options.first, options.first + options.seeds), options.jobs, counted)
