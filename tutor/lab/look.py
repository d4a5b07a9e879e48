"""The nodes of a world as plain values, to show and to compare. Looking changes nothing: nothing is executed."""

from typing import NamedTuple

from engine.replication.master import ReplicaLink
from engine.replication.replica import CONNECTED
from engine.simulation.network import Connection
from engine.simulation.world import World
from tutor.lab.words import PROMPT

LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"
NO_ID = "0" * 40


class ReplicaView(NamedTuple):
    """A replica as its master sees it."""

    address: str
    state: str
    offset: int


class NodeView(NamedTuple):
    """A node. `state` is up, down or paused; a node that is down has no role."""

    name: str
    address: str
    state: str
    role: str = ""
    master: str = ""  # its address
    link: str = ""  # up, or in which state of the handshake it is
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


class LinkView(NamedTuple):
    """The way between two machines, and what is on it. Pairs are: from a to b, from b to a."""

    a: str
    b: str
    states: tuple[str, str]  # up, silent (bytes wait), lost (bytes vanish)
    latency_us: int
    bytes_per_s: int  # 0: no limit
    under_way: tuple[int, int]  # bytes: flying, held by a cut, or waiting at the sender's
    connected: bool

    @property
    def whole(self) -> bool:
        """Whether bytes arrive in both directions."""
        return self.states == ("up", "up")


def look(world: World) -> dict[str, NodeView]:
    """Return every node of a world, by name."""
    return {name: _node(world, name) for name in world.hosts}


def _node(world: World, name: str) -> NodeView:
    host = world.hosts[name]
    node = host.node
    if node is None:
        return NodeView(name, host.address, "down")
    mine = node.replication
    state = "paused" if host.state == "paused" else "up"
    role, link, master = "master", "", ""
    if node.is_replica:
        role = "replica"
        link = "up" if node.replica.state == CONNECTED else node.replica.state
        master = node.replica.master
    backlog = None
    if mine.backlog is not None:
        backlog = mine.backlog.first_offset, mine.backlog.end - 1, mine.backlog.size_bytes
    replicas = tuple(
        ReplicaView(
            f"{seen.announced_ip or client.peer.rpartition(':')[0]}:{seen.listening_port}",
            seen.state,
            seen.ack_offset,
        )
        for client in node.master.replicas.values()
        if isinstance(seen := client.extra, ReplicaLink)
    )
    keys = sum(len(db.entries) for db in node.space.databases)
    replid2 = mine.replid2.decode()
    stats = node.stats
    return NodeView(
        name, host.address, state, role, master, link, mine.replid.decode(), "" if replid2 == NO_ID else replid2,
        mine.second_replid_offset, mine.offset, keys, replicas, backlog,
        stats.sync_full, stats.sync_partial_ok, stats.sync_partial_err,
    )  # fmt: skip


def look_links(world: World) -> list[LinkView]:
    """Return the ways between machines that are used, or on which something is wrong."""
    used: dict[tuple[str, str], list[Connection]] = {}
    for connection in world.network.connections.values():
        used.setdefault((connection.source, connection.target), []).append(connection)
    views: list[LinkView] = []
    names = list(world.machines)
    for a, b in ((a, b) for at, a in enumerate(names) for b in names[at + 1 :]):
        if b in world.clients:
            a, b = b, a
        lanes = [world.network.lanes.get(pair) for pair in ((a, b), (b, a))]
        states = tuple(lane.state if lane else "up" for lane in lanes)
        connections = [*used.get((a, b), ()), *used.get((b, a), ())]
        if states == ("up", "up") and (not connections or a == PROMPT + b):
            continue  # the prompt at a node is no machine of the learner's
        waiting = []
        for source in (a, b):
            directions = [connection.direction(source) for connection in connections]
            waiting.append(sum(each.in_flight_bytes + each.unsent_bytes for each in directions))
        there = lanes[0] or lanes[1]
        latency_us, bytes_per_s = (there.latency_us, there.bytes_per_s) if there else (0, 0)
        views.append(LinkView(a, b, (states[0], states[1]), latency_us, bytes_per_s, (waiting[0], waiting[1]),
                              any(each.open for each in connections)))  # fmt: skip
    return views


def data_of(world: World, name: str) -> dict[bytes, object]:
    """Return the first database of a node: strings as they are, other values as what prints them."""
    node = world.hosts[name].node
    if node is None:
        return {}
    return {key: entry.value for key, entry in node.space.databases[0].entries.items()}


class Letters:
    """Names for replication IDs: α, β, … in the order in which they were first seen."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def of(self, replid: str) -> str:
        """Return the letter and the first digits of an ID."""
        if not replid:
            return ""
        return f"{self.letter(replid)} {replid[:4]}…"

    def letter(self, replid: str) -> str:
        """Return the letter of an ID."""
        number = len(self.known)
        name = LETTERS[number % len(LETTERS)] + (str(number // len(LETTERS) + 1) if number >= len(LETTERS) else "")
        return self.known.setdefault(replid, name)
