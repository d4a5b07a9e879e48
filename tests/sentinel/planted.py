"""Bugs to plant in a Sentinel: each is switched on by a context manager, and has to be found by the seeds."""

import contextlib
from collections.abc import Iterator
from unittest import mock

from engine.effects import Sync
from engine.sentinel.configuration import ConfigurationFile
from engine.sentinel.detection import Detection
from engine.sentinel.failover import Failover
from engine.sentinel.hello import Hello
from engine.sentinel.information import Information
from engine.sentinel.instances import O_DOWN, S_DOWN
from engine.sentinel.votes import Votes
from engine.sentinel.watched import Watched
from engine.simulation.host import Host

run_now, vote, received, promoted, move = Host.run_now, Votes.vote, Hello.received, Failover.promoted, Watched.move
check_objectively = Detection.check_objectively


def an_fsync_lost(self, node, effect):
    if isinstance(effect, Sync) and "sentinel.conf" in effect.path:
        return None
    return run_now(self, node, effect)


def nothing_written(self):
    return True


def two_votes_in_an_epoch(self, master, epoch, run_id):
    if run_id != self.settings.my_id:
        master.leader_epoch = min(master.leader_epoch, epoch - 1)
    return vote(self, master, epoch, run_id)


def votes_of_any_epoch(self, master, epoch):
    mine = self.vote(master, epoch, self.settings.my_id)[0] == self.settings.my_id
    votes = mine + sum(peer.leader == self.settings.my_id for peer in master.sentinels.values())
    return self.settings.my_id if votes >= len(master.sentinels) // 2 + 1 else ""


def one_vote_is_enough(self, master, epoch):
    return self.vote(master, epoch, self.settings.my_id)[0]


def half_is_a_majority(self, master, epoch):
    mine = self.vote(master, epoch, self.settings.my_id)[0] == self.settings.my_id
    votes = mine + sum(
        peer.leader == self.settings.my_id and peer.leader_epoch == epoch for peer in master.sentinels.values()
    )
    return self.settings.my_id if votes >= (len(master.sentinels) + 1) // 2 else ""


def subjectively_is_objectively(self, master):
    check_objectively(self, master)
    if master.flags & S_DOWN and not master.flags & O_DOWN:
        master.flags |= O_DOWN
        master.o_down_since_ms = self.watched.now_ms


def any_configuration_followed(self, message):
    parts = message.split(b",")
    master = self.watched.masters.get(parts[4].decode())
    if master is not None and int(parts[7]) < master.config_epoch:
        master.config_epoch = int(parts[7]) - 1
    received(self, message)


def promoted_without_an_epoch(self, master, replica):
    before = master.config_epoch
    promoted(self, master, replica)
    master.config_epoch = before


def no_epoch_taken_over(self, epoch, master):
    """Ignore that others are in a later epoch."""


def old_masters_forgotten(self, master, host, port):
    old = master.address
    replicas = move(self, master, host, port)
    for replica in list(master.replicas.values()):
        if replica.address == old:
            self.release(master.replicas.pop(replica.name))
    return [replica for replica in replicas if not replica.released]


def masters_that_came_back_left_alone(self, replica):
    """Never turn one that says that it is a master into a replica again."""
    master = replica.master
    if master.promoted is replica and master.failover_state == "wait_promotion":
        self.failover.promoted(master, replica)


PLANTED = {
    "a vote not fsynced": (Host, "run_now", an_fsync_lost),
    "the state never written": (ConfigurationFile, "flush", nothing_written),
    "two votes in an epoch": (Votes, "vote", two_votes_in_an_epoch),
    "votes of any epoch counted": (Votes, "leader", votes_of_any_epoch),
    "one vote is enough": (Votes, "leader", one_vote_is_enough),
    "half taken for a majority": (Votes, "leader", half_is_a_majority),
    "subjectively taken for objectively": (Detection, "check_objectively", subjectively_is_objectively),
    "an older configuration followed": (Hello, "received", any_configuration_followed),
    "promoted without an epoch": (Failover, "promoted", promoted_without_an_epoch),
    "later epochs ignored": (Votes, "see_epoch", no_epoch_taken_over),
    "old masters forgotten": (Watched, "move", old_masters_forgotten),
    "old masters left alone": (Information, "_is_master", masters_that_came_back_left_alone),
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a bug in every Sentinel."""
    owner, attribute, wrong = PLANTED[name]
    with mock.patch.object(owner, attribute, wrong):
        yield
