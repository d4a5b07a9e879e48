"""Failovers by real Sentinels and ours together: one leader an epoch, and all agree afterwards.

python -m tests.sentinel.mixed [--failovers 20] [--server PATH]

Two real Sentinels and one of ours, then one real Sentinel and two of ours, watch a master of ours with two replicas.
The master is killed, and the failover waited for: all Sentinels must name the same new master in the same epoch, and
the others must follow it, the old master too once it runs again. Then the next master is killed. At the end the logs
are read: no Sentinel may have voted twice in an epoch, and each epoch has at most one leader, with a majority of
votes. A failover takes about 20 s.
"""

import argparse
import re
import sys
import time
from collections import Counter, defaultdict

from tests.real import Program, examine, find_servers
from tests.replication.servers import OURS, Server, servers, settle, wait_for
from tests.sentinel.live import NAME, LiveSentinel, all_follow, config_epoch, sentinels, watch

QUORUM = MAJORITY = 2
MIXTURES = ("rro", "roo")
_EVENT = re.compile(r" [#*] (\+\S+) (.*)")


class BrokenError(Exception):
    """Something does not hold."""


def kind(sentinel: LiveSentinel) -> str:
    """Return whose it is."""
    return "ours" if sentinel.program is None else "real"


def elections(group: list[LiveSentinel]) -> dict[int, LiveSentinel]:
    """Return who was elected in each epoch, by the logs. Raises BrokenError."""
    votes: dict[int, dict[str, str]] = defaultdict(dict)  # by epoch: whom each Sentinel voted for
    leaders: dict[int, LiveSentinel] = {}
    for sentinel in group:
        my_id = sentinel.ask("SENTINEL", "MYID")
        candidate_in = 0
        for event, rest in _EVENT.findall(sentinel.log()):
            if event == "+vote-for-leader":
                voted_for, epoch = rest.split(" ")
                if votes[int(epoch)].setdefault(my_id, voted_for) != voted_for:
                    raise BrokenError(f"{kind(sentinel)} {my_id} voted twice in epoch {epoch}")
                if voted_for == my_id:
                    candidate_in = int(epoch)
            elif event == "+elected-leader" and leaders.setdefault(candidate_in, sentinel) is not sentinel:
                raise BrokenError(f"two leaders in epoch {candidate_in}")
    for epoch, leader in leaders.items():
        got = Counter(votes[epoch].values())[leader.ask("SENTINEL", "MYID")]
        if got < MAJORITY:
            raise BrokenError(f"the leader of epoch {epoch} had {got} votes")
    return leaders


def complete(group: list[LiveSentinel], members: list[Server]) -> bool:
    """Return whether all Sentinels see each other, and all servers, in good state."""
    for sentinel in group:
        replicas = sentinel.client.sentinel_slaves(NAME)
        peers = sentinel.client.sentinel_sentinels(NAME)
        if len(peers) != len(group) - 1 or len(replicas) != len(members) - 1:
            return False
        if any(each["is_sdown"] or each["is_disconnected"] for each in (*peers, *replicas)):
            return False
    return True


def fail_over(group: list[LiveSentinel], members: list[Server]) -> str:
    """Kill the master, and wait until all follow another one and the old one as well; returns the new epoch."""
    wait_for(lambda: complete(group, members), "all see each other")
    old = next(each for each in members if each.port == group[0].master_port())
    old.kill()
    others = [each for each in members if each is not old]
    wait_for(lambda: old.port not in {each.master_port() for each in group}, "all name another master")
    wait_for(lambda: all_follow(group, others), "the replica follows the new master")
    old.start()
    wait_for(lambda: all_follow(group, members), "the old master follows")
    wait_for(lambda: len({config_epoch(each) for each in group}) == 1, "all have the same epoch")
    return config_epoch(group[0])


def play(mixture: str, program: Program, failovers: int) -> None:
    """Play so many failovers with a mixture: `r` is a real Sentinel, `o` one of ours. Raises BrokenError."""
    with servers(OURS, OURS, OURS) as members:
        for replica in members[1:]:
            replica.follow(members[0].port)
        settle(*members)
        kinds = [program if letter == "r" else None for letter in mixture]
        with sentinels(*kinds, lines=watch(members[0].port, QUORUM)) as group:
            for number in range(1, failovers + 1):
                began = time.monotonic()
                epoch = fail_over(group, members)
                print(f"  failover {number}: epoch {epoch}, {time.monotonic() - began:.0f} s", flush=True)
            leaders = elections(group)
            led = Counter(kind(leader) for leader in leaders.values())
            told = ", ".join(f"{count} by {whose}" for whose, count in sorted(led.items()))
            print(f"{mixture}: {failovers} masters killed, {len(leaders)} leaders elected ({told}), one an epoch")
            if len(leaders) < failovers:
                raise BrokenError("fewer leaders than failovers")


def main() -> int:
    """Play what the command line asks for; returns 1 if something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.sentinel.mixed", description=__doc__.partition("\n")[0])
    parser.add_argument("--failovers", type=int, default=20, help="with each mixture")
    parser.add_argument("--server", help="the real redis-server to run as Sentinel")
    options = parser.parse_args()
    program = examine(options.server) if options.server else next(iter(find_servers()), None)
    if program is None:
        parser.error("no real server was found")
    print(f"the real Sentinels are {program}")
    for mixture in MIXTURES:
        try:
            play(mixture, program, options.failovers)
        except BrokenError as error:
            print(f"{mixture}: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
