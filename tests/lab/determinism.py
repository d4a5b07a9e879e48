"""Every scenario many times, with equal seed, in many processes: the history is the same to the byte.

    python -m tests.lab.determinism --runs 1000 [--python PATH …] [--jobs 2] [SCENARIO …]

Each run is a process of its own with a PYTHONHASHSEED of its own, that plays the scenarios and prints their hashes:
over every byte on every wire and disk, and every node's data at the end. The runs take turns on this interpreter,
those of other supported versions in PATH that have what is needed, and those that `--python` names. Any hash that
differs from the first run's is told, and the status is 1.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

from tests.interpreters import ROOT, others, works
from tutor.lab.loader import find, names, read_scenario
from tutor.lab.runner import ScenarioRunner

Hashes = dict[str, str]  # by scenario
TIMEOUT_S = 600


def play(scenarios: list[str]) -> Hashes:
    """Play scenarios to their ends; returns the hashes of their histories."""
    hashes = {}
    for name in scenarios:
        runner = ScenarioRunner(read_scenario(find(name)))
        while runner.next_step is not None:
            runner.step()
        hashes[name] = runner.history.digest()
    return hashes


def play_elsewhere(python: str, hash_seed: int, scenarios: list[str]) -> tuple[str, Hashes]:
    """Play scenarios in another process; returns the version of its Python, and the hashes."""
    run = subprocess.run(
        [python, "-m", "tests.lab.determinism", "--here", *scenarios],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    if run.returncode:
        raise RuntimeError(f"{python} ended with status {run.returncode}: {run.stderr.strip()[-500:]}")
    version, *lines = run.stdout.splitlines()
    return version, dict(tuple(line.split()) for line in lines)  # type: ignore[misc]


def compare(pythons: list[str], runs: int, scenarios: list[str], jobs: int) -> tuple[Counter[str], list[str]]:
    """Play scenarios in so many processes; returns the runs by version of Python, and what differs from the first."""
    counts: Counter[str] = Counter()
    expected: Hashes = {}
    wrong: list[str] = []
    with ThreadPoolExecutor(jobs) as pool:
        turns = list(islice(cycle(pythons), runs))
        for seed, (version, found) in enumerate(
            pool.map(play_elsewhere, turns, range(runs), [scenarios] * runs),
        ):
            counts[version] += 1
            expected = expected or found
            wrong += [
                f"{name}: {found.get(name)} on Python {version} with PYTHONHASHSEED={seed}, {digest} before"
                for name, digest in expected.items()
                if found.get(name) != digest
            ]
    return counts, wrong


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.determinism", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="how many processes")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="one more interpreter")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--here", action="store_true", help="play once, in this process, and print the hashes")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all")
    options = parser.parse_args()
    scenarios = options.scenarios or list(names())
    if options.here:
        print(platform.python_version())
        for name, digest in play(scenarios).items():
            print(name, digest)
        return 0
    for python in options.python:
        if not works(python):
            parser.error(f"{python} cannot run the engine: its dependencies are missing, or it is no Python")
    began = time.perf_counter()
    counts, wrong = compare([sys.executable, *others(), *options.python], options.runs, scenarios, options.jobs)
    for line in wrong:
        print(line)
    told = ", ".join(f"{count} on Python {version}" for version, count in sorted(counts.items()))
    verdict = f"{len(wrong)} hashes differ" if wrong else "all hashes equal"
    print(f"{len(scenarios)} scenarios, {options.runs} runs of each ({told}): {verdict}")
    print(f"{time.perf_counter() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
