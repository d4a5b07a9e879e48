"""What `find` finds: the planted bugs of the simulation, lost writes in failovers; and nothing where nothing is.

    python -m tests.lab.finds                 every planted bug, until one of `--histories` shows it; CPU seconds
    python -m tests.lab.finds --failovers     a lost write in an unprotected failover, none in a protected one
    python -m tests.lab.finds --sound         no broken invariant in any scenario, without a planted bug

A bug is planted in the running program, and sought by the conditions that a learner can type.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from engine.simulation.actions import AddHost, Start
from engine.simulation.history import History
from tests.simulation.planted import PLANTED, planted
from tutor.lab.exploring import HISTORIES, Exploration, explore
from tutor.lab.loader import find, names, read_scenario
from tutor.lab.session import LabSession
from tutor.lab.work import finish

SECOND = 1_000_000
PATIENCE_S = 3600.0  # where the number of histories is the bound
REPLICATION = (
    "repl-diskless-sync-delay 0",
    "repl-timeout 4",
    "repl-ping-replica-period 1",
    "repl-backlog-size 16384",
    "shutdown-timeout 1",
)
PROTECTED = (
    "repl-diskless-sync-delay 0",
    "appendonly yes",
    "appendfsync always",
    "min-replicas-to-write 2",
    "min-replicas-max-lag 3",
)


class Search(NamedTuple):
    """A cluster, and a condition that is sought in it."""

    nodes: int
    directives: tuple[str, ...]
    condition: str
    chain: bool = False


def put_up(nodes: int, directives: tuple[str, ...], chain: bool = False, seed: int = 1) -> History:
    """Return a history in which a master and its replicas have run for two seconds."""
    history = History(seed)
    for number in range(nodes):
        above = 10 if number < 3 or not chain else 11
        follows = (f"replicaof 172.16.6.{above} 6379",) if number else ()
        history.do(AddHost("ABCDEF"[number], f"172.16.6.{10 + number}:6379", (*directives, *follows)))
        history.do(Start("ABCDEF"[number]))
    history.run(history.world.now_us + 2 * SECOND)
    return history


def searches(bug: str) -> Iterator[Search]:
    """Yield where a planted bug is sought."""
    kind = PLANTED[bug][0]
    if kind == "cluster":
        for diskless in ("yes", "no"):
            yield Search(4, (*REPLICATION, f"repl-diskless-sync {diskless}"), "broken invariant", chain=True)
    elif kind == "failover":
        yield Search(3, REPLICATION, "lost write by failover slow")
    else:
        rewriting = ("appendonly yes", "auto-aof-rewrite-min-size 3kb", "auto-aof-rewrite-percentage 50")
        for policy in ("always", "everysec"):
            faults = "by plug crash stop save"
            yield Search(1, (*rewriting, f"appendfsync {policy}"), f"broken invariant {faults}")
        yield Search(1, ("appendonly no", "save 1 1"), f"broken invariant {faults}")


def seek(search: Search, seconds: float, seed: int = 1, histories: int = HISTORIES) -> tuple[Exploration, History]:
    """Seek a condition; return what came of it, and the history with its branch."""
    history = put_up(search.nodes, search.directives, search.chain, seed)
    return finish(explore(history, search.condition, seconds, histories)), history


def find_planted(histories: int) -> int:
    """Plant every bug; returns how many were not found by so many histories in one of the clusters."""
    missed = 0
    for bug in PLANTED:
        began = time.process_time()
        with planted(bug):
            for search in searches(bug):
                found, _ = seek(search, PATIENCE_S, histories=histories)
                if found.branch:
                    break
        missed += not found.branch
        took = time.process_time() - began
        told = f"{len(found.moves):>2} actions: {found.sentence[:84]}" if found.branch else "NOT FOUND"
        print(f"{bug:42} {took:5.1f} s {found.histories:>5}  {told}", flush=True)
    print(f"{len(PLANTED) - missed} of {len(PLANTED)} planted bugs found")
    return missed


def failovers(seconds: float) -> int:
    """Seek lost writes in failovers without and with protection; returns how many searches came out wrong."""
    wrong = 0
    for search, expected in (
        (Search(3, ("repl-diskless-sync-delay 0",), "lost write by cut crash pause promote"), True),
        (Search(3, ("repl-diskless-sync-delay 0",), "lost write by cut promote follow"), True),
        (Search(3, PROTECTED, "lost write after WAIT 2"), False),
        (Search(3, PROTECTED, "lost write after WAIT 2 by cut crash plug pause promote follow failover"), False),
        (Search(3, PROTECTED, "lost write after WAIT 1 by cut crash pause promote"), True),
    ):
        found, _ = seek(search, seconds)
        wrong += bool(found.branch) != expected
        sign = "as expected" if bool(found.branch) == expected else "WRONG"
        print(f"{search.condition}: {sign}: {found.told}", flush=True)
        for line in found.moves:
            print(f"    {line}")
    return wrong


def sound(seconds: float) -> int:
    """Seek broken invariants in every scenario, after its first step; returns how many were found."""
    broken = 0
    for name in names():
        session = LabSession(read_scenario(find(name)))
        session.next_step()
        found = finish(explore(session.history, "broken invariant", seconds))
        broken += bool(found.branch)
        print(f"{name:28} {found.told}", flush=True)
        for line in found.moves:
            print(f"    {line}")
    for search in {search for bug in PLANTED for search in searches(bug) if "broken" in search.condition}:
        found, _ = seek(search, seconds)
        broken += bool(found.branch)
        print(f"{search.directives} {found.told}", flush=True)
        for line in found.moves:
            print(f"    {line}")
    return broken


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.finds", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="for each search")
    parser.add_argument("--histories", type=int, default=1500, help="for each planted bug, in each cluster")
    parser.add_argument("--failovers", action="store_true", help="lost writes in failovers")
    parser.add_argument("--sound", action="store_true", help="no bug planted: nothing is found")
    options = parser.parse_args()
    if options.failovers:
        return failovers(options.seconds)
    return sound(options.seconds) if options.sound else find_planted(options.histories)


if __name__ == "__main__":
    sys.exit(bool(main()))
