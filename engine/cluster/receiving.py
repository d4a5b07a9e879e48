"""What a node does with the messages of others.

A message of a node that we do not know is not believed: only a MEET makes us know its sender, and gossip of a node
that we know makes us know others. Two nodes know each other after a handshake:

    MEET →  the receiver makes a node of unknown name, connects to it in turn
    ← PONG  the sender learns the name of the node it has met
    ← PING  on the other link
    PONG →  the receiver learns the sender's name

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#cluster-nodes-handshake
"""

from engine.clients.pubsub import PubSub
from engine.cluster import messages as ms
from engine.cluster import state as st
from engine.cluster.bus import Bus, BusLink
from engine.cluster.election import Election
from engine.cluster.failures import Failures
from engine.cluster.messages import BadMessageError, Message
from engine.cluster.ownership import Ownership
from engine.cluster.reasons import Reasons
from engine.cluster.role import OwnRole
from engine.cluster.sending import Sender
from engine.cluster.state import ClusterNode, ClusterState
from engine.core import Core

FUTURE_MS = 500  # by which another clock may be ahead of ours
NO_FILTER = -1


class Receiver:
    """Takes the messages of the bus."""

    def __init__(
        self,
        core: Core,
        pubsub: PubSub,
        state: ClusterState,
        bus: Bus,
        role: OwnRole,
        sender: Sender,
        failures: Failures,
        ownership: Ownership,
        election: Election,
        reasons: Reasons,
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.pubsub = pubsub
        self.state = state
        self.bus = bus
        self.role = role
        self.sender = sender
        self.failures = failures
        self.ownership = ownership
        self.election = election
        self.reasons = reasons
        self.received = [0] * len(ms.NAMES)  # messages, by type
        self.drop_filter = NO_FILTER  # DEBUG DROP-CLUSTER-PACKET-FILTER: messages of this type are ignored

    def take(self, link: BusLink, data: bytes) -> None:
        """A message came, complete but perhaps not sound."""
        if not self.reasons.observed:
            self._take(link, data)
            return
        before, epoch = self.reasons.beliefs(), self.state.current_epoch
        self._take(link, data)
        self.reasons.learned(before, epoch, data)

    def _take(self, link: BusLink, data: bytes) -> None:
        kind = int.from_bytes(data[12:14], "big")
        if kind < len(self.received):
            self.received[kind] += 1
        if int.from_bytes(data[8:10], "big") != ms.VERSION:
            return
        if kind == self.drop_filter:
            self.output.log("#", "Dropping packet that matches debug drop filter")
            return
        try:
            message = ms.decode(data)
        except BadMessageError as error:
            self.output.log("#", str(error))
            return
        sender = self._sender(link, message)
        if sender is not None:
            sender.data_ms = self.clock.now_ms
            if not sender.in_handshake:
                self._note_header(sender, message)
        if kind in (ms.PING, ms.PONG, ms.MEET):
            self._ping(link, message, sender)
        elif kind == ms.FAIL and sender is None:
            self.output.log("*", f"Ignoring FAIL message from unknown node {message.sender} about {message.about}")
        elif kind > ms.PUBLISHSHARD:
            self.output.log("#", f"Received unknown packet type: {kind}")
        elif sender is not None:
            self._other(link, message, sender)

    def _sender(self, link: BusLink, message: Message) -> ClusterNode | None:
        """Return the node that a message comes from, if we know it."""
        if link.peer is not None and not link.peer.in_handshake:
            return link.peer
        sender = self.state.find(message.sender)
        if sender is not None and link.peer is None:
            self.bus.belongs_to(link, sender)
        return sender

    def _note_header(self, sender: ClusterNode, message: Message) -> None:
        """Take over what the header of every message tells."""
        state = self.state
        state.current_epoch = max(state.current_epoch, message.current_epoch)
        if message.config_epoch > sender.config_epoch:
            sender.config_epoch = message.config_epoch
            state.changed(fsync=True)
        sender.offset = message.offset
        sender.offset_ms = self.clock.now_ms
        if (
            state.manual.end_ms
            and state.myself.is_replica
            and state.myself.master is sender
            and message.message_flags[0] & ms.PAUSED
        ):
            self.election.paused_at(message.offset)

    def _other(self, link: BusLink, message: Message, sender: ClusterNode) -> None:
        """Take a message of a node that we know, which is no PING, PONG or MEET."""
        state = self.state
        kind = message.kind
        if kind == ms.FAIL:
            self.failures.told(sender, message.about)
        elif kind == ms.PUBLISH:
            self.pubsub.publish(message.channel, message.payload)
        elif kind == ms.PUBLISHSHARD:
            self.pubsub.publish_shard(message.channel, message.payload)
        elif kind == ms.AUTH_REQUEST:
            self.election.asked_for_vote(sender, message)
        elif kind == ms.AUTH_ACK:
            self.election.voted(sender, message.current_epoch)
        elif kind == ms.MFSTART:
            if sender.master is state.myself:
                self.election.requested(sender)
                self.sender.ping(link)
        elif kind == ms.UPDATE:
            owner = state.find(message.about)
            if owner is None or owner.config_epoch >= message.about_epoch:
                return
            self.ownership.set_as_master(owner)
            owner.config_epoch = message.about_epoch
            state.changed(fsync=True)
            self.ownership.claimed(owner, message.about_epoch, st.from_bytes(message.about_slots))

    # --- PING, PONG, MEET ---------------------------------------------------------------------------------------

    def _ping(self, link: BusLink, message: Message, sender: ClusterNode | None) -> None:
        kind = message.kind
        state = self.state
        if kind != ms.PONG:
            self._learn_own_address(link, kind)
            if sender is None and kind == ms.MEET:
                self._meet(link, message)
            self.sender.ping(link, ms.PONG)
        if not link.inbound:
            assert link.peer is not None
            if link.peer.in_handshake:
                if sender is not None:
                    self._met_before(link, message, sender)
                    return
                self._shake_hands(link.peer, message)
                # What else the message says is taken from the next one: its sender was not known yet.
            elif link.peer.name != message.sender:
                self._wrong_name(link, message)
                return
        if sender is not None:
            sender.flags = sender.flags & ~st.NOFAILOVER | message.flags & st.NOFAILOVER
            if kind == ms.PING and not sender.in_handshake and self._update_address(sender, link, message):
                state.changed(evaluate=True)
        if not link.inbound and kind == ms.PONG:
            assert link.peer is not None
            link.peer.pong_ms = self.clock.now_ms
            link.peer.ping_sent_ms = 0
            self.failures.answered(link.peer)
        if sender is None:
            return
        self._note_role(sender, message)
        self._note_slots(sender, message)
        if state.myself.is_master and sender.is_master and message.config_epoch == state.myself.config_epoch:
            self.ownership.resolve_collision(sender)
        self._gossip(message, sender)
        self._note_extensions(message, sender)

    def _learn_own_address(self, link: BusLink, kind: int) -> None:
        """Others reach us at the address that this message came to."""
        myself = self.state.myself
        if (kind == ms.MEET or not myself.ip) and not self.config.cluster_announce_ip:
            ip = link.local_ip
            if ip and ip != myself.ip:
                myself.ip = ip
                self.output.log("*", f"IP address for this node updated to {ip}")
                self.state.changed()

    def _meet(self, link: BusLink, message: Message) -> None:
        """A node that we do not know wants to be known: connect to it, to learn its name."""
        state = self.state
        peer = state.new_peer(None, st.HANDSHAKE, self.clock.now_ms)
        peer.ip = message.ip or link.peer_ip
        self._set_ports(peer, message)
        state.add(peer)
        state.changed()
        self._gossip(message, None)

    def _met_before(self, link: BusLink, message: Message, sender: ClusterNode) -> None:
        """The node at the end of a handshake is one that we know."""
        self.output.log("-", f"Handshake: we already know node {sender.shown}, updating the address if needed.")
        if self._update_address(sender, link, message):
            self.state.changed(evaluate=True)
        assert link.peer is not None
        self.forget(link.peer)

    def _shake_hands(self, peer: ClusterNode, message: Message) -> None:
        """The node at the end of a handshake tells its name."""
        if not st.is_name(message.sender):
            return
        self.state.rename(peer, message.sender)
        self.output.log(".", f"Handshake with node {peer.name} completed.")
        peer.flags = peer.flags & ~st.HANDSHAKE | message.flags & (st.MASTER | st.REPLICA)
        self.state.changed()

    def _wrong_name(self, link: BusLink, message: Message) -> None:
        """Another node answers at a node's address: we do not know where that node is."""
        peer = link.peer
        assert peer is not None
        age_ms = self.clock.now_ms - peer.created_ms
        self.output.log(
            ".",
            f"PONG contains mismatching sender ID. About node {peer.name} added {age_ms} ms ago, having flags "
            f"{peer.flags}",
        )
        peer.flags |= st.NOADDR
        peer.ip = ""
        peer.port = peer.tls_port = peer.bus_port = 0
        self.bus.drop(link)
        self.state.changed()

    def forget(self, peer: ClusterNode) -> None:
        """Forget a node, and close its links."""
        self.bus.drop_all(peer)
        self.state.remove(peer)

    def _set_ports(self, peer: ClusterNode, message: Message) -> None:
        peer.port, peer.tls_port = message.port, message.other_port
        if self.config.tls_cluster:
            peer.port, peer.tls_port = peer.tls_port, peer.port
        peer.bus_port = message.bus_port

    def _update_address(self, peer: ClusterNode, link: BusLink, message: Message) -> bool:
        """Take over the address that a message comes from; returns whether it is another than before."""
        if link is peer.link:
            return False
        before = peer.ip, peer.port, peer.tls_port, peer.bus_port
        ip = message.ip or link.peer_ip
        if not ip:
            return False
        peer.ip = ip
        self._set_ports(peer, message)
        if before == (peer.ip, peer.port, peer.tls_port, peer.bus_port):
            return False
        self.bus.drop(peer.link)
        peer.flags &= ~st.NOADDR
        port = peer.client_port(self.config.tls_cluster)
        self.output.log("*", f"Address updated for node {peer.shown}, now {peer.ip}:{port}")
        if self.state.myself.is_replica and self.state.myself.master is peer:
            self.role.follow(peer.ip, self.ownership.replication_port(peer))
        return True

    def _note_role(self, sender: ClusterNode, message: Message) -> None:
        """Take over whether the sender is a master or a replica, and of whom."""
        state = self.state
        if not message.master:
            self.ownership.set_as_master(sender)
            return
        master = state.find(message.master)
        if sender.is_master:
            state.release_all(sender)
            sender.flags = sender.flags & ~(st.MASTER | st.MIGRATE_TO) | st.REPLICA
            state.changed(evaluate=True)
        if master is not None and master is not sender and sender.master is not master:
            if sender.master is not None:
                state.remove_replica(sender.master, sender)
            state.add_replica(master, sender)
            sender.master = master
            self._set_shard(sender, master.shard_id)
            state.changed()

    def _note_slots(self, sender: ClusterNode, message: Message) -> None:
        """Take over the slots that the sender claims, or tell it who serves them now."""
        state = self.state
        owner = sender if sender.is_master else sender.master
        if owner is None:
            return
        slots = st.from_bytes(message.slots)
        if owner.slots == slots:
            return
        if sender.is_master:
            self.ownership.claimed(sender, message.config_epoch, slots)
        for slot in st.members(slots):
            other = state.owners[slot]
            if other is None or other is sender or state.unclaimed >> slot & 1:
                continue
            if other.config_epoch > message.config_epoch:
                self.output.log(
                    "-",
                    f"Node {sender.name} has old slots configuration, sending an UPDATE message about {other.name}",
                )
                if self.reasons.observed:
                    self.reasons.outdated(sender, message.config_epoch, other, slot)
                self.sender.update(sender.link, other)
                return

    def _gossip(self, message: Message, sender: ClusterNode | None) -> None:
        """Take over what a message says of other nodes. Without a sender that we know, it is believed for a MEET."""
        state, now_ms = self.state, self.clock.now_ms
        failing = st.FAIL | st.PFAIL
        for seen in message.gossip:
            port, tls_port = seen.port, seen.other_port
            if self.config.tls_cluster:
                port, tls_port = tls_port, port
            peer = state.find(seen.name)
            if peer is None:
                if (
                    sender is not None
                    and not seen.flags & st.NOADDR
                    and st.is_name(seen.name)
                    and not state.is_forgotten(seen.name, now_ms // 1000)
                ):
                    peer = state.new_peer(seen.name, seen.flags & ~st.MYSELF, now_ms)
                    peer.ip, peer.port, peer.tls_port, peer.bus_port = seen.ip, port, tls_port, seen.bus_port
                    state.add(peer)
                    state.join_shard(peer)
                continue
            if sender is not None and sender.is_master and peer is not state.myself:
                if seen.flags & failing:
                    self.failures.report(peer, sender)
                else:
                    self.failures.withdraw(peer, sender)
            if not seen.flags & failing and not peer.ping_sent_ms and not self.failures.count_reports(peer):
                pong_ms = seen.pong_received_s * 1000
                if peer.pong_ms < pong_ms <= now_ms + FUTURE_MS:
                    peer.pong_ms = pong_ms
            if (
                peer.flags & failing
                and not seen.flags & (st.NOADDR | failing)
                and (peer.ip.lower(), peer.port, peer.tls_port, peer.bus_port)
                != (seen.ip.lower(), port, tls_port, seen.bus_port)
            ):
                self.bus.drop(peer.link)
                peer.ip, peer.port, peer.tls_port, peer.bus_port = seen.ip, port, tls_port, seen.bus_port
                peer.flags &= ~st.NOADDR

    def _note_extensions(self, message: Message, sender: ClusterNode) -> None:
        """Take over the names and the shard of the sender, and whom it has forgotten."""
        state = self.state
        hostname = nodename = shard_id = ""
        for extension in message.extensions:
            if extension.kind == ms.HOSTNAME:
                hostname = extension.text
            elif extension.kind == ms.HUMAN_NODENAME:
                nodename = extension.text
            elif extension.kind == ms.SHARD_ID:
                shard_id = extension.name
            elif extension.kind == ms.FORGOTTEN_NODE:
                self._also_forget(extension.name, extension.ttl_s, sender)
            else:
                self.output.log("#", f"Received unknown extension type {extension.kind}")
        if sender.name not in state.nodes:
            return  # it has told us to forget it
        for text, attribute in ((hostname, "hostname"), (nodename, "nodename")):
            if not st.is_announced_name(text):
                text = ""
            if getattr(sender, attribute) != text:
                setattr(sender, attribute, text)
                state.changed()
        self._set_shard(sender, shard_id if st.is_name(shard_id) else sender.top_master.shard_id)

    def _also_forget(self, name: str, ttl_s: int, sender: ClusterNode) -> None:
        """Forget a node that another has forgotten."""
        state = self.state
        peer = state.find(name)
        if peer is None or peer is state.myself:
            return
        if state.myself.is_replica and state.myself.master is peer:
            return
        state.forget_for(name, self.clock.now_ms // 1000, ttl_s)
        self.forget(peer)
        state.changed(evaluate=True)

    def _set_shard(self, peer: ClusterNode, shard_id: str) -> None:
        """Move a node to a shard, and us with it if it is our master."""
        state = self.state
        if state.set_shard(peer, shard_id):
            state.changed()
        myself = state.myself
        if peer is not myself and myself.master is peer and state.set_shard(myself, shard_id):
            state.changed(fsync=True)
