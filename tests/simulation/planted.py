"""Bugs to plant: each is switched on by a context manager, and has to be found by the seeds.

Most are slips that a replication or persistence code of one's own would have at first; `PLANTED` names, for each, the
kind of plan that finds it.
"""

import contextlib
from unittest import mock

from engine.clients.client import Client
from engine.effects import Sync
from engine.keyspace.databases import EXPIRE_DELETE
from engine.observe.events import Condition
from engine.persistence.aof.log import AppendOnlyFile
from engine.replication import Replication
from engine.replication import master as master_module
from engine.replication.backlog import Backlog
from engine.replication.failover import CoordinatedFailover
from engine.replication.master import MasterRole
from engine.replication.psync import Decision
from engine.replication.replica import ReplicaRole
from engine.replication.stream import MasterStream
from engine.simulation.disk import Disk
from engine.simulation.host import Host

since, pass_on, send, feed = Backlog.since, Replication.pass_on, MasterRole.send, MasterRole.feed
put_online, shift_id, answer, psync = (
    MasterRole._put_online,
    Replication.shift_id,
    ReplicaRole._answer,
    ReplicaRole._psync,
)
apply, receive, flush, run_now = MasterStream.receive, ReplicaRole._take_snapshot, AppendOnlyFile.flush, Host.run_now
file_effect = Host._file


def a_byte_skipped(self, offset):
    return since(self, offset + 1)


def a_byte_sent_twice(self, offset):
    return since(self, max(self.first_offset, offset - 1))


def grant(check):
    def decide(replication, replid, offset, peer):
        granted = replication.backlog is not None and check(replication, replid, offset)
        return Decision(granted, [Condition(granted, "a bug says so")])

    return decide


def known(replication, replid):
    return replid in (replication.replid, replication.replid2)


def covered(replication, offset):
    return replication.backlog.covers(offset)


def valid(replication, replid, offset):
    return replid == replication.replid or (
        replid == replication.replid2 and offset <= replication.second_replid_offset
    )


def stale_id_accepted(replication, replid, offset):
    return known(replication, replid) and covered(replication, offset)


def any_id_accepted(replication, replid, offset):
    return replid != b"?" and covered(replication, offset)


def overrun_backlog_accepted(replication, replid, offset):
    return valid(replication, replid, offset) and offset <= replication.backlog.end


def future_offset_accepted(replication, replid, offset):
    return known(replication, replid) and offset >= replication.backlog.first_offset


def asks_for_what_it_has(self):
    words = psync(self)
    return [words[0], words[1], b"%d" % (int(words[2]) - 1), *words[3:]] if self.has_history else words


def offset_one_too_far(self, data):
    send(self, data)
    self.replication.offset += data.startswith(b"*1\r\n$4\r\nping")


def pings_not_passed_on(self, data):
    if not data.startswith(b"*1\r\n$4\r\nping"):
        pass_on(self, data)


def passed_on_twice(self, data):
    pass_on(self, data)
    if data.startswith(b"*2\r\n$6\r\nSELECT"):
        pass_on(self, data)


def promoted_without_a_new_id(self):
    self.replid2, self.second_replid_offset = self.replid, self.offset + 1


def old_history_valid_too_long(self):
    shift_id(self)
    self.second_replid_offset += 500


def stream_during_snapshot_lost(self, client):
    client.replica.pending = []
    put_online(self, client)


def stream_during_snapshot_twice(self, client):
    client.replica.pending = client.replica.pending * 2
    put_online(self, client)


def old_keys_kept_at_full_resync(self):
    transfer, db = self.transfer, self.space.databases[0]
    if not transfer.read_bytes:
        transfer.kept = dict(db.items())
    receive(self)
    if self.transfer is None and self.client is not None:
        for key, value in transfer.kept.items():
            if key not in db:
                db.add(key, value)


def replicas_expire_by_themselves(self, data):
    apply(self, data)
    self.space.expire_mode = EXPIRE_DELETE


def random_choice_replicated_as_it_is(self, *commands):
    self.execution.override = None


def database_not_said(self, db, argv):
    self.selected = db if db >= 0 else self.selected
    feed(self, db, argv)


def new_id_ignored(self, line):
    answer(self, b"+CONTINUE" if line.startswith(b"+CONTINUE") else line)


def failover_does_not_wait(self):
    if self.state == "waiting-for-sync":
        for client in self.master.replicas.values():
            self.target = self.address(client)
            self._hand_over("a bug says so")
            return


def fsync_lost(self, node, effect):
    if isinstance(effect, Sync) and effect.path.endswith(".aof"):
        return None
    return run_now(self, node, effect)


def background_fsync_lost(self):
    self.syncing = False


def answered_before_it_is_written(self, force=False):
    self.late = not getattr(self, "late", False)
    if not self.late:
        flush(self, force)


def manifest_not_synced(self, node, effect):
    if isinstance(effect, Sync) and "manifest" in effect.path:
        return None
    return run_now(self, node, effect)


def snapshot_not_synced(self, effect):
    if isinstance(effect, Sync) and "temp-" in effect.path:
        return None
    return file_effect(self, effect)


# Each: the kind of plan that finds it, a seed that does, what is replaced and by what.
PLANTED = {
    "a byte skipped": ("cluster", Backlog, "since", a_byte_skipped),
    "a byte sent twice": ("cluster", Backlog, "since", a_byte_sent_twice),
    "a stale ID accepted": ("cluster", master_module, "decide", grant(stale_id_accepted)),
    "any ID accepted": ("cluster", master_module, "decide", grant(any_id_accepted)),
    "an overrun backlog accepted": ("cluster", master_module, "decide", grant(overrun_backlog_accepted)),
    "an offset of the future accepted": ("cluster", master_module, "decide", grant(future_offset_accepted)),
    "asking for the byte that one has": ("cluster", ReplicaRole, "_psync", asks_for_what_it_has),
    "an offset off by one": ("cluster", MasterRole, "send", offset_one_too_far),
    "pings not passed on": ("cluster", Replication, "pass_on", pings_not_passed_on),
    "bytes passed on twice": ("cluster", Replication, "pass_on", passed_on_twice),
    "promoted without a new ID": ("cluster", Replication, "shift_id", promoted_without_a_new_id),
    "the old history valid for too long": ("cluster", Replication, "shift_id", old_history_valid_too_long),
    "the stream during a snapshot lost": ("cluster", MasterRole, "_put_online", stream_during_snapshot_lost),
    "the stream during a snapshot sent twice": ("cluster", MasterRole, "_put_online", stream_during_snapshot_twice),
    "old keys kept at a full resync": ("cluster", ReplicaRole, "_take_snapshot", old_keys_kept_at_full_resync),
    "replicas expire keys by themselves": ("cluster", MasterStream, "receive", replicas_expire_by_themselves),
    "a random choice replicated as it is": ("cluster", Client, "rewrite", random_choice_replicated_as_it_is),
    "the database of the stream not said": ("cluster", MasterRole, "feed", database_not_said),
    "the new ID of +CONTINUE ignored": ("cluster", ReplicaRole, "_answer", new_id_ignored),
    "FAILOVER does not wait for the target": ("failover", CoordinatedFailover, "update", failover_does_not_wait),
    "an fsync lost": ("power", Host, "run_now", fsync_lost),
    "the background fsync lost": ("power", AppendOnlyFile, "_sync_in_background", background_fsync_lost),
    "answered before it is written": ("power", AppendOnlyFile, "flush", answered_before_it_is_written),
    "a manifest renamed without a sync": ("power", Host, "run_now", manifest_not_synced),
    "a snapshot renamed without a sync": ("power", Host, "_file", snapshot_not_synced),
}


@contextlib.contextmanager
def planted(name):
    """Switch a bug on for as long as the context lasts."""
    _, owner, attribute, bug = PLANTED[name]
    with mock.patch.object(owner, attribute, bug):
        yield


__all__ = ["PLANTED", "Disk", "planted"]
