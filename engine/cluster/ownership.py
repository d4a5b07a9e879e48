"""Who serves which slot, and under which epoch.

A master claims its slots in every message, under its configuration epoch; of two claims the greater epoch wins. Who
loses its last slot this way becomes a replica of the winner. Epochs are made by elections, and without one where a
slot was moved by hand or by CLUSTER FAILOVER TAKEOVER; if two masters have the same, the one with the smaller name
takes a new one.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-slots-configuration-propagation
"""

from collections.abc import Callable

from engine.clients.propagation import Propagation
from engine.cluster import state as st
from engine.cluster.reasons import Reasons
from engine.cluster.role import OwnRole
from engine.cluster.state import ClusterNode, ClusterState
from engine.core import Core
from engine.keyspace.slots import SlottedDatabase


class Ownership:
    """The slots as this node sees them, and its own place among masters and replicas."""

    save_now: Callable[[], None]
    end_manual_failover: Callable[[], None]

    def __init__(
        self, core: Core, propagation: Propagation, state: ClusterState, role: OwnRole, reasons: Reasons
    ) -> None:
        self.config = core.config
        self.output = core.output
        self.space = core.space
        self.propagation = propagation
        self.state = state
        self.role = role
        self.reasons = reasons

    # --- keys ---------------------------------------------------------------------------------------------------

    @property
    def database(self) -> SlottedDatabase:
        """The database with the keys of the slots."""
        database = self.space.databases[0]
        assert isinstance(database, SlottedDatabase)
        return database

    def count_keys(self, slot: int) -> int:
        """Return how many keys of a slot this node holds."""
        return self.database.count_keys(slot)

    def delete_keys(self, slot: int) -> int:
        """Delete the keys of a slot that another node serves now; returns how many."""
        database = self.database
        keys = database.keys_in_slot(slot, database.count_keys(slot))
        name = b"UNLINK" if self.config.lazyfree_lazy_server_del else b"DEL"
        for key in keys:
            database.delete(key)
            self.propagation.also(0, [name, key])
            database.touched(key)
            self.space.dirty += 1
        if keys:
            self.propagation.flush(as_unit=False)
        return len(keys)

    # --- claims -------------------------------------------------------------------------------------------------

    def claimed(self, claimer: ClusterNode, epoch: int, slots: int) -> None:
        """A node claims slots under an epoch: take over what is newer than what we know."""
        state = self.state
        myself = state.myself
        if claimer is myself:
            self.output.log("*", "Discarding UPDATE message about myself.")
            return
        mine = myself if myself.is_master else myself.master
        lost_by_mine = 0
        with_keys = []
        state.unclaimed = state.unclaimed & ~(slots & claimer.slots) | (claimer.slots & ~slots)
        for slot in st.members(slots & ~claimer.slots):
            if slot in state.importing:
                continue  # it is closed by hand
            owner = state.owners[slot]
            if owner is not None and not state.unclaimed >> slot & 1 and owner.config_epoch >= epoch:
                continue
            if owner is myself and self.count_keys(slot):
                with_keys.append(slot)
            if owner is not None and owner is mine:
                lost_by_mine += 1
            state.release(slot)
            state.assign(slot, claimer)
            state.changed(evaluate=True, fsync=True)
        if (
            lost_by_mine
            and mine is not None
            and not mine.slots
            and (self.config.cluster_allow_replica_migration or slots.bit_count() == lost_by_mine)
        ):
            if self.reasons.observed:
                self.reasons.follows(claimer, slots, epoch, mine.config_epoch)
            self.output.log(
                "*", f"Configuration change detected. Reconfiguring myself as a replica of {claimer.shown}"
            )
            self.set_master(claimer)
            state.changed(evaluate=True, fsync=True)
            return
        master = myself.master
        if master is not None and master.master is not None and master.master is not myself:
            grandmaster = master.master
            self.output.log(
                "*",
                f"I'm a sub-replica! Reconfiguring myself as a replica of grandmaster {grandmaster.shown}",
            )
            self.set_master(grandmaster)
            state.changed(evaluate=True, fsync=True)
            return
        for slot in with_keys:
            self.delete_keys(slot)

    def set_master(self, master: ClusterNode) -> None:
        """Become the replica of a node. This one serves no slots."""
        state = self.state
        myself = state.myself
        if myself.is_master:
            myself.flags = myself.flags & ~(st.MASTER | st.MIGRATE_TO) | st.REPLICA
            state.close_slots()
        elif myself.master is not None:
            state.remove_replica(myself.master, myself)
        myself.master = master
        if state.set_shard(myself, master.shard_id):
            state.changed()
        state.add_replica(master, myself)
        self.role.follow(master.ip, self.replication_port(master))
        self.end_manual_failover()

    def replication_port(self, peer: ClusterNode) -> int:
        """Return the port at which a node is replicated."""
        return peer.client_port(self.config.tls_replication)

    def set_as_master(self, peer: ClusterNode) -> None:
        """A node that was a replica is a master now."""
        state = self.state
        if peer.is_master:
            return
        if peer.master is not None:
            state.remove_replica(peer.master, peer)
            if peer is not state.myself:
                peer.flags |= st.MIGRATE_TO
        peer.flags = peer.flags & ~st.REPLICA | st.MASTER
        peer.master = None
        state.changed(evaluate=True)

    # --- epochs -------------------------------------------------------------------------------------------------

    def bump_epoch(self) -> bool:
        """Take a new epoch without asking anyone; False if ours is the greatest already."""
        state = self.state
        myself = state.myself
        if myself.config_epoch and myself.config_epoch == state.max_epoch():
            return False
        state.current_epoch += 1
        myself.config_epoch = state.current_epoch
        state.changed(fsync=True)
        self.output.log("*", f"New configEpoch set to {myself.config_epoch}")
        return True

    def resolve_collision(self, other: ClusterNode) -> None:
        """Take a new epoch if another master has the same, and the greater name."""
        state = self.state
        myself = state.myself
        if other.config_epoch != myself.config_epoch or not other.is_master or not myself.is_master:
            return
        if other.name <= myself.name:
            return
        state.current_epoch += 1
        if self.reasons.observed:
            self.reasons.collided(other, myself.config_epoch, state.current_epoch)
        myself.config_epoch = state.current_epoch
        self.save_now()
        self.output.log(
            "-",
            f"WARNING: configEpoch collision with node {other.shown}. configEpoch set to {myself.config_epoch}",
        )
