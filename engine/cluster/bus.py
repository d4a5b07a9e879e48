"""The links of the bus: two between each two nodes, each made by one of them for what it sends and the replies.

What is sent in a round leaves at its end, after nodes.conf is saved: a vote that is not remembered is not given.
"""

from collections.abc import Callable

from engine.cluster.messages import BadMessageError, Framing
from engine.cluster.state import ClusterNode
from engine.core import Core
from engine.effects import Hangup

LINK_BYTES = 48  # what a link and each of its messages take besides the bytes, as Redis counts them
MESSAGE_BYTES = 24


class BusLink:
    """One connection of the bus. Handles its link (see `engine.links.LinkHandler`)."""

    __slots__ = (
        "bus",
        "created_ms",
        "established",
        "framing",
        "inbound",
        "link",
        "local_ip",
        "out",
        "out_bytes",
        "peer",
        "peer_address",
        "unsent_bytes",
    )

    def __init__(self, bus: "Bus", link: int, peer: ClusterNode | None, peer_address: str = "") -> None:
        self.bus = bus
        self.link = link
        self.peer = peer  # at the other end; not known at first where it made the connection
        self.inbound = peer is None
        self.peer_address = peer_address
        self.local_ip = ""
        self.created_ms = bus.clock.now_ms
        self.established = False
        self.framing = Framing()
        self.out: list[bytes] = []  # messages of this round, or until the connection is established
        self.out_bytes = 0
        self.unsent_bytes = 0  # what has left the node, and not the process

    @property
    def peer_ip(self) -> str:
        """The address of the other end."""
        return self.peer_address.rpartition(":")[0].strip("[]")

    @property
    def queued_bytes(self) -> int:
        """What waits to be sent takes so much."""
        return LINK_BYTES + self.out_bytes + MESSAGE_BYTES * len(self.out) + self.unsent_bytes

    def opened(self, peer: str, local: str) -> None:
        """The connection is established."""
        self.established = True
        self.peer_address = peer
        self.local_ip = local.rpartition(":")[0].strip("[]")
        if self.out:
            self.bus.writing[self.link] = self
        if not self.inbound:
            self.bus.connected(self)

    def received(self, data: bytes) -> None:
        """Bytes came: take the messages that are complete."""
        bus = self.bus
        try:
            for message in self.framing.feed(data):
                bus.take(self, message)
                if not bus.holds(self):
                    return
        except BadMessageError as error:
            bus.output.log("#", f"{error} from {self.peer_address}")
            bus.drop(self)

    def output_pending(self, size_bytes: int) -> None:
        """So many of the sent bytes have not left yet."""
        self.unsent_bytes = size_bytes

    def closed(self) -> None:
        """The other end hung up, or the connection broke."""
        self.bus.output.log(".", "I/O error reading from node link: connection closed")
        self.bus.drop(self)

    def refused(self, error: str) -> None:
        """The connection could not be made."""
        peer = self.peer
        if peer is not None:
            self.bus.output.log("-", f"Connection with Node {peer.name} at {peer.ip}:{peer.bus_port} failed: {error}")
            self.bus.failed(self)
        self.bus.drop(self)


class Bus:
    """The links of a node's bus."""

    connected: Callable[[BusLink], None]  # one that we made is established
    failed: Callable[[BusLink], None]  # one could not be made
    take: Callable[[BusLink, bytes], None]  # a message came

    def __init__(self, core: Core) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.dialer = core.dialer
        self.links: dict[int, BusLink] = {}
        self.writing: dict[int, BusLink] = {}  # those with messages that may leave
        self.listening = False  # until the data is loaded, others cannot connect
        self.limit_exceeded = 0  # links that were closed for what waited on them

    @property
    def memory(self) -> int:
        """What the links take, in bytes."""
        return sum(link.queued_bytes + max(1024, len(link.framing)) for link in self.links.values())

    def accept(self, link: int, peer: str, kind: str) -> BusLink | None:
        """Take a connection of another node (see `engine.links.Listener`)."""
        if not self.listening:
            self.output.effects.append(Hangup(link))
            return None
        self.output.log("-", f"Accepting cluster node connection from {peer}")
        made = self.links[link] = BusLink(self, link, None, peer)
        return made

    def dial(self, peer: ClusterNode) -> None:
        """Connect to a node."""
        made = BusLink(self, 0, peer)
        peer.link = made
        source = self.config.bind_source_addr or ""
        made.link = self.dialer.dial(made, peer.ip, peer.bus_port, self.config.tls_cluster, source)
        self.links[made.link] = made

    def send(self, link: BusLink | None, data: bytes) -> None:
        """Send a message; without a link it is lost."""
        if link is not None:
            link.out.append(data)
            link.out_bytes += len(data)
            if link.established:
                self.writing[link.link] = link

    def flush(self) -> None:
        """Let the messages of this round leave."""
        if self.writing:
            writing, self.writing = self.writing, {}
            for number, link in writing.items():
                self.dialer.send(number, b"".join(link.out))
                link.out = []
                link.out_bytes = 0

    def holds(self, link: BusLink) -> bool:
        """Tell whether a link is still there."""
        return link.link in self.links

    def belongs_to(self, link: BusLink, peer: ClusterNode) -> None:
        """Record which node is at the other end of an accepted link; its former link was probably lost."""
        if peer.inbound is not None:
            self.drop(peer.inbound)
        peer.inbound = link
        link.peer = peer

    def drop(self, link: BusLink | None) -> None:
        """Close a link."""
        if link is None or self.links.pop(link.link, None) is None:
            return
        self.writing.pop(link.link, None)
        self.dialer.hang_up(link.link)
        peer = link.peer
        if peer is not None:
            if peer.link is link:
                peer.link = None
            if peer.inbound is link:
                peer.inbound = None

    def drop_all(self, peer: ClusterNode) -> None:
        """Close the links of a node."""
        self.drop(peer.link)
        self.drop(peer.inbound)

    def enforce_limit(self, peer: ClusterNode) -> None:
        """Close links of a node on which more waits than `cluster-link-sendbuf-limit` allows."""
        limit = self.config.cluster_link_sendbuf_limit
        if not limit:
            return
        for link in (peer.link, peer.inbound):
            if link is not None and link.queued_bytes > limit:
                direction = "from" if link.inbound else "to"
                self.output.log(
                    "#",
                    f"Freeing cluster link({direction} node {peer.name}, used memory: {link.queued_bytes}) due to "
                    "exceeding send buffer memory limit.",
                )
                self.drop(link)
                self.limit_exceeded += 1
