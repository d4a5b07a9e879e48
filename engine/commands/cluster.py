"""Cluster commands.

https://redis.io/docs/latest/commands/?group=cluster
"""

from collections.abc import Callable

from engine.clients import client as flags
from engine.cluster import Cluster, nodes_conf
from engine.cluster import state as st
from engine.cluster.bus import BusLink
from engine.cluster.state import ClusterNode
from engine.keyspace.slots import SLOTS, key_slot
from engine.protocol.errors import SYNTAX, ReplyError, subcommand_syntax, wrong_arity
from engine.protocol.numbers import parse_integer
from engine.protocol.resp import OK, Argv, Reply, Status, Verbatim
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import (
    ADMIN,
    FAST,
    LOADING,
    NO_ASYNC_LOADING,
    NOSCRIPT,
    STALE,
    Handler,
    command,
    container,
)
from engine.table.help import help_reply

DISABLED = b"ERR This instance has cluster support disabled"
BAD_SLOT = b"ERR Invalid or out of range slot"
NOT_A_MASTER = b"ERR Target node is not a master"


def _on_node(handler: Callable[[Context, Cluster, Argv], Reply]) -> Handler:
    """Return the handler of a command that only nodes of a cluster have; it is given the cluster."""

    def handle(ctx: Context, argv: Argv) -> Reply:
        cluster = ctx.node.cluster
        if cluster is None:
            raise ReplyError(DISABLED)
        return handler(ctx, cluster, argv)

    return handle


def _slot(arg: bytes) -> int:
    return integer(arg, BAD_SLOT, 0, SLOTS - 1)


def _known(cluster: Cluster, name: bytes, error: bytes = b"ERR Unknown node %b") -> ClusterNode:
    """Return the node with a name; raises an error that shows it."""
    peer = cluster.state.find(name)
    if peer is None:
        raise ReplyError(error % name.partition(b"\0")[0])
    return peer


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


container("CLUSTER", since="3.0.0", group="cluster")

# --- clients ------------------------------------------------------------------------------------------------------


@command("ASKING", FAST, acl=("connection",), since="3.0.0", complexity="O(1)")
@_on_node
def asking(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    ctx.flags |= flags.ASKING
    ctx.update_checks()
    return OK


@command("READONLY", FAST, LOADING, STALE, acl=("connection",), since="3.0.0", complexity="O(1)")
@_on_node
def readonly(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    ctx.flags |= flags.READONLY
    return OK


@command("READWRITE", FAST, LOADING, STALE, acl=("connection",), since="3.0.0", complexity="O(1)")
@_on_node
def readwrite(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    ctx.flags &= ~flags.READONLY
    return OK


# --- slots --------------------------------------------------------------------------------------------------------


def _change_slots(cluster: Cluster, ranges: list[tuple[int, int]], delete: bool) -> Reply:
    """Assign slots to this node, or unassign them: all or none."""
    state = cluster.state
    chosen = 0
    for first, last in ranges:
        for slot in range(first, last + 1):
            if delete and state.owners[slot] is None:
                raise ReplyError(b"ERR Slot %d is already unassigned" % slot)
            if not delete and state.owners[slot] is not None:
                raise ReplyError(b"ERR Slot %d is already busy" % slot)
            if chosen >> slot & 1:
                raise ReplyError(b"ERR Slot %d specified multiple times" % slot)
            chosen |= 1 << slot
    for slot in st.members(chosen):
        state.importing.pop(slot, None)
        if delete:
            state.release(slot)
        else:
            state.assign(slot, state.myself)
    state.changed(evaluate=True)
    return OK


def _slot_ranges(argv: Argv) -> list[tuple[int, int]]:
    if len(argv) % 2:
        raise wrong_arity(b"cluster|" + argv[1].lower())
    ranges = []
    for first_text, last_text in zip(argv[2::2], argv[3::2], strict=True):
        first, last = _slot(first_text), _slot(last_text)
        if first > last:
            raise ReplyError(b"ERR start slot number %d is greater than end slot number %d" % (first, last))
        ranges.append((first, last))
    return ranges


@command(
    "CLUSTER ADDSLOTS slot [slot ...]",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="3.0.0",
    complexity="O(N) where N is the total number of hash slot arguments",
)
@_on_node
def addslots(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    slots = [_slot(arg) for arg in argv[2:]]
    return _change_slots(cluster, [(slot, slot) for slot in slots], delete=False)


@command(
    "CLUSTER ADDSLOTSRANGE start-slot end-slot [start-slot end-slot ...]",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="7.0.0",
    complexity="O(N) where N is the total number of the slots between the start slot and end slot arguments.",
)
@_on_node
def addslotsrange(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return _change_slots(cluster, _slot_ranges(argv), delete=False)


@command(
    "CLUSTER DELSLOTS slot [slot ...]",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="3.0.0",
    complexity="O(N) where N is the total number of hash slot arguments",
)
@_on_node
def delslots(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    slots = [_slot(arg) for arg in argv[2:]]
    return _change_slots(cluster, [(slot, slot) for slot in slots], delete=True)


@command(
    "CLUSTER DELSLOTSRANGE start-slot end-slot [start-slot end-slot ...]",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="7.0.0",
    complexity="O(N) where N is the total number of the slots between the start slot and end slot arguments.",
)
@_on_node
def delslotsrange(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return _change_slots(cluster, _slot_ranges(argv), delete=True)


@command("CLUSTER FLUSHSLOTS", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")
@_on_node
def flushslots(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    if len(ctx.node.space.databases[0]):
        raise ReplyError(b"ERR DB must be empty to perform CLUSTER FLUSHSLOTS.")
    cluster.state.release_all(cluster.state.myself)
    cluster.state.changed(evaluate=True)
    return OK


@command(
    "CLUSTER SETSLOT slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    since="3.0.0",
    complexity="O(1)",
)
@_on_node
def setslot(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    state = cluster.state
    myself = state.myself
    if myself.is_replica:
        raise ReplyError(b"ERR Please use SETSLOT only with masters.")
    slot, action, count = _slot(argv[2]), argv[3].lower(), len(argv)
    if action == b"migrating" and count == 5:
        if state.owners[slot] is not myself:
            raise ReplyError(b"ERR I'm not the owner of hash slot %d" % slot)
        state.migrating[slot] = _master(cluster, argv[4], b"ERR I don't know about node %b")
    elif action == b"importing" and count == 5:
        if state.owners[slot] is myself:
            raise ReplyError(b"ERR I'm already the owner of hash slot %d" % slot)
        state.importing[slot] = _master(cluster, argv[4], b"ERR I don't know about node %b")
    elif action == b"stable" and count == 4:
        state.importing.pop(slot, None)
        state.migrating.pop(slot, None)
    elif action == b"node" and count == 5:
        _set_owner(cluster, slot, _master(cluster, argv[4], b"ERR Unknown node %b"))
    else:
        raise ReplyError(b"ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP")
    state.changed(evaluate=True)
    return OK


def _master(cluster: Cluster, name: bytes, error: bytes) -> ClusterNode:
    peer = _known(cluster, name, error)
    if peer.is_replica:
        raise ReplyError(NOT_A_MASTER)
    return peer


def _set_owner(cluster: Cluster, slot: int, owner: ClusterNode) -> None:
    """Let a node serve a slot from now on; what moved it here or away is over."""
    state, config = cluster.state, cluster.config
    myself = state.myself
    was_mine = state.owners[slot] is myself
    keys = cluster.ownership.count_keys(slot)
    if was_mine and owner is not myself and keys:
        raise ReplyError(
            b"ERR Can't assign hashslot %d to a different node while I still hold keys for this hash slot." % slot
        )
    if not keys:
        state.migrating.pop(slot, None)
    state.release(slot)
    state.assign(slot, owner)
    if was_mine and owner is not myself and not myself.slots and config.cluster_allow_replica_migration:
        cluster.output.log("*", f"Configuration change detected. Reconfiguring myself as a replica of {owner.shown}")
        cluster.ownership.set_master(owner)
        state.changed(evaluate=True, fsync=True)
    if owner is myself and slot in state.importing:
        if cluster.ownership.bump_epoch():
            cluster.output.log("*", f"configEpoch updated after importing slot {slot}")
        del state.importing[slot]
        cluster.sender.pong_all()


@command("CLUSTER KEYSLOT key", STALE, since="3.0.0", complexity="O(N) where N is the number of bytes in the key")
@_on_node
def keyslot(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return key_slot(argv[2])


@command("CLUSTER COUNTKEYSINSLOT slot", STALE, since="3.0.0", complexity="O(1)")
@_on_node
def countkeysinslot(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    slot = integer(argv[2])
    if not 0 <= slot < SLOTS:
        raise ReplyError(b"ERR Invalid slot")
    return cluster.ownership.count_keys(slot)


@command(
    "CLUSTER GETKEYSINSLOT slot count",
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(N) where N is the number of requested keys",
)
@_on_node
def getkeysinslot(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    slot, count = integer(argv[2]), integer(argv[3])
    if not 0 <= slot < SLOTS or count < 0:
        raise ReplyError(b"ERR Invalid slot or number of keys")
    return list(cluster.ownership.database.keys_in_slot(slot, count))


# --- nodes --------------------------------------------------------------------------------------------------------


@command("CLUSTER MEET ip port [cluster-bus-port]", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")
@_on_node
def meet(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    if len(argv) > 5:
        raise subcommand_syntax(argv)
    port = parse_integer(argv[3])
    if port is None:
        raise ReplyError(b"ERR Invalid base port specified: %b" % argv[3])
    bus_port: int | None = port + st.BUS_PORT_OFFSET
    if len(argv) == 5:
        bus_port = parse_integer(argv[4])
        if bus_port is None:
            raise ReplyError(b"ERR Invalid bus port specified: %b" % argv[4])
    assert bus_port is not None
    if not cluster.meet(argv[2], port, bus_port):
        raise ReplyError(b"ERR Invalid node address specified: %b:%b" % (argv[2], argv[3]))
    return OK


@command("CLUSTER FORGET node-id", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")
@_on_node
def forget(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    state = cluster.state
    now_s = cluster.clock.now_ms // 1000
    if state.find(argv[2]) is None and state.is_forgotten(argv[2].decode("latin-1"), now_s):
        return OK  # another node has told us meanwhile
    peer = _known(cluster, argv[2])
    if peer is state.myself:
        raise ReplyError(b"ERR I tried hard but I can't forget myself...")
    if state.myself.is_replica and state.myself.master is peer:
        raise ReplyError(b"ERR Can't forget my master!")
    state.forget_for(peer.name, now_s)
    cluster.receiver.forget(peer)
    state.changed(evaluate=True)
    return OK


@command("CLUSTER REPLICATE node-id", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")
@_on_node
def replicate(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    myself = cluster.state.myself
    peer = _known(cluster, argv[2])
    if peer is myself:
        raise ReplyError(b"ERR Can't replicate myself")
    if peer.is_replica:
        raise ReplyError(b"ERR I can only replicate a master, not a replica.")
    if myself.is_master and (myself.slots or len(ctx.node.space.databases[0])):
        raise ReplyError(b"ERR To set a master the node must be empty and without assigned slots.")
    cluster.ownership.set_master(peer)
    cluster.state.changed(evaluate=True)
    return OK


@command("CLUSTER FAILOVER [FORCE | TAKEOVER]", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")
@_on_node
def failover(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    if len(argv) > 3:
        raise subcommand_syntax(argv)
    option = argv[2].lower() if len(argv) == 3 else b""
    if option not in (b"", b"force", b"takeover"):
        raise ReplyError(SYNTAX)
    myself = cluster.state.myself
    master = myself.master
    if myself.is_master:
        raise ReplyError(b"ERR You should send CLUSTER FAILOVER to a replica")
    if master is None:
        raise ReplyError(b"ERR I'm a replica but my master is unknown to me")
    if not option and (master.failed or master.link is None):
        raise ReplyError(b"ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
    cluster.election.start_manual(force=option == b"force", takeover=option == b"takeover")
    return OK


@command(
    "CLUSTER RESET [HARD | SOFT]",
    ADMIN,
    STALE,
    NOSCRIPT,
    since="3.0.0",
    complexity="O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
)
@_on_node
def reset(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    if len(argv) > 3:
        raise subcommand_syntax(argv)
    kind = argv[2].lower() if len(argv) == 3 else b"soft"
    if kind not in (b"soft", b"hard"):
        raise ReplyError(SYNTAX)
    if cluster.state.myself.is_master and len(ctx.db):
        raise ReplyError(b"ERR CLUSTER RESET can't be called with master nodes containing keys")
    cluster.reset(hard=kind == b"hard")
    return OK


@command(
    "CLUSTER BUMPEPOCH",
    NO_ASYNC_LOADING,
    ADMIN,
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(1)",
)
@_on_node
def bumpepoch(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    word = b"BUMPED" if cluster.ownership.bump_epoch() else b"STILL"
    return Status(b"%b %d" % (word, cluster.state.myself.config_epoch))


@command("CLUSTER SET-CONFIG-EPOCH config-epoch", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")
@_on_node
def set_config_epoch(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    state, epoch = cluster.state, integer(argv[2])
    if epoch < 0:
        raise ReplyError(b"ERR Invalid config epoch specified: %d" % epoch)
    if len(state.nodes) > 1:
        raise ReplyError(b"ERR The user can assign a config epoch only when the node does not know any other node.")
    if state.myself.config_epoch:
        raise ReplyError(b"ERR Node config epoch is already non-zero")
    state.myself.config_epoch = epoch
    cluster.output.log("*", f"configEpoch set to {epoch} via CLUSTER SET-CONFIG-EPOCH")
    state.current_epoch = max(state.current_epoch, epoch)
    state.changed(evaluate=True)
    return OK


@command("CLUSTER SAVECONFIG", NO_ASYNC_LOADING, ADMIN, STALE, since="3.0.0", complexity="O(1)")
@_on_node
def saveconfig(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    if not cluster.save():
        raise ReplyError(b"ERR error saving the cluster node config: %b" % _text(cluster.save_error))
    return OK


# --- what this node knows -----------------------------------------------------------------------------------------


@command(
    "CLUSTER COUNT-FAILURE-REPORTS node-id",
    ADMIN,
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(N) where N is the number of failure reports",
)
@_on_node
def count_failure_reports(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return cluster.failures.count_reports(_known(cluster, argv[2]))


@command("CLUSTER INFO", STALE, tips=("nondeterministic_output",), since="3.0.0", complexity="O(1)")
@_on_node
def info(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return Verbatim(cluster.info())


@command("CLUSTER MYID", STALE, since="3.0.0", complexity="O(1)")
@_on_node
def myid(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return cluster.state.myself.name.encode()


@command("CLUSTER MYSHARDID", STALE, tips=("nondeterministic_output",), since="7.2.0", complexity="O(1)")
@_on_node
def myshardid(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return cluster.state.myself.shard_id.encode()


@command(
    "CLUSTER NODES",
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
)
@_on_node
def nodes(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return Verbatim(_text(nodes_conf.describe_all(cluster.state, cluster.routing.is_tls(ctx))))


def _replicas(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    peer = _known(cluster, argv[2])
    if peer.is_replica:
        raise ReplyError(b"ERR The specified node is not a master")
    tls = cluster.routing.is_tls(ctx)
    return [_text(nodes_conf.describe(cluster.state, replica, tls)) for replica in peer.replicas]


for _name, _since in (("REPLICAS", "5.0.0"), ("SLAVES", "3.0.0")):
    command(
        f"CLUSTER {_name} node-id",
        ADMIN,
        STALE,
        tips=("nondeterministic_output",),
        since=_since,
        complexity="O(N) where N is the number of replicas.",
    )(_on_node(_replicas))


@command(
    "CLUSTER LINKS",
    STALE,
    tips=("nondeterministic_output",),
    since="7.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
)
@_on_node
def links(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return [
        _link(link, peer)
        for peer in cluster.state.nodes.values()
        for link in (peer.link, peer.inbound)
        if link is not None
    ]


def _link(link: BusLink, peer: ClusterNode) -> dict[bytes, Reply]:
    events = b"r" if link.established else b""
    return {
        b"direction": b"from" if link.inbound else b"to",
        b"node": peer.name.encode(),
        b"create-time": link.created_ms,
        b"events": events + (b"w" if link.out or link.unsent_bytes else b""),
        b"send-buffer-allocated": link.queued_bytes,
        b"send-buffer-used": link.queued_bytes,
    }


def _offset(cluster: Cluster, peer: ClusterNode) -> int:
    return cluster.role.offset if peer is cluster.state.myself else peer.offset


@command(
    "CLUSTER SLOTS",
    LOADING,
    STALE,
    tips=("nondeterministic_output",),
    since="3.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
)
@_on_node
def slots(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    reply: list[Reply] = []
    for first, last, owner in cluster.state.runs():
        replicas = [peer for peer in owner.replicas if not peer.failed and _offset(cluster, peer)]
        reply.append([first, last, *(_endpoint(ctx, cluster, peer) for peer in (owner, *replicas))])
    return reply


def _endpoint(ctx: Context, cluster: Cluster, peer: ClusterNode) -> Reply:
    """Return where clients reach a node, and what else is known of that."""
    preferred = cluster.config.cluster_preferred_endpoint_type
    endpoint = None if preferred == "unknown-endpoint" else _text(cluster.routing.endpoint(peer))
    more: dict[bytes, Reply] = {}
    if preferred != "ip":
        more[b"ip"] = _text(peer.ip)
    if preferred != "hostname" and peer.hostname:
        more[b"hostname"] = _text(peer.hostname)
    return [endpoint, peer.client_port(cluster.routing.is_tls(ctx)), peer.name.encode(), more]


@command(
    "CLUSTER SHARDS",
    LOADING,
    STALE,
    tips=("nondeterministic_output",),
    since="7.0.0",
    complexity="O(N) where N is the total number of cluster nodes",
)
@_on_node
def shards(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    reply: list[Reply] = []
    for peers in cluster.state.shards.values():
        pairs = [slot for pair in st.ranges(peers[0].top_master.slots) for slot in pair]
        reply.append({b"slots": pairs, b"nodes": [_details(cluster, peer) for peer in peers]})
    return reply


def _details(cluster: Cluster, peer: ClusterNode) -> dict[bytes, Reply]:
    details: dict[bytes, Reply] = {b"id": peer.name.encode()}
    if peer.port:
        details[b"port"] = peer.port
    if peer.tls_port:
        details[b"tls-port"] = peer.tls_port
    details[b"ip"] = _text(peer.ip)
    details[b"endpoint"] = _text(cluster.routing.endpoint(peer))
    if peer.hostname:
        details[b"hostname"] = _text(peer.hostname)
    offset = _offset(cluster, peer)
    details[b"role"] = b"replica" if peer.is_replica else b"master"
    details[b"replication-offset"] = offset
    loading = peer.is_replica and not offset
    details[b"health"] = b"fail" if peer.failed else b"loading" if loading else b"online"
    return details


@command("CLUSTER HELP", LOADING, STALE, since="5.0.0", complexity="O(1)")
@_on_node
def help_(ctx: Context, cluster: Cluster, argv: Argv) -> Reply:
    return help_reply(
        argv,
        """
        ADDSLOTS <slot> [<slot> ...]
            Assign slots to current node.
        ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]
            Assign slots which are between <start-slot> and <end-slot> to current node.
        BUMPEPOCH
            Advance the cluster config epoch.
        COUNT-FAILURE-REPORTS <node-id>
            Return number of failure reports for <node-id>.
        COUNTKEYSINSLOT <slot>
            Return the number of keys in <slot>.
        DELSLOTS <slot> [<slot> ...]
            Delete slots information from current node.
        DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]
            Delete slots information which are between <start-slot> and <end-slot> from current node.
        FAILOVER [FORCE|TAKEOVER]
            Promote current replica node to being a master.
        FORGET <node-id>
            Remove a node from the cluster.
        GETKEYSINSLOT <slot> <count>
            Return key names stored by current node in a slot.
        FLUSHSLOTS
            Delete current node own slots information.
        INFO
            Return information about the cluster.
        KEYSLOT <key>
            Return the hash slot for <key>.
        MEET <ip> <port> [<bus-port>]
            Connect nodes into a working cluster.
        MYID
            Return the node id.
        MYSHARDID
            Return the node's shard id.
        NODES
            Return cluster configuration seen by node. Output format:
            <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...
        REPLICATE <node-id>
            Configure current node as replica to <node-id>.
        RESET [HARD|SOFT]
            Reset current node (default: soft).
        SET-CONFIG-EPOCH <epoch>
            Set config epoch of current node.
        SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)
            Set slot state.
        REPLICAS <node-id>
            Return <node-id> replicas.
        SAVECONFIG
            Force saving cluster configuration on disk.
        SLOTS
            Return information about slots range mappings. Each range is made of:
            start, end, master and replicas IP addresses, ports and ids
        SHARDS
            Return information about slot range mappings and the nodes associated with them.
        LINKS
            Return information about all network links between this node and its peers.
            Output format is an array where each array element is a map containing attributes of a link
        """,
    )
