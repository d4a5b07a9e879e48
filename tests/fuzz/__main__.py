"""Attack nodes at random: `python -m tests.fuzz [--minutes N] [--seed N] [--attack NAME]`.

Prints what was done a minute, and every finding with the seed that makes it again (`--seed N --rounds 1`). Exit
status 1 when there was one.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from random import Random

from tests.fuzz.attacks import ATTACKS, ScriptWorld, Target, bus, scripts
from tests.fuzz.conversations import CONVERSATIONS, Played
from tests.fuzz.everything import FindingError, try_all

TALKS = {each.__name__: each for each in CONVERSATIONS}  # of replication: see `tests.fuzz.conversations`
NAMES = [*[each.__name__ for each in ATTACKS], *TALKS]


EVERYTHING = "everything"  # every command with every kind of value: see `tests.fuzz.everything`


def one_round(seed: int, only: str | None) -> Counter[str]:
    """Attack one node with a hundred attacks of one kind; returns how many there were of which."""
    rng = Random(seed)
    name = rng.choice([each for each in (*NAMES, EVERYTHING) if only in (None, each)])
    if name == EVERYTHING:
        tried, found = try_all(seed, 1 if only else 0.05, appendonly=seed % 2 == 1)
        if found:
            raise FindingError("\n".join(found))
        return Counter({name: tried})
    if name in TALKS:
        return _converse(seed, name)
    attack = ATTACKS[NAMES.index(name)]
    target = Target(seed, ScriptWorld() if attack is scripts else None, cluster=attack is bus)
    done: Counter[str] = Counter()
    try:
        for _ in range(100):
            target.sent.clear()
            attack(rng, target)
            done[attack.__name__] += 1
        target.check()
    except Exception as error:
        error.add_note(f"seed {seed}, attack {attack.__name__}: {repr(target.sent[-3:])[:2000]}")
        raise
    return done


def _converse(seed: int, name: str) -> Counter[str]:
    """Have a hundred conversations with masters or with replicas."""
    for number in range(100):
        said: list[bytes] = []
        try:
            TALKS[name](Random(seed * 100 + number), said)
        except Exception as error:
            error.add_note(f"seed {seed}, {name} {number}: {said[-5:]!r}")
            raise
    return Counter({name: 100})


def main() -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rounds", type=int, default=0, help="stop after so many rounds")
    parser.add_argument("--attack", choices=[*NAMES, EVERYTHING])
    options = parser.parse_args()
    Played.stall_s = 0.1
    end = time.monotonic() + options.minutes * 60
    done: Counter[str] = Counter()
    findings = 0
    seed = options.seed
    while time.monotonic() < end and not (options.rounds and seed >= options.seed + options.rounds):
        try:
            done += one_round(seed, options.attack)
        except Exception:
            findings += 1
            traceback.print_exc()
            if findings >= 20:
                break
        seed += 1
    print(f"seeds {options.seed} to {seed - 1}, findings {findings}, attacks {dict(done)}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
