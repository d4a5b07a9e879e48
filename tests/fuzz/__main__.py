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

from tests.fuzz.attacks import ATTACKS, ScriptWorld, Target, scripts


def one_round(seed: int, only: str | None) -> Counter[str]:
    """Attack one node with a hundred attacks of one kind; returns how many there were of which."""
    rng = Random(seed)
    attack = rng.choice([each for each in ATTACKS if only in (None, each.__name__)])
    target = Target(seed, ScriptWorld() if attack is scripts else None)
    done: Counter[str] = Counter()
    try:
        for _ in range(100):
            target.sent.clear()
            attack(rng, target)
            done[attack.__name__] += 1
        target.check()
    except Exception as error:
        error.add_note(f"seed {seed}, attack {attack.__name__}: {target.sent[-3:]!r}")
        raise
    return done


def main() -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rounds", type=int, default=0, help="stop after so many rounds")
    parser.add_argument("--attack", choices=[each.__name__ for each in ATTACKS])
    options = parser.parse_args()
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
