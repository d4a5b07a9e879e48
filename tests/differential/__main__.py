"""Compare with real servers for longer than the tests do.

    python -m tests.differential [--examples N] [--seed N] [--server PATH] [GROUP …]
    python -m tests.differential --rows [--server PATH]       what `commands.md` has to say of a server

Prints each difference with the shortest sequence found that shows it, and ends with status 1 if there was one.
"""

import argparse
import sys
import time
from random import Random

from tests.differential.commands import facts, rows
from tests.differential.groups import MAKERS
from tests.differential.sequences import CONFIGURATIONS, DifferenceError, beside, compare, make_steps, shrink
from tests.real import Program, examine, find_servers


def print_rows(programs: list[Program]) -> int:
    for program in programs:
        with beside(program) as other:
            other.ask(b"HELLO", b"3")
            print(f"## {program}", *rows(program, facts(other.ask)), sep="\n")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential")
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--examples", type=int, default=500, help="sequences for each group")
    parser.add_argument("--length", type=int, default=40, help="commands of a sequence")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", help="compare with this binary only")
    parser.add_argument("--rows", action="store_true", help="print how the facts of commands differ")
    options = parser.parse_intermixed_args()
    named = examine(options.server) if options.server else None
    if options.server and named is None:
        parser.error(f"{options.server} is not a server that can be run")
    programs = [named] if named else find_servers()
    if options.rows:
        return print_rows(programs)
    failures = 0
    for program in programs:
        with beside(program) as other:
            for group in options.groups or MAKERS:
                started = time.perf_counter()
                seen: set[str] = set()
                for number in range(options.examples):
                    chance = Random(f"{group} {options.seed + number}")
                    steps = make_steps(group, chance, options.length)
                    resp = chance.choice((2, 3))
                    configuration = chance.choice(CONFIGURATIONS)
                    try:
                        compare(other, steps, resp, configuration)
                    except DifferenceError as difference:
                        lines = str(difference).split("\n")
                        kind = lines[0].split("[", 1)[-1][:14]
                        if kind in seen:
                            continue
                        seen.add(kind)
                        failures += 1
                        steps = shrink(other, steps, resp, configuration)
                        try:
                            compare(other, steps, resp, configuration)
                        except DifferenceError as shorter:
                            difference = shorter
                        print(f"--- {program}, {group}, seed {options.seed + number}, RESP{resp}, {configuration}")
                        for link, argv in steps:
                            print(f"  {link}> {argv}")
                        print(difference, flush=True)
                took = time.perf_counter() - started
                print(
                    f"{program} {group}: {options.examples} sequences, {len(seen)} differences, {took:.1f} s",
                    flush=True,
                )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
