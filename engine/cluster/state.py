"""What a node believes about its cluster: the nodes it knows, and who serves which slot.

Each node has its own `ClusterState`, and may be wrong. Sets of slots are integers, bit n for slot n: what is
compared, counted and sent is the whole set. Nodes stand in the order in which they became known.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.cluster.messages import SLOTS_BYTES
from engine.keyspace.slots import SLOTS
from engine.values.rng import Rng

if TYPE_CHECKING:
    from engine.cluster.bus import BusLink

# Flags of nodes, as the bus and CLUSTER NODES tell them.
MASTER = 1 << 0
REPLICA = 1 << 1
PFAIL = 1 << 2  # fail?: it does not answer us
FAIL = 1 << 3  # the majority of masters agrees
MYSELF = 1 << 4
HANDSHAKE = 1 << 5  # its name is not known yet: it has one that we made up
NOADDR = 1 << 6
MEET = 1 << 7  # send it a MEET
MIGRATE_TO = 1 << 8  # a master that may be given replicas of others
NOFAILOVER = 1 << 9  # a replica that does not take its master's place

FLAG_NAMES = (
    (MYSELF, "myself"),
    (MASTER, "master"),
    (REPLICA, "slave"),
    (PFAIL, "fail?"),
    (FAIL, "fail"),
    (HANDSHAKE, "handshake"),
    (NOADDR, "noaddr"),
    (NOFAILOVER, "nofailover"),
)

NAME_MAX = 256
NOT_IN_NAMES = frozenset("!#$%&()*+:;<>?@[]^{|}~,=\"'\x7f")
BLACKLIST_TTL_S = 60
BUS_PORT_OFFSET = 10000  # from the port for clients to the bus's

_NAME = re.compile(r"[a-z0-9]{40}\Z")


def is_name(text: str) -> bool:
    """Tell whether a text can be a node's name."""
    return _NAME.match(text) is not None


def is_announced_name(text: str) -> bool:
    """Tell whether a host name or name for people can stand in nodes.conf."""
    return len(text) < NAME_MAX and NOT_IN_NAMES.isdisjoint(text) and all(char > " " for char in text)


def ranges(slots: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last slot of each run of a set of slots."""
    bits = f"{slots:b}"[::-1]
    end = 0
    while (begin := bits.find("1", end)) >= 0:
        end = bits.find("0", begin)
        if end < 0:
            end = len(bits)
        yield begin, end - 1


def members(slots: int) -> Iterator[int]:
    """Yield the slots of a set."""
    for first, last in ranges(slots):
        yield from range(first, last + 1)


def from_bytes(data: bytes) -> int:
    """Return the set of slots that a message names."""
    return int.from_bytes(data, "little")


def to_bytes(slots: int) -> bytes:
    """Return a set of slots as messages name it."""
    return slots.to_bytes(SLOTS_BYTES, "little")


def _first_slot(run: "tuple[int, int, ClusterNode]") -> int:
    return run[0]


class ClusterNode:
    """A node of the cluster, as this one knows it. Times are in ms since 1970; 0 means never."""

    __slots__ = (
        "bus_port",
        "config_epoch",
        "created_ms",
        "data_ms",
        "failed_ms",
        "flags",
        "hostname",
        "inbound",
        "ip",
        "link",
        "master",
        "name",
        "nodename",
        "offset",
        "offset_ms",
        "orphaned_ms",
        "ping_sent_ms",
        "pong_ms",
        "port",
        "replicas",
        "reports",
        "shard_id",
        "slots",
        "tls_port",
        "voted_ms",
    )

    def __init__(self, name: str, shard_id: str, flags: int, now_ms: int) -> None:
        self.name = name
        self.shard_id = shard_id
        self.flags = flags
        self.created_ms = now_ms
        self.config_epoch = 0
        self.slots = 0
        self.master: ClusterNode | None = None
        self.replicas: list[ClusterNode] = []
        self.ip = ""
        self.port = 0  # for clients: TCP
        self.tls_port = 0
        self.bus_port = 0
        self.hostname = ""
        self.nodename = ""
        self.link: BusLink | None = None  # the one that we made
        self.inbound: BusLink | None = None  # the one that it made
        self.ping_sent_ms = 0  # of the ping that is under way
        self.pong_ms = 0
        self.data_ms = 0  # when anything came
        self.failed_ms = 0
        self.voted_ms = 0  # when we last voted for one of its replicas
        self.orphaned_ms = 0  # since when it has no working replica
        self.offset = 0
        self.offset_ms = 0
        self.reports: dict[str, int] = {}  # masters that say that it fails, and when they said so

    @property
    def is_master(self) -> bool:
        """Whether it is a master."""
        return bool(self.flags & MASTER)

    @property
    def is_replica(self) -> bool:
        """Whether it is a replica."""
        return bool(self.flags & REPLICA)

    @property
    def failed(self) -> bool:
        """Whether the majority took it to be down."""
        return bool(self.flags & FAIL)

    @property
    def in_handshake(self) -> bool:
        """Whether it has not told its name yet."""
        return bool(self.flags & HANDSHAKE)

    @property
    def shown(self) -> str:
        """Its names, as the log shows them."""
        return f"{self.name} ({self.nodename})"

    @property
    def slot_count(self) -> int:
        """How many slots it serves."""
        return self.slots.bit_count()

    @property
    def top_master(self) -> "ClusterNode":
        """The master of its shard: itself, or the one that it replicates."""
        peer = self
        seen = {peer.name}
        while peer.master is not None and peer.master.name not in seen:
            peer = peer.master
            seen.add(peer.name)
        return peer

    def working_replicas(self) -> int:
        """Return how many of its replicas have not failed."""
        return sum(not replica.failed for replica in self.replicas)

    def client_port(self, tls: bool) -> int:
        """Return its port for clients."""
        return self.tls_port if tls else self.port

    def flag_names(self) -> str:
        """Return its flags as CLUSTER NODES shows them."""
        return flag_names(self.flags)


def flag_names(flags: int) -> str:
    """Return flags as CLUSTER NODES shows them."""
    return ",".join(name for flag, name in FLAG_NAMES if flags & flag) or "noflags"


class ManualFailover:
    """A failover that was asked for (CLUSTER FAILOVER), on the master or on the replica."""

    __slots__ = ("can_start", "end_ms", "master_offset", "replica")

    def __init__(self) -> None:
        self.end_ms = 0  # 0: none is under way
        self.replica: ClusterNode | None = None  # on the master: the replica that is to take over
        self.master_offset = -1  # on the replica: where the master stands still; -1: not known yet
        self.can_start = False


class Due:
    """What has to be done before the node answers."""

    __slots__ = ("evaluate", "failover", "fsync", "manual", "save")

    def __init__(self) -> None:
        self.save = False  # nodes.conf
        self.fsync = False  # and make it durable
        self.evaluate = False  # whether the cluster is up
        self.failover = False  # look whether votes suffice
        self.manual = False  # go on with a manual failover


class ClusterState:
    """The nodes that a node knows, and the slots."""

    myself: ClusterNode

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self.due = Due()
        self.manual = ManualFailover()
        self.nodes: dict[str, ClusterNode] = {}
        self.shards: dict[str, list[ClusterNode]] = {}
        self.current_epoch = 0
        self.last_vote_epoch = 0
        self.ok = False  # the cluster is up, as far as this node can tell
        self.size = 1  # masters that serve slots
        self.owners: list[ClusterNode | None] = [None] * SLOTS
        self.migrating: dict[int, ClusterNode] = {}  # slots of ours, and to whom they are moving
        self.importing: dict[int, ClusterNode] = {}
        self.unclaimed = 0  # slots that their owner no longer claims and no other node does
        self.released = 0  # slots that lost their owner since their channels were last checked
        self.forgotten: dict[str, int] = {}  # names, and until when (in s) they are not learned from gossip

    # --- nodes --------------------------------------------------------------------------------------------------

    def new_name(self) -> str:
        """Return a random name."""
        return self._rng.hex(40).decode()

    def new_peer(self, name: str | None, flags: int, now_ms: int) -> ClusterNode:
        """Make a node that is not known yet, and does not become known by this; a name is made up if need be."""
        return ClusterNode(self.new_name() if name is None else name, self.new_name(), flags, now_ms)

    def add(self, peer: ClusterNode) -> None:
        """Know a node from now on."""
        self.nodes[peer.name] = peer

    def rename(self, peer: ClusterNode, name: str) -> None:
        """Give a node its real name."""
        del self.nodes[peer.name]
        peer.name = name
        self.nodes[name] = peer
        self.join_shard(peer)

    def remove(self, peer: ClusterNode) -> None:
        """Forget a node: its slots, its reports, its place among masters and replicas. Its links are not touched."""
        for slots in (self.importing, self.migrating):
            for slot in [slot for slot, other in slots.items() if other is peer]:
                del slots[slot]
        self.release_all(peer)
        for other in self.nodes.values():
            other.reports.pop(peer.name, None)
        self.leave_shard(peer)
        for replica in peer.replicas:
            replica.master = None
        if peer.master is not None:
            self.remove_replica(peer.master, peer)
        del self.nodes[peer.name]

    def join_shard(self, peer: ClusterNode) -> None:
        """Add a node to the shard whose ID it has."""
        shard = self.shards.setdefault(peer.shard_id, [])
        if peer not in shard:
            shard.append(peer)

    def leave_shard(self, peer: ClusterNode) -> None:
        """Remove a node from its shard."""
        shard = self.shards.get(peer.shard_id)
        if shard is not None:
            if peer in shard:
                shard.remove(peer)
            if not shard:
                del self.shards[peer.shard_id]

    def set_shard(self, peer: ClusterNode, shard_id: str) -> bool:
        """Move a node to a shard; returns whether it was in another."""
        if peer.shard_id == shard_id:
            return False
        self.leave_shard(peer)
        peer.shard_id = shard_id
        self.join_shard(peer)
        return True

    @staticmethod
    def add_replica(master: ClusterNode, replica: ClusterNode) -> None:
        """Note that a node is a master's replica."""
        if replica not in master.replicas:
            master.replicas.append(replica)
            master.flags |= MIGRATE_TO

    @staticmethod
    def remove_replica(master: ClusterNode, replica: ClusterNode) -> None:
        """Note that a node is no longer a master's replica."""
        if replica in master.replicas:
            master.replicas.remove(replica)
            if not master.replicas:
                master.flags &= ~MIGRATE_TO

    def changed(self, evaluate: bool = False, fsync: bool = False) -> None:
        """Have nodes.conf saved, and perhaps made durable, and perhaps look whether the cluster is up."""
        due = self.due
        due.save = True
        due.evaluate |= evaluate
        due.fsync |= fsync

    def find(self, name: bytes | str) -> ClusterNode | None:
        """Return the node with a name, or None."""
        return self.nodes.get(name.decode("latin-1") if isinstance(name, bytes) else name)

    @property
    def my_master(self) -> ClusterNode:
        """The node that serves the slots of this one: itself, or its master."""
        myself = self.myself
        return myself.master if myself.is_replica and myself.master is not None else myself

    @property
    def quorum(self) -> int:
        """How many masters are a majority."""
        return self.size // 2 + 1

    # --- slots --------------------------------------------------------------------------------------------------

    def assign(self, slot: int, peer: ClusterNode) -> bool:
        """Assign an unassigned slot to a node. Returns False if the slot is assigned."""
        if self.owners[slot] is not None:
            return False
        if not peer.slots and any(node.replicas for node in self.nodes.values() if not node.is_replica):
            peer.flags |= MIGRATE_TO  # a new master among masters with replicas: it may get some
        peer.slots |= 1 << slot
        self.owners[slot] = peer
        return True

    def release(self, slot: int) -> bool:
        """Unassign a slot. Returns False if it was not assigned."""
        peer = self.owners[slot]
        if peer is None:
            return False
        bit = 1 << slot
        peer.slots &= ~bit
        self.owners[slot] = None
        self.unclaimed &= ~bit
        self.released |= bit
        return True

    def release_all(self, peer: ClusterNode) -> None:
        """Unassign all slots of a node."""
        for slot in members(peer.slots):
            self.owners[slot] = None
        self.unclaimed &= ~peer.slots
        self.released |= peer.slots
        peer.slots = 0

    def close_slots(self) -> None:
        """No slot is moving any more."""
        self.migrating.clear()
        self.importing.clear()

    def is_unclaimed(self, slot: int) -> bool:
        """Return whether no node claims a slot now."""
        return self.owners[slot] is None or bool(self.unclaimed >> slot & 1)

    def runs(self) -> Iterator[tuple[int, int, ClusterNode]]:
        """Yield each run of slots that one node serves: its first and last slot, and the node."""
        yield from sorted(
            ((first, last, peer) for peer in self.nodes.values() if peer.slots for first, last in ranges(peer.slots)),
            key=_first_slot,
        )

    # --- epochs and forgotten nodes -----------------------------------------------------------------------------

    def max_epoch(self) -> int:
        """Return the greatest epoch that this node has heard of."""
        return max(self.current_epoch, *(peer.config_epoch for peer in self.nodes.values()))

    def forget_for(self, name: str, now_s: int, ttl_s: int = BLACKLIST_TTL_S) -> None:
        """Do not learn of a node from gossip for a while."""
        self.forgotten[name] = now_s + ttl_s

    def is_forgotten(self, name: str, now_s: int) -> bool:
        """Tell whether a node is not to be learned from gossip now."""
        for other in [other for other, until_s in self.forgotten.items() if until_s < now_s]:
            del self.forgotten[other]
        return name in self.forgotten
