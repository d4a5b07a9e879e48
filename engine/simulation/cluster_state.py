"""What the nodes of simulated clusters believe, as plain values, and what applications that write to a cluster do.

    cluster_views      what each node that runs believes: itself, every other node, who serves which slot
    writer_views       the applications: their slot maps, and what came of their writes

Views of a world use this module, not the attributes of nodes. `tests/lab/machines.py` makes the same values of real
nodes. Reading changes nothing.
"""

from collections.abc import Iterable
from typing import NamedTuple

from engine.cluster import Cluster
from engine.cluster import state as st
from engine.cluster.reasons import slots_text
from engine.cluster.state import ClusterNode
from engine.keyspace.slots import key_slot
from engine.simulation.cluster_application import ClusterApplication
from engine.simulation.host import Host
from engine.simulation.state import data_of
from engine.simulation.world import World
from engine.values.list import ListValue

BRIEF = 8  # digits of an ID that no machine has


class PeerView(NamedTuple):
    """A node as another one sees it."""

    name: str  # of its machine; the beginning of its ID if no machine has that
    id: str
    address: str
    health: str  # me, ok, pfail, fail, handshake, noaddr
    role: str  # master, replica
    master: str
    epoch: int
    slots: str
    reports: tuple[str, ...] = ()  # masters that have reported it as down


class Candidacy(NamedTuple):
    """An election in which a replica stands, or will."""

    epoch: int  # 0: it has not asked for votes yet
    votes: int
    needed: int
    rank: int
    starts_us: int


class ClusterView(NamedTuple):
    """What a node believes about its cluster. Owners, and the ends of moving slots, are names of machines."""

    name: str
    id: str
    ok: bool
    current_epoch: int
    epoch: int  # of its own configuration, or its master's
    vote_epoch: int
    slots: str
    peers: tuple[PeerView, ...]  # itself first
    owners: tuple[tuple[int, int, str], ...]
    migrating: tuple[tuple[int, str], ...] = ()
    importing: tuple[tuple[int, str], ...] = ()
    keys: tuple[tuple[int, int], ...] = ()  # slot and number of its keys, of slots that have any
    candidacy: Candidacy | None = None

    def peer(self, name: str) -> PeerView | None:
        """Return the node of a machine as this one sees it, or None."""
        return next((peer for peer in self.peers if peer.name == name), None)

    def owner_of(self, slot: int) -> str:
        """Return the machine that serves a slot; "" if none does."""
        return next((name for first, last, name in self.owners if first <= slot <= last), "")


class WriterView(NamedTuple):
    """An application that writes to a cluster."""

    name: str
    does: str
    follows: str
    target: str  # the address of its last write
    acknowledged: int
    failed: int
    error: str
    moved: int  # redirections
    asked: int
    refreshed: int  # how often it has asked for the slots
    map: tuple[tuple[int, int, str], ...]  # first and last slot, and the address that it would ask
    lost: int  # acknowledged writes that no master has that serves their slot


class Names:
    """The machines of nodes, by their IDs, or by their addresses if they do not run."""

    def __init__(self, ids: dict[str, str], down: dict[str, str]) -> None:
        self.ids = ids
        self.down = down

    def of(self, node_id: str, address: str) -> str:
        """Return the machine of a node, or the beginning of its ID."""
        return self.ids.get(node_id) or self.down.get(address) or node_id[:BRIEF]


def cluster_of(host: Host) -> Cluster | None:
    """Return a machine's part in a cluster, if it has one and runs."""
    return host.node.cluster if host.node is not None else None


def names_of(world: World) -> Names:
    """Return the machines of nodes."""
    return Names(
        {host.cluster_id: name for name, host in world.hosts.items() if host.cluster_id},
        {host.address: name for name, host in world.hosts.items() if host.node is None},
    )


def cluster_views(world: World) -> dict[str, ClusterView]:
    """Return what each node that runs believes."""
    names = names_of(world)
    views = {name: _view(name, cluster_of(host), names) for name, host in world.hosts.items()}
    return {name: view for name, view in views.items() if view is not None}


def _view(name: str, cluster: Cluster | None, names: Names) -> ClusterView | None:
    if cluster is None:
        return None
    state = cluster.state
    myself = state.myself

    def called(peer: ClusterNode) -> str:
        return names.of(peer.name, f"{peer.ip}:{peer.port}")

    def moving(slots: dict[int, ClusterNode]) -> tuple[tuple[int, str], ...]:
        return tuple((slot, called(peer)) for slot, peer in sorted(slots.items()))

    peers = [myself, *(peer for peer in state.nodes.values() if peer is not myself)]
    counts = cluster.ownership.database.slots.counts
    election = cluster.election
    candidacy = None
    if myself.is_replica and myself.master is not None and myself.master.failed and election.starts_ms:
        epoch = election.epoch if election.asked else 0
        candidacy = Candidacy(epoch, election.votes, state.quorum, election.rank, election.starts_ms * 1000)
    return ClusterView(
        name, myself.name, state.ok, state.current_epoch, state.my_master.config_epoch, state.last_vote_epoch,
        slots_of(myself.slots),
        tuple(
            PeerView(
                called(peer), peer.name, f"{peer.ip}:{peer.port}", health_of(peer.flags),
                "replica" if peer.is_replica else "master", called(peer.master) if peer.master is not None else "",
                peer.config_epoch, slots_of(peer.slots),
                tuple(called(reporter) for each in peer.reports if (reporter := state.find(each)) is not None),
            )
            for peer in peers
        ),
        tuple((first, last, called(peer)) for first, last, peer in state.runs()),
        moving(state.migrating), moving(state.importing),
        tuple((slot, count) for slot, count in enumerate(counts) if count) if any(counts) else (),
        candidacy,
    )  # fmt: skip


def health_of(flags: int) -> str:
    """Return what the flags of a node say about its state."""
    for flag, word in (
        (st.MYSELF, "me"), (st.FAIL, "fail"), (st.PFAIL, "pfail"), (st.HANDSHAKE, "handshake"), (st.NOADDR, "noaddr"),
    ):  # fmt: skip
        if flags & flag:
            return word
    return "ok"


def slots_of(slots: int) -> str:
    """Return a set of slots as ranges."""
    return slots_text(slots) if slots else ""


def writer_views(world: World) -> list[WriterView]:
    """Return the applications that write to clusters."""
    apps = [app for app in world.applications.values() if isinstance(app, ClusterApplication)]
    if not apps:
        return []
    views = cluster_views(world)
    serving = {name: view for name, view in views.items() if view.slots or view.importing}
    data = {name: data_of(world, name) for name in serving}
    return [view_of_writer(app, _held(app, serving, data)) for app in apps]


def _held(app: ClusterApplication, serving: dict[str, ClusterView], data: dict[str, dict[bytes, object]]) -> set[int]:
    """Return the numbers that are where their slots are served, or where these are moving."""
    held: set[int] = set()
    for name, view in serving.items():
        for key in app.keys:
            value = data[name].get(key)
            slot = key_slot(key)
            if isinstance(value, ListValue) and (view.owner_of(slot) == name or slot in dict(view.importing)):
                held |= {int(each) for each in value if each.isdigit()}
    return held


def view_of_writer(app: ClusterApplication, held: Iterable[int]) -> WriterView:
    """Return what an application does; `held` are the numbers that the cluster has."""
    there = set(held)
    return WriterView(
        app.name, app.does, app.follows, app.target, len(app.acknowledged), app.failed, app.error, app.moved,
        app.asked, app.refreshed, _map(app), sum(number not in there for number in app.acknowledged),
    )  # fmt: skip


def _map(app: ClusterApplication) -> tuple[tuple[int, int, str], ...]:
    """Return the slot map of an application, with what it has learned from redirections since."""
    runs: list[tuple[int, int, str]] = []
    for first, last, address in app.map:
        at = first
        for slot in sorted(slot for slot in app.moved_slots if first <= slot <= last):
            if slot > at:
                runs.append((at, slot - 1, address))
            runs.append((slot, slot, app.moved_slots[slot]))
            at = slot + 1
        if at <= last:
            runs.append((at, last, address))
    return tuple(runs)
