"""Bugs to plant in the nodes of a cluster: each is switched on by a context manager, and has to be found by seeds."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from engine.cluster import Cluster
from engine.cluster import state as st
from engine.cluster.election import Election
from engine.cluster.failures import Failures
from engine.cluster.ownership import Ownership
from engine.cluster.role import OwnRole
from engine.cluster.state import ClusterState
from engine.commands import migrate
from engine.effects import Rename, Sync
from engine.simulation.host import Host

run_now, claimed, voted, evaluate = Host.run_now, Ownership.claimed, Election.voted, Failures.evaluate
take_over, follow, move = Election.take_over, OwnRole.follow, migrate._move


def a_file_not_fsynced(self: Host, node: Any, effect: Any) -> Any:
    if isinstance(effect, Sync) and "nodes.conf" in effect.path:
        return None
    return run_now(self, node, effect)


def a_file_never_replaced(self: Host, node: Any, effect: Any) -> Any:
    if isinstance(effect, Rename) and "nodes.conf" in effect.target and node.cluster.state.current_epoch > 1:
        return None
    return run_now(self, node, effect)


def one_vote_wins(self: ClusterState) -> int:
    return 1


def own_opinion_is_enough(self: Failures, peer: Any, explain: bool = False) -> None:
    if peer.flags & st.PFAIL and not peer.failed:
        self.output.log("*", f"Marking node {peer.shown} as failing (quorum reached).")
        self._set_failed(peer)
        self.sender.fail(peer.name)


def old_claims_win(self: Ownership, claimer: Any, epoch: int, slots: int) -> None:
    claimed(self, claimer, epoch + 1000, slots)


def no_claims(self: Ownership, claimer: Any, epoch: int, slots: int) -> None:
    """Believe no node that claims slots."""


def a_vote_counts_twice(self: Election, voter: Any, epoch: int) -> None:
    voted(self, voter, epoch)
    voted(self, voter, epoch)


def a_minority_goes_on(self: Failures) -> None:
    """Take the cluster to be up while every slot has a node that has not failed, whoever is reachable."""
    evaluate(self)
    if all(owner is not None and not owner.failed for owner in self.state.owners):
        self.state.ok = True


def the_first_master_for_ever(self: OwnRole, host: str, port: int) -> None:
    if not self.replicates:
        follow(self, host, port)


def the_epoch_of_the_former_master(self: Election) -> None:
    former = self.state.myself.master
    if former is not None:
        self.state.myself.config_epoch = former.config_epoch
    take_over(self)


def a_copy(ctx: Any, keys: Any, conversation: Any, copy: bool) -> Any:
    return move(ctx, keys, conversation, copy=True)


PLANTED: dict[str, tuple[Any, str, Any]] = {
    "nodes.conf not fsynced": (Host, "run_now", a_file_not_fsynced),
    "nodes.conf never replaced": (Host, "run_now", a_file_never_replaced),
    "nothing saved": (Cluster, "save", lambda self, fsync=True: True),
    "one vote is enough": (ClusterState, "quorum", property(one_vote_wins)),
    "one opinion is enough to fail": (Failures, "mark_if_failing", own_opinion_is_enough),
    "old claims win": (Ownership, "claimed", old_claims_win),
    "no claim believed": (Ownership, "claimed", no_claims),
    "the state never evaluated": (Failures, "evaluate", lambda self: None),
    "a failure never cleared": (Failures, "answered", lambda self, peer: None),
    "a vote counts twice": (Election, "voted", a_vote_counts_twice),
    "a minority goes on": (Failures, "evaluate", a_minority_goes_on),
    "a winner has its master's epoch": (Election, "take_over", the_epoch_of_the_former_master),
    "a winner does not stop replicating": (OwnRole, "promote", lambda self: None),
    "a key that has moved is kept": (migrate, "_move", a_copy),
    "a replica stays with its former master": (OwnRole, "follow", the_first_master_for_ever),
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a bug in every node."""
    owner, attribute, wrong = PLANTED[name]
    with mock.patch.object(owner, attribute, wrong):
        yield
