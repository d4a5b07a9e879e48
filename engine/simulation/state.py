"""The state of a world as plain values: what the laboratory, lessons and tests read of simulated nodes.

    node_views         every node: role, links, offsets, replication IDs, replicas, backlog, statistics
    resync_views       what PSYNC would decide now for every replica, by the engine's own decision
    belief_views       what each Sentinel believes about each master: what is down, since which epoch, its votes
    application_views  what each application does, and which of its writes were acknowledged
    link_views         the links between machines: cut or intact, latency, bytes in flight
    data_of            the data of a node
    info_fields_of     the fields of a node's INFO
    reply_of           what a node would reply to a command that reads
    value_views        its keys of all databases: each value in a few words, and a mark that equal values share

Reading changes nothing, and no commands are executed. Views of a world use this module, not the attributes of nodes.
"""

from typing import NamedTuple

from engine.inspection import inspect
from engine.keyspace.databases import STRING_TYPES, Value
from engine.keyspace.digest import value_digest
from engine.protocol.resp import Argv, Reply, Verbatim
from engine.replication.psync import Decision, decide
from engine.replication.replica import REPL_STATE_CONNECTED
from engine.sentinel.instances import MASTER_DOWN, S_DOWN, Master
from engine.sentinel.process import SentinelNode
from engine.simulation.actions import PROMPT
from engine.simulation.application import Application
from engine.simulation.connection import SimulatedConnection
from engine.simulation.world import World
from engine.values.list import ListValue

NO_ID = "0" * 40
SHOWN_BYTES = 40  # of a value


class ReplicaView(NamedTuple):
    """A replica as seen by its master."""

    address: str
    state: str
    offset: int


class NodeView(NamedTuple):
    """A node. `state` is up, down or paused; a node that is down has no role."""

    name: str
    address: str
    state: str
    role: str = ""
    master: str = ""  # the master's address
    link: str = ""  # up, or the state of the handshake
    replid: str = ""
    replid2: str = ""
    second_offset: int = -1
    offset: int = 0
    keys: int = 0
    replicas: tuple[ReplicaView, ...] = ()
    backlog: tuple[int, int, int] | None = None  # first offset, last offset, size
    sync_full: int = 0
    sync_partial_ok: int = 0
    sync_partial_err: int = 0


class ResyncView(NamedTuple):
    """What a replica would ask of its master now, and what that would decide (`engine.replication.psync`)."""

    replica: str
    master: str
    asked_id: str  # "?": any history
    asked_offset: int
    decision: Decision


class MemberView(NamedTuple):
    """A replica or another Sentinel of a master, as a Sentinel sees it."""

    kind: str  # slave or sentinel
    name: str
    address: str
    flags: str
    says_down: bool = False  # of a Sentinel: that the master is down
    vote: str = ""  # of a Sentinel: the ID of the leader that it voted for
    vote_epoch: int = 0


class BeliefView(NamedTuple):
    """What a Sentinel believes of a master that it watches."""

    sentinel: str
    run_id: str
    master: str
    address: str
    flags: str
    quorum: int
    agree: int  # Sentinels that say that the master is down, this one included
    voters: int
    current_epoch: int
    config_epoch: int
    vote: str
    vote_epoch: int
    failover_state: str
    failover_epoch: int
    members: tuple[MemberView, ...]
    tilt: bool


class ApplicationView(NamedTuple):
    """An application: what it does, where, and what came of its writes."""

    name: str
    does: str
    target: str  # the address that it talks to
    address: str  # the address of the master, as it believes
    asks: bool  # whether it asks Sentinels
    acknowledged: int
    failed: int
    error: str
    missing: dict[str, int]  # by node that runs: acknowledged writes that it does not have


class ValueView(NamedTuple):
    """A key's value in a few words; equal values have equal marks."""

    text: str
    mark: bytes | int


class LinkView(NamedTuple):
    """The link between two machines, and the bytes on it. Pairs are: from a to b, from b to a."""

    a: str
    b: str
    states: tuple[str, str]  # up, silent (bytes wait), lost (bytes vanish)
    latency_us: int
    bytes_per_s: int  # 0: no limit
    under_way: tuple[int, int]  # bytes: in flight, held by a cut, or pending at the sender
    connected: bool

    @property
    def whole(self) -> bool:
        """Whether bytes arrive in both directions."""
        return self.states == ("up", "up")


def node_views(world: World) -> dict[str, NodeView]:
    """Return every node of a world, by name."""
    return {name: _node(world, name) for name in world.hosts}


def inside(world: World, address: str) -> str:
    """Return the address of the node that a port of the outside means, as nodes understand it; others unchanged."""
    host, _, port = address.rpartition(":")
    if world.gateway is None or host not in ("127.0.0.1", "localhost") or not port.isdigit():
        return address
    ip, at = world.gateway.find(int(port))
    return f"{ip}:{at}"


def _node(world: World, name: str) -> NodeView:
    host = world.hosts[name]
    node = host.node
    if node is None:
        return NodeView(name, host.address, "down")
    mine = node.replication
    state = "paused" if host.state == "paused" else "up"
    if isinstance(node, SentinelNode):
        return NodeView(name, host.address, state, "sentinel")
    role, link, master = "master", "", ""
    if node.config.is_replica:
        role = "replica"
        link = "up" if node.replica.state == REPL_STATE_CONNECTED else node.replica.link_state
        master = inside(world, node.replica.master)
    backlog = None
    if mine.backlog is not None:
        backlog = mine.backlog.first_offset, mine.backlog.end - 1, mine.backlog.size_bytes
    replicas = tuple(
        ReplicaView(
            inside(world, f"{seen.announced_ip or client.peer.rpartition(':')[0]}:{seen.listening_port}"),
            seen.state,
            seen.ack_offset,
        )
        for client in node.master.replicas.values()
        if (seen := client.replica) is not None
    )
    keys = sum(len(db) for db in node.space.databases)
    replid2 = mine.replid2.decode()
    stats = node.stats
    return NodeView(
        name, host.address, state, role, master, link, mine.replid.decode(), "" if replid2 == NO_ID else replid2,
        mine.second_replid_offset, mine.offset, keys, replicas, backlog,
        stats.sync_full, stats.sync_partial_ok, stats.sync_partial_err,
    )  # fmt: skip


def resync_views(world: World) -> list[ResyncView]:
    """Return for each replica whose master runs what its next PSYNC would ask for, and what would come of it."""
    by_address = {host.address: name for name, host in world.hosts.items()}
    views: list[ResyncView] = []
    for name, host in world.hosts.items():
        node = host.node
        if node is None or isinstance(node, SentinelNode) or not node.config.is_replica:
            continue
        above = by_address.get(inside(world, node.replica.master), "")
        master = world.hosts[above].node if above else None
        if master is None or isinstance(master, SentinelNode):
            continue
        mine = node.replication
        replid, offset = (mine.replid, mine.offset + 1) if node.replica.has_history else (b"?", -1)
        decision = decide(master.replication, replid, offset, name, above)
        views.append(ResyncView(name, above, replid.decode(), offset, decision))
    return views


def belief_views(world: World) -> list[BeliefView]:
    """Return what each Sentinel that runs believes of each master, in the order of the machines."""
    return [
        _belief(world, name, host.node, master)
        for name, host in world.hosts.items()
        if isinstance(host.node, SentinelNode)
        for master in host.node.monitor.watched.masters.values()
    ]


def _belief(world: World, name: str, node: SentinelNode, master: Master) -> BeliefView:
    settings, addresses = node.monitor.settings, node.monitor.watched.addresses
    members = [
        MemberView(each.kind, each.name, inside(world, addresses.name(each.address)), each.describe_flags())
        for each in master.replicas.values()
    ]
    members += [
        MemberView(
            peer.kind, peer.name, addresses.name(peer.address), peer.describe_flags(),
            bool(peer.flags & MASTER_DOWN), peer.leader, peer.leader_epoch,
        )
        for peer in master.sentinels.values()
    ]  # fmt: skip
    agree = bool(master.flags & S_DOWN) + sum(member.says_down for member in members)
    return BeliefView(
        name, settings.my_id, master.name, inside(world, addresses.name(master.current_address)),
        master.describe_flags(),
        master.quorum, agree, len(master.sentinels) + 1, settings.current_epoch, master.config_epoch,
        master.leader, master.leader_epoch, master.failover_state, master.failover_epoch,
        tuple(members), settings.tilt,
    )  # fmt: skip


def application_views(world: World) -> list[ApplicationView]:
    """Return every application."""
    views: list[ApplicationView] = []
    for name, app in world.applications.items():
        if type(app) is not Application:
            continue
        missing: dict[str, int] = {}
        for host, machine in world.hosts.items():
            if machine.node is not None and not isinstance(machine.node, SentinelNode):
                held = data_of(world, host).get(app.key)
                here = {int(each) for each in held if each.isdigit()} if isinstance(held, ListValue) else set()
                missing[host] = sum(number not in here for number in app.acknowledged)
        views.append(ApplicationView(
            name, app.does, app.target, app.address, bool(app.sentinels), len(app.acknowledged), app.failed,
            app.error, missing,
        ))  # fmt: skip
    return views


def link_views(world: World) -> list[LinkView]:
    """Return the links between machines that are used or faulty."""
    used: dict[tuple[str, str], list[SimulatedConnection]] = {}
    for connection in world.network.connections.values():
        used.setdefault((connection.source, connection.target), []).append(connection)
    views: list[LinkView] = []
    names = list(world.machines)
    for a, b in ((a, b) for at, a in enumerate(names) for b in names[at + 1 :]):
        if b in world.clients:
            a, b = b, a
        paths = [world.network.paths.get(pair) for pair in ((a, b), (b, a))]
        states = tuple(path.state if path else "up" for path in paths)
        connections = [*used.get((a, b), ()), *used.get((b, a), ())]
        if states == ("up", "up") and (not connections or a == PROMPT + b):
            continue  # the prompt at a node is not a machine of the learner
        waiting = []
        for source in (a, b):
            directions = [connection.direction(source) for connection in connections]
            waiting.append(sum(each.in_flight_bytes + each.unsent_bytes for each in directions))
        there = paths[0] or paths[1]
        latency_us, bytes_per_s = (there.latency_us, there.bytes_per_s) if there else (0, 0)
        views.append(LinkView(a, b, (states[0], states[1]), latency_us, bytes_per_s, (waiting[0], waiting[1]),
                              any(each.open for each in connections)))  # fmt: skip
    return views


def data_of(world: World, name: str) -> dict[bytes, object]:
    """Return the first database of a node: strings unchanged, other values as objects that print them."""
    node = world.hosts[name].node
    if node is None:
        return {}
    return dict(node.space.databases[0].items())


def info_fields_of(world: World, name: str) -> dict[str, str]:
    """Return the fields of a node's INFO; none if it does not run."""
    text = reply_of(world, name, [b"INFO", b"everything"])
    if isinstance(text, Verbatim):
        text = text.text
    if not isinstance(text, bytes):
        return {}
    lines = text.decode("utf-8", "replace").splitlines()
    return {field: value for field, colon, value in (line.partition(":") for line in lines) if colon}


def reply_of(world: World, name: str, argv: Argv) -> Reply:
    """Return what a node would reply to a command that reads; None if it does not run.

    Raises ValueError for a command that can change something.
    """
    host = world.hosts[name]
    if host.node is None:
        return None
    watch_us = host.watch_us
    try:
        return inspect(host.node, argv, now=world.now_us)
    finally:
        host.watch_us = watch_us


def value_views(world: World, name: str) -> dict[tuple[int, bytes], ValueView]:
    """Return the keys of a node, by database and name."""
    node = world.hosts[name].node
    if node is None or isinstance(node, SentinelNode):
        return {}
    return {(db.index, key): _value(value) for db in node.space.databases for key, value in db.items()}


def _value(value: Value) -> ValueView:
    if type(value) in STRING_TYPES:
        data = b"%d" % value if type(value) is int else bytes(value)
        return ValueView(data[:SHOWN_BYTES].decode("utf-8", "replace"), data)
    size = len(value)
    text = f"{value.type_name} of {size}"
    if isinstance(value, ListValue):
        last = [value.get(at).decode("utf-8", "replace")[:SHOWN_BYTES] for at in range(max(0, size - 3), size)]
        text = f"{'… ' if size > len(last) else ''}{' '.join(last)}"
    return ValueView(text, value_digest(0, value, expires=False))
