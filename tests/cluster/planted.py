"""Bugs to plant in the nodes of a cluster: each is switched on by a context manager, and has to be found by seeds."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from engine.cluster import Cluster
from engine.cluster import messages as ms
from engine.cluster import state as st
from engine.cluster.election import Election
from engine.cluster.failures import Failures
from engine.cluster.ownership import Ownership
from engine.cluster.receiving import Receiver
from engine.cluster.routing import Routing
from engine.cluster.state import ClusterState
from engine.effects import Rename, Sync
from engine.simulation.host import Host
from tutor.cluster import moving

run_now, refusal, claimed = Host.run_now, Election._refusal, Ownership.claimed
take_over, mark, slot_of, voted = Election.take_over, Failures.mark_if_failing, Routing.slot_of, Election.voted


def a_file_not_fsynced(self: Host, node: Any, effect: Any) -> Any:
    if isinstance(effect, Sync) and "nodes.conf" in effect.path:
        return None
    return run_now(self, node, effect)


def a_file_never_replaced(self: Host, node: Any, effect: Any) -> Any:
    if isinstance(effect, Rename) and "nodes.conf" in effect.target and node.cluster.state.current_epoch > 1:
        return None
    return run_now(self, node, effect)


def votes_twice(self: Election, candidate: Any, request: Any) -> str:
    self.state.last_vote_epoch = 0
    if candidate.master is not None:
        candidate.master.voted_ms = 0
    return refusal(self, candidate, request)


def votes_for_anyone(self: Election, candidate: Any, request: Any) -> str:
    return "" if candidate.master is not None else "no master"


def one_vote_wins(self: ClusterState) -> int:
    return 1


def replicas_vote(self: Election, candidate: Any, request: Any) -> None:
    self.sender.send(candidate.link, self.sender.message(ms.AUTH_ACK))


def votes_of_anyone_count(self: Election, voter: Any, epoch: int) -> None:
    self.votes += 2
    self.state.due.failover = True


def own_opinion_is_enough(self: Failures, peer: Any, explain: bool = False) -> None:
    if peer.flags & st.PFAIL and not peer.failed:
        self.output.log("*", f"Marking node {peer.shown} as failing (quorum reached).")
        self._set_failed(peer)
        self.sender.fail(peer.name)


def old_claims_win(self: Ownership, claimer: Any, epoch: int, slots: int) -> None:
    claimed(self, claimer, epoch + 1000, slots)


def no_claims(self: Ownership, claimer: Any, epoch: int, slots: int) -> None:
    """Believe nobody who claims slots."""


def takes_over_without_slots(self: Election) -> None:
    former = self.state.myself.master
    slots = former.slots if former is not None else 0
    take_over(self)
    for slot in list(st.members(slots))[:3]:
        self.state.release(slot)


def collisions_stay(self: Ownership, other: Any) -> None:
    """Keep the epoch that another master has, too."""


def update_ignored(self: Receiver, link: Any, message: Any, sender: Any) -> None:
    if message.kind != ms.UPDATE:
        OTHER(self, link, message, sender)


OTHER = Receiver._other


def serves_what_has_moved(self: Routing, *args: Any) -> int:
    migrating, self.state.migrating = self.state.migrating, {}
    try:
        return slot_of(self, *args)
    finally:
        self.state.migrating = migrating


def keys_of_lost_slots_stay(self: Ownership, slot: int) -> int:
    return 0


def moves_without_keys(manager: Any, source: Any, target: Any, slot: int, dots: bool) -> None:
    """Assign the slot, and leave its keys where they are."""


def nobody_stands(self: Election) -> None:
    """Never ask for votes."""
    self.state.due.failover = False


PLANTED: dict[str, tuple[Any, str, Any]] = {
    "nodes.conf not fsynced": (Host, "run_now", a_file_not_fsynced),
    "nodes.conf never replaced": (Host, "run_now", a_file_never_replaced),
    "two votes in an epoch": (Election, "_refusal", votes_twice),
    "a vote for anyone": (Election, "_refusal", votes_for_anyone),
    "one vote is enough": (ClusterState, "quorum", property(one_vote_wins)),
    "votes of anyone, counted twice": (Election, "voted", votes_of_anyone_count),
    "one opinion is enough to fail": (Failures, "mark_if_failing", own_opinion_is_enough),
    "old claims win": (Ownership, "claimed", old_claims_win),
    "no claim believed": (Ownership, "claimed", no_claims),
    "some slots left behind at a failover": (Election, "take_over", takes_over_without_slots),
    "epochs that collide stay": (Ownership, "resolve_collision", collisions_stay),
    "UPDATE ignored": (Receiver, "_other", update_ignored),
    "keys created where they have left": (Routing, "slot_of", serves_what_has_moved),
    "keys of lost slots stay": (Ownership, "delete_keys", keys_of_lost_slots_stay),
    "a slot moved without its keys": (moving, "_migrate", moves_without_keys),
    "nobody stands for election": (Election, "stand", nobody_stands),
    "the state never evaluated": (Failures, "evaluate", lambda self: None),
    "a failure never cleared": (Failures, "answered", lambda self, peer: None),
    "nothing saved": (Cluster, "save", lambda self, fsync=True: True),
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a bug in every node."""
    owner, attribute, wrong = PLANTED[name]
    with mock.patch.object(owner, attribute, wrong):
        yield
