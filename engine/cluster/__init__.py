"""Redis Cluster: slots divided among masters, and nodes that watch each other over a bus.

    messages    the bytes of the bus
    state       what a node believes about the nodes of its cluster, and which slots each serves
    nodes_conf  that belief as text: CLUSTER NODES, and nodes.conf
    routing     where a command must run: here, or MOVED, ASK, TRYAGAIN …
    role        the replication of this node, as the cluster decides about it
    reasons     why all this, for those who observe the node
    bus         the links
    sending     what leaves on them: gossip and broadcasts
    receiving   what comes: handshakes, gossip, claims
    failures    who is PFAIL and FAIL, and whether the cluster is up
    ownership   whose claim to a slot counts
    election    who takes a failed master's place

`Cluster` puts them together, and does what is due: ten times a second, and at the end of every round of inputs,
before anything that was sent leaves. A node has one if `cluster-enabled` is on.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

import ipaddress

from engine.clients.blocking import Waiting
from engine.clients.client import Client
from engine.clients.ending import Ending
from engine.clients.keyspace_events import KeyspaceEvents
from engine.clients.pauses import Pauses
from engine.clients.propagation import Propagation
from engine.clients.pubsub import PubSub
from engine.cluster import messages as ms
from engine.cluster import nodes_conf
from engine.cluster import state as st
from engine.cluster.bus import Bus, BusLink
from engine.cluster.election import Election
from engine.cluster.failures import Failures
from engine.cluster.nodes_conf import NodesConfError
from engine.cluster.ownership import Ownership
from engine.cluster.reasons import Reasons
from engine.cluster.receiving import Receiver
from engine.cluster.role import OwnRole
from engine.cluster.routing import Routing
from engine.cluster.sending import Sender
from engine.cluster.state import ClusterNode, ClusterState
from engine.config import MasterAddress
from engine.core import Core
from engine.effects import Exit, Lock, Read, Rename, Sync, Unlink, Write
from engine.keyspace.slots import SLOTS, key_slot
from engine.replication import Replication
from engine.replication.replica import ReplicaRole
from engine.replication.roles import Roles

CRON_US = 100_000
PORT_MAX = 65535
RANDOM_PEERS = 5  # of which the one that was heard of longest ago is pinged, once a second


class Cluster:
    """A node's part in its cluster."""

    def __init__(
        self,
        core: Core,
        propagation: Propagation,
        keyspace_events: KeyspaceEvents,
        waiting: Waiting,
        pubsub: PubSub,
        pauses: Pauses,
        ending: Ending,
        replication: Replication,
        replica: ReplicaRole,
        roles: Roles,
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.rng = core.rng
        self.timers = core.timers
        self.output = core.output
        self.space = core.space
        self.keyspace_events = keyspace_events
        self.waiting = waiting
        self.pubsub = pubsub
        self.ending = ending
        self.state = state = ClusterState(core.rng)
        self.role = role = OwnRole(core.config, core.clock, replication, replica, roles)
        self.bus = bus = Bus(core)
        self.sender = Sender(core, state, bus, role)
        self.reasons = reasons = Reasons(core, state)
        self.failures = Failures(core, state, self.sender, reasons)
        self.ownership = Ownership(core, propagation, state, role, reasons)
        self.election = Election(core, pauses, state, role, self.sender, self.failures, self.ownership, reasons)
        self.receiver = Receiver(
            core, pubsub, state, bus, role, self.sender, self.failures, self.ownership, self.election, reasons
        )
        self.routing = Routing(core.config, core.space, state, reasons)
        self.ownership.save_now = self.election.save_now = self.save_now
        self.ownership.end_manual_failover = self.election.end_manual
        bus.connected, bus.failed, bus.take = self.connected, self.not_connected, self.receiver.take
        self.cron_runs = 0
        self.save_error = ""  # why nodes.conf could not be written, if it could not
        self._announced_ip: str | None = None

    # --- starting -----------------------------------------------------------------------------------------------

    def start(self) -> list[str]:
        """Read nodes.conf, or become a node that knows only itself; returns lines that say why that cannot be."""
        config, output = self.config, self.output
        path = config.cluster_config_file
        try:
            output.run_now(Lock(path))
        except BlockingIOError:
            return [
                f"Sorry, the cluster configuration file {path} is already used by a different Redis Cluster node. "
                "Please make sure that different nodes use different cluster configuration files."
            ]
        except OSError as error:
            return [f"Can't open {path} in order to acquire a lock: {error.strerror}"]
        try:
            data = output.run_now(Read(path))
        except FileNotFoundError:
            data = b""
        except OSError as error:
            return [f"Loading the cluster node config from {path}: {error.strerror}"]
        now_ms = self.clock.now_ms
        if data:
            reader = nodes_conf.NodesConfReader(self.state, now_ms, config.tls_cluster)
            try:
                reader.read(data)
            except NodesConfError as error:
                return [
                    f'Unrecoverable error: corrupted cluster config file "{error.line}".',
                    f"{path}, {error}",
                ]
            for name in reader.unknown:
                output.log("*", f"Skipping unknown cluster config variable '{name}'")
            output.log("*", f"Node configuration loaded, I'm {self.state.myself.name}")
        else:
            myself = self.state.myself = self.state.new_peer(None, st.MYSELF | st.MASTER, now_ms)
            output.log("*", f"No cluster configuration found, I'm {myself.name}")
            self.state.add(myself)
            self.state.join_shard(myself)
            if not self.save():
                return ["Fatal: can't update cluster config file."]
        port = config.tls_port if config.tls_cluster else config.port
        if not config.cluster_port and port > PORT_MAX - st.BUS_PORT_OFFSET:
            return [
                "Redis port number too high. Cluster communication port is 10,000 port numbers higher than your "
                "Redis port. Your Redis port number must be 55535 or less."
            ]
        if not config.bind:
            return ["No bind address is configured, but it is required for the Cluster bus."]
        self.configured()
        master = self.state.myself.master
        if self.state.myself.is_replica and master is not None and master.ip:
            # What is loaded is the history of this master, which may go on from there.
            config.replicaof = MasterAddress(master.ip, self.ownership.replication_port(master))
        return []

    @property
    def bus_port(self) -> int:
        """The port to listen on for other nodes."""
        config = self.config
        port = config.tls_port if config.tls_cluster else config.port
        return config.cluster_port or port + st.BUS_PORT_OFFSET

    def loaded(self) -> None:
        """The data is loaded: let it and the slots agree, and begin."""
        state = self.state
        myself = state.myself
        corrected = False
        counts = self.ownership.database.slots.counts
        if myself.is_master:
            for slot in range(SLOTS):
                if not counts[slot] or state.owners[slot] is myself or slot in state.importing:
                    continue
                corrected = True
                owner = state.owners[slot]
                if owner is None:
                    self.output.log("*", f"I have keys for unassigned slot {slot}. Taking responsibility for it.")
                    state.assign(slot, myself)
                else:
                    self.output.log(
                        "*",
                        f"I have keys for slot {slot}, but the slot is assigned to another node. Setting it to "
                        "importing state.",
                    )
                    state.importing[slot] = owner
        if corrected:
            self.save_now()
        self.bus.listening = True
        self.timers.at(self.clock.monotonic_us, "cluster.cron")

    def configured(self) -> None:
        """Apply the settings that are announced to other nodes."""
        state, config = self.state, self.config
        if not hasattr(state, "myself"):
            return
        myself = state.myself
        myself.port, myself.tls_port, myself.bus_port = self.sender.announced_ports()
        announced = config.cluster_announce_ip or None
        if announced != self._announced_ip:
            self._announced_ip = announced
            myself.ip = (announced or "")[:45]
        flags = myself.flags & ~st.NOFAILOVER | (st.NOFAILOVER if config.cluster_replica_no_failover else 0)
        if flags != myself.flags:
            myself.flags = flags
            state.changed(evaluate=True)
        hostname, nodename = config.cluster_announce_hostname or "", config.cluster_announce_human_nodename or ""
        if (myself.hostname, myself.nodename) != (hostname, nodename):
            myself.hostname, myself.nodename = hostname, nodename
            state.changed()

    # --- nodes.conf ---------------------------------------------------------------------------------------------

    def save(self, fsync: bool = True) -> bool:
        """Write nodes.conf, and make it durable; False if that failed, which the log says."""
        path = self.config.cluster_config_file
        temporary = f"{path}.tmp-{self.clock.now_ms}"
        step = "open temp cluster config file"
        self.state.due.save = False
        try:
            self.output.run_now(Write(temporary, nodes_conf.write(self.state)))
            self.output.run_now(Lock(temporary))  # it becomes the file that no other node may use
            if fsync:
                self.state.due.fsync = False
            # Redis leaves this out if no promise depends on it. After a power cut the file may be unreadable, and
            # the node does not start.
            step = "sync tmp cluster config file"
            self.output.run_now(Sync(temporary))
            step = "rename tmp cluster config file"
            self.output.run_now(Rename(temporary, path))
        except OSError as error:
            self.output.log("#", f"Could not {step}: {error.strerror}")
            self.save_error = error.strerror or ""
            self.output.effects.append(Unlink(temporary))
            return False
        return True

    def save_now(self) -> None:
        """Write nodes.conf; without it the node must not go on."""
        if not self.save():
            self.output.log("#", "Fatal: can't update cluster config file.")
            self.ending.fail(Exit(1))

    # --- the bus ------------------------------------------------------------------------------------------------

    def connected(self, link: BusLink) -> None:
        """A link that we made is established: ping at once, so that the other end is not taken to be down."""
        peer = link.peer
        assert peer is not None
        pinged_ms = peer.ping_sent_ms
        self.sender.ping(link, ms.MEET if peer.flags & st.MEET else ms.PING)
        if pinged_ms:
            peer.ping_sent_ms = pinged_ms
        peer.flags &= ~st.MEET

    def not_connected(self, link: BusLink) -> None:
        """A link could not be made. The time from when on a node does not answer begins with the first try."""
        peer = link.peer
        if peer is not None and not peer.ping_sent_ms:
            peer.ping_sent_ms = self.clock.now_ms

    def meet(self, ip: bytes, port: int, bus_port: int) -> bool:
        """Make a node known that has this address, and us known to it; False if it can be no address."""
        try:
            address = str(ipaddress.ip_address(ip.decode("ascii")))
        except ValueError:
            return False
        if not (0 < port <= PORT_MAX and 0 < bus_port <= PORT_MAX):
            return False
        tls = self.config.tls_cluster
        for peer in self.state.nodes.values():
            known = (peer.ip.lower(), peer.client_port(tls), peer.bus_port)
            if peer.in_handshake and known == (address, port, bus_port):
                return True
        peer = self.state.new_peer(None, st.HANDSHAKE | st.MEET, self.clock.now_ms)
        peer.ip, peer.bus_port = address, bus_port
        if tls:
            peer.tls_port = port
        else:
            peer.port = port
        self.state.add(peer)
        return True

    # --- ten times a second -------------------------------------------------------------------------------------

    def cron(self) -> int:
        """Connect, ping, detect failures, stand for election; returns when it is due again."""
        config, state, now_ms = self.config, self.state, self.clock.now_ms
        self.cron_runs += 1
        self.configured()
        handshake_ms = max(config.cluster_node_timeout, 1000)
        self.sender.pfail_nodes = 0
        for peer in list(state.nodes.values()):
            self.bus.enforce_limit(peer)
            if peer.flags & (st.MYSELF | st.NOADDR):
                continue
            self.sender.pfail_nodes += bool(peer.flags & st.PFAIL)
            if peer.in_handshake and now_ms - peer.created_ms > handshake_ms:
                self.receiver.forget(peer)
            elif peer.link is None:
                self.bus.dial(peer)
        if self.cron_runs % 10 == 0:
            self._ping_someone()
        newly_failing = self._check_peers()
        myself = state.myself
        master = myself.master
        if myself.is_replica and not self.role.replicates and master is not None and not master.flags & st.NOADDR:
            self.role.follow(master.ip, self.ownership.replication_port(master))
        self.election.check_timeout()
        if self.waiting.count:
            for client in [held for held in self.waiting.clients.values() if held.blocking is not None]:
                self.redirect_blocked(client)
        if myself.is_replica:
            self.election.go_on_manually()
            self.election.stand()
            self._consider_migrating()
        if newly_failing or not state.ok:
            self.failures.evaluate()
        return self.clock.monotonic_us + CRON_US

    def _ping_someone(self) -> None:
        """Ping, of some nodes, the one that was heard of longest ago."""
        peers = list(self.state.nodes.values())
        chosen: ClusterNode | None = None
        for _ in range(RANDOM_PEERS):
            peer = peers[self.rng.below(len(peers))]
            if peer.link is None or peer.ping_sent_ms or peer.flags & (st.MYSELF | st.HANDSHAKE):
                continue
            if chosen is None or peer.pong_ms < chosen.pong_ms:
                chosen = peer
        if chosen is not None:
            self.sender.ping(chosen.link)

    def _check_peers(self) -> bool:
        """Ping who was not heard of for long; returns whether one that does not answer is PFAIL from now on."""
        config, state, now_ms = self.config, self.state, self.clock.now_ms
        timeout_ms = config.cluster_node_timeout
        interval_ms = config.cluster_ping_interval or timeout_ms // 2
        newly_failing = False
        for peer in state.nodes.values():
            if peer.flags & (st.MYSELF | st.NOADDR | st.HANDSHAKE):
                continue
            ping_delay_ms, data_delay_ms = now_ms - peer.ping_sent_ms, now_ms - peer.data_ms
            link = peer.link
            if (
                link is not None
                and peer.ping_sent_ms
                and now_ms - link.created_ms > timeout_ms
                and min(ping_delay_ms, data_delay_ms) > timeout_ms // 2
            ):
                self.bus.drop(link)  # perhaps it is only the connection
                link = None
            if link is not None and not peer.ping_sent_ms and now_ms - peer.pong_ms > interval_ms:
                self.sender.ping(link)
                continue
            if link is not None and state.manual.end_ms and state.manual.replica is peer and state.myself.is_master:
                self.sender.ping(link)
                continue
            if not peer.ping_sent_ms or peer.flags & (st.PFAIL | st.FAIL):
                continue
            if min(ping_delay_ms, data_delay_ms) > timeout_ms:
                self.output.log(".", f"*** NODE {peer.name} possibly failing")
                if self.reasons.observed:
                    self.reasons.possibly_failing(peer, min(ping_delay_ms, data_delay_ms))
                peer.flags |= st.PFAIL
                newly_failing = True
        return newly_failing

    def _consider_migrating(self) -> None:
        """Move to a master without working replicas, if ours has as many as any."""
        if not self.config.cluster_allow_replica_migration:
            return
        most = ours = 0
        orphaned = False
        for peer in self.state.nodes.values():
            if peer.flags & (st.MYSELF | st.NOADDR | st.HANDSHAKE | st.FAIL) or not peer.is_master:
                continue
            replicas = peer.working_replicas()
            orphaned |= not replicas and bool(peer.slots) and bool(peer.flags & st.MIGRATE_TO)
            most = max(most, replicas)
            if self.state.myself.master is peer:
                ours = replicas
        if orphaned and most >= 2 and ours == most:
            self.election.migrate(most)

    # --- the end of a round -------------------------------------------------------------------------------------

    def before_sending(self) -> None:
        """Do what the inputs of this round made necessary, and let the messages leave."""
        state = self.state
        due = state.due
        if due.manual:
            due.manual = False
            if state.myself.is_replica:
                self.election.go_on_manually()
                self.election.stand()
        elif due.failover:
            self.election.stand()
        if due.evaluate:
            self.failures.evaluate()
        if due.save:
            fsync, due.fsync = due.fsync, False
            if not self.save(fsync):
                self.save_now()
        if state.released:
            released, state.released = state.released, 0
            if self.pubsub.shard_channels:
                self._leave_channels(released)
        self.bus.flush()

    def _leave_channels(self, slots: int) -> None:
        """Unsubscribe all clients from the shard channels of slots that are no longer served here."""
        for channel, subscribers in list(self.pubsub.shard_channels.items()):
            if slots >> key_slot(channel) & 1:
                for client_id in list(subscribers):
                    self.pubsub.sunsubscribe(self.waiting.clients[client_id], [channel])

    def redirect_blocked(self, client: Client) -> None:
        """End the wait of a client for keys that this node no longer serves."""
        error = self.routing.blocked_error(client)
        if error is not None:
            self.waiting.unblock_with_error(client, error)

    # --- what commands ask for ----------------------------------------------------------------------------------

    def publish(self, channel: bytes, payload: bytes, shard: bool) -> None:
        """Pass a published message on to other nodes."""
        if shard:
            self.sender.publish_shard(channel, payload)
        else:
            self.sender.publish(channel, payload)

    def reset(self, hard: bool) -> None:
        """Forget everyone, and all slots; with `hard` be another node from now on."""
        state = self.state
        myself = state.myself
        if myself.is_replica:
            self.ownership.set_as_master(myself)
            self.role.promote()
            self.keyspace_events.flush(list(self.space.databases))
        state.close_slots()
        self.election.end_manual()
        for peer in list(state.nodes.values()):
            state.release_all(peer)
        for peer in list(state.nodes.values()):
            if peer is not myself:
                self.receiver.forget(peer)
        state.forgotten.clear()
        if hard:
            state.current_epoch = state.last_vote_epoch = myself.config_epoch = 0
            self.output.log("*", "configEpoch set to 0 via CLUSTER RESET HARD")
            state.leave_shard(myself)
            myself.shard_id = state.new_name()
            state.rename(myself, state.new_name())
            self.output.log("*", f"Node hard reset, now I'm {myself.name}")
        state.changed(evaluate=True, fsync=True)

    def info(self) -> bytes:
        """Return the text of CLUSTER INFO."""
        state = self.state
        owners = [owner for owner in state.owners if owner is not None]
        failed = sum(owner.failed for owner in owners)
        failing = sum(bool(owner.flags & st.PFAIL) and not owner.failed for owner in owners)
        lines: list[tuple[str, object]] = [
            ("cluster_state", "ok" if state.ok else "fail"),
            ("cluster_slots_assigned", len(owners)),
            ("cluster_slots_ok", len(owners) - failed - failing),
            ("cluster_slots_pfail", failing),
            ("cluster_slots_fail", failed),
            ("cluster_known_nodes", len(state.nodes)),
            ("cluster_size", state.size),
            ("cluster_current_epoch", state.current_epoch),
            ("cluster_my_epoch", state.my_master.config_epoch),
        ]
        for word, counts in (("sent", self.sender.sent), ("received", self.receiver.received)):
            lines += [
                (f"cluster_stats_messages_{name}_{word}", count)
                for name, count in zip(ms.NAMES, counts, strict=True)
                if count
            ]
            lines.append((f"cluster_stats_messages_{word}", sum(counts)))
        lines.append(("total_cluster_links_buffer_limit_exceeded", self.bus.limit_exceeded))
        return "".join(f"{name}:{value}\r\n" for name, value in lines).encode()
