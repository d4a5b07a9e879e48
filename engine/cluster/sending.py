"""What a node sends on the bus.

Every message tells of the sender: its slots, its epochs, its role. PING and PONG besides gossip of some other nodes,
at least three or a tenth of all, and of every node that does not answer.
"""

from engine.cluster import messages as ms
from engine.cluster import state as st
from engine.cluster.bus import Bus, BusLink
from engine.cluster.messages import Gossip, Message
from engine.cluster.role import OwnRole
from engine.cluster.state import ClusterNode, ClusterState
from engine.core import Core

_IP_MAX = 45


class Sender:
    """Makes messages, and sends them."""

    def __init__(self, core: Core, state: ClusterState, bus: Bus, role: OwnRole) -> None:
        self.config = core.config
        self.clock = core.clock
        self.rng = core.rng
        self.state = state
        self.bus = bus
        self.role = role
        self.pfail_nodes = 0  # how many nodes do not answer us, as of the last cron
        self.sent = [0] * len(ms.NAMES)  # messages, by type

    def announced_ports(self) -> tuple[int, int, int]:
        """Return the announced ports: TCP, TLS, bus."""
        config = self.config
        port = config.cluster_announce_port or config.port
        tls_port = config.cluster_announce_tls_port or config.tls_port
        own = config.tls_port if config.tls_cluster else config.port
        bus_port = config.cluster_announce_bus_port or config.cluster_port or own + st.BUS_PORT_OFFSET
        return port, tls_port, bus_port

    def message(self, kind: int) -> Message:
        """Return a message that tells who we are, and nothing else yet."""
        state, config = self.state, self.config
        myself = state.myself
        owner = state.my_master
        port, tls_port, bus_port = self.announced_ports()
        if config.tls_cluster:
            port, tls_port = tls_port, port
        paused = ms.PAUSED if myself.is_master and state.manual.end_ms else 0
        return Message(
            kind,
            myself.name,
            port,
            tls_port,
            bus_port,
            state.current_epoch,
            owner.config_epoch,
            self.role.offset,
            st.to_bytes(owner.slots),
            myself.master.name if myself.master is not None else "",
            (config.cluster_announce_ip or "")[:_IP_MAX],
            myself.flags,
            0 if state.ok else 1,
            bytes((paused, 0, 0)),
        )

    def send(self, link: BusLink | None, message: Message) -> None:
        """Send a message on a link; without a link it is lost."""
        if link is not None:
            self.bus.send(link, message.encode())
            self.sent[message.kind] += 1

    def broadcast(self, message: Message) -> None:
        """Send a message to every node that we have a link to."""
        data = message.encode()
        for peer in self.state.nodes.values():
            if peer.link is not None and not peer.flags & (st.MYSELF | st.HANDSHAKE):
                self.bus.send(peer.link, data)
                self.sent[message.kind] += 1

    # --- PING and PONG ------------------------------------------------------------------------------------------

    def ping(self, link: BusLink | None, kind: int = ms.PING) -> None:
        """Send a PING, PONG or MEET."""
        if link is None:
            return
        if kind == ms.PING and not link.inbound and link.peer is not None:
            link.peer.ping_sent_ms = self.clock.now_ms
        message = self.message(kind)
        message.gossip = self._gossip()
        message.extensions = self._extensions()
        self.send(link, message)

    def _gossip(self) -> list[Gossip]:
        state = self.state
        peers = list(state.nodes.values())
        fresh = len(peers) - 2
        wanted = min(max(len(peers) // 10, 3), fresh)
        chosen: dict[str, ClusterNode] = {}
        for _ in range(wanted * 3):
            if fresh <= 0 or len(chosen) >= wanted:
                break
            peer = peers[self.rng.below(len(peers))]
            if peer.flags & (st.MYSELF | st.PFAIL):
                continue
            if peer.flags & (st.HANDSHAKE | st.NOADDR) or (peer.link is None and not peer.slots):
                fresh -= 1
                continue
            if peer.name not in chosen:
                chosen[peer.name] = peer
                fresh -= 1
        gossip = [self._seen(peer) for peer in chosen.values()]
        if self.pfail_nodes:
            failing = [
                peer for peer in peers if peer.flags & st.PFAIL and not peer.flags & (st.HANDSHAKE | st.NOADDR)
            ]
            gossip += [self._seen(peer) for peer in failing[: self.pfail_nodes]]
        return gossip

    def _seen(self, peer: ClusterNode) -> Gossip:
        port, other_port = peer.port, peer.tls_port
        if self.config.tls_cluster:
            port, other_port = other_port, port
        return Gossip(
            peer.name,
            peer.ping_sent_ms // 1000,
            peer.pong_ms // 1000,
            peer.ip,
            port,
            peer.bus_port,
            peer.flags,
            other_port,
        )

    def _extensions(self) -> list[ms.Extension]:
        myself = self.state.myself
        extensions = []
        if myself.hostname:
            extensions.append(ms.text_extension(ms.HOSTNAME, myself.hostname))
        if myself.nodename:
            extensions.append(ms.text_extension(ms.HUMAN_NODENAME, myself.nodename))
        now_s = self.clock.now_ms // 1000
        extensions += [
            ms.forgotten_extension(name, until_s - now_s)
            for name, until_s in self.state.forgotten.items()
            if until_s >= now_s
        ]
        extensions.append(ms.Extension(ms.SHARD_ID, myself.shard_id.encode("latin-1")))
        return extensions

    def pong_all(self, shard_only: bool = False) -> None:
        """Send a PONG to every node, or to the other replicas of our master (or ours): our configuration changed."""
        myself = self.state.myself
        for peer in self.state.nodes.values():
            if peer is myself or peer.in_handshake or peer.link is None:
                continue
            if shard_only:
                of_ours = peer.is_replica and peer.master is not None
                if not of_ours or (peer.master is not myself and peer.master is not myself.master):
                    continue
            self.ping(peer.link, ms.PONG)

    # --- the other messages -------------------------------------------------------------------------------------

    def fail(self, name: str) -> None:
        """Tell every node that one has failed."""
        message = self.message(ms.FAIL)
        message.about = name
        self.broadcast(message)

    def update(self, link: BusLink | None, owner: ClusterNode) -> None:
        """Tell a node that another serves its slots."""
        if link is None:
            return
        message = self.message(ms.UPDATE)
        message.about = owner.name
        message.about_epoch = owner.config_epoch
        message.about_slots = st.to_bytes(owner.slots & ~self.state.unclaimed)
        self.send(link, message)

    def publish(self, channel: bytes, payload: bytes) -> None:
        """Pass a message of a channel on to every node."""
        message = self.message(ms.PUBLISH)
        message.channel, message.payload = channel, payload
        self.broadcast(message)

    def publish_shard(self, channel: bytes, payload: bytes) -> None:
        """Pass a message of a shard channel on to the other nodes of our shard."""
        message = self.message(ms.PUBLISHSHARD)
        message.channel, message.payload = channel, payload
        for peer in self.state.shards.get(self.state.myself.shard_id, ()):
            if not peer.flags & (st.MYSELF | st.HANDSHAKE):
                self.send(peer.link, message)

    def ask_for_votes(self) -> None:
        """Ask every node for its vote; masters answer."""
        message = self.message(ms.AUTH_REQUEST)
        if self.state.manual.end_ms:
            message.message_flags = bytes((message.message_flags[0] | ms.FORCE_ACK, 0, 0))
        self.broadcast(message)
