"""The replica's side: connect, shake hands, receive a snapshot or continue, apply the stream.

The link has the states of Redis, with the same names. In the handshake each request is named after the state that
awaits its reply; a table, `HANDSHAKE`, maps each state and kind of reply to an action.

    connect → connecting → receive-ping-reply → (auth) → port → (ip) → capa → psync → (continue) connected
                                                                            → (full)     transfer → connected
    any failure → connect, tried again every second

The replica's history (ID and offset) is the node's own `replid` and `offset`, so it can continue with any master that
shares the history, and after a promotion other replicas can continue with this node.

No input from a master may end or block the node: `engine.replication.peer` validates it, and invalid input closes the
link.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from engine.clients import client as flags
from engine.clients.client import Client
from engine.clients.connections import Connections
from engine.clients.ending import Ending
from engine.core import Core
from engine.effects import Exit, PauseReading, ResumeReading
from engine.observe.events import LinkStateChanged, ResyncFinished, ResyncRequested
from engine.persistence.aof.log import AppendOnlyFile
from engine.protocol.conversation import Conversation
from engine.protocol.resp import encode_command
from engine.replication import peer
from engine.replication.peer import PeerError, shown
from engine.replication.stream import MasterStream
from engine.replication.transfer import Transfer

if TYPE_CHECKING:
    from engine.replication import Replication
    from engine.replication.failover import CoordinatedFailover
    from engine.replication.master import MasterRole

REPL_STATE_NONE = "none"
REPL_STATE_CONNECT = "connect"
REPL_STATE_CONNECTING = "connecting"
REPL_STATE_RECEIVE_PING_REPLY = "receive-ping-reply"
REPL_STATE_RECEIVE_AUTH_REPLY = "receive-auth-reply"
REPL_STATE_RECEIVE_PORT_REPLY = "receive-port-reply"
REPL_STATE_RECEIVE_IP_REPLY = "receive-ip-reply"
REPL_STATE_RECEIVE_CAPA_REPLY = "receive-capa-reply"
REPL_STATE_RECEIVE_PSYNC_REPLY = "receive-psync-reply"
REPL_STATE_TRANSFER = "sync"
REPL_STATE_CONNECTED = "connected"

UNREAD_BYTES_MAX = 1 << 20  # unprocessed input above which the link is not read
UNSENT_BYTES_MAX = 1 << 16  # pending output to the master above which no acknowledgements are sent
AOF_TRIES = 10


class ReplicaRole:
    """The node in its role as a replica."""

    failover: "CoordinatedFailover"
    update_role: Callable[[], None]  # called after a change of the link's state

    def __init__(
        self,
        core: Core,
        connections: Connections,
        ending: Ending,
        aof: AppendOnlyFile,
        replication: "Replication",
        master: "MasterRole",
        new_master: Callable[[int, int, str], Client],
        new_transfer: Callable[["ReplicaRole", bytes, int], Transfer],
        new_stream: Callable[["ReplicaRole"], MasterStream],
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.rng = core.rng
        self.timers = core.timers
        self.output = core.output
        self.dialer = core.dialer
        self.space = core.space
        self.stats = core.stats
        self.events = core.events
        self.connections = connections
        self.ending = ending
        self.aof = aof
        self.replication = replication
        self.downstream = master  # for our own replicas
        self.new_master = new_master  # creates the client that represents the master: ID, link, address
        self.new_transfer = new_transfer
        self.new_stream = new_stream
        self.state = REPL_STATE_NONE
        self.link = 0
        self.conversation = Conversation(peer.take_reply)  # the handshake: each request is named after its state
        self.client: Client | None = None  # once connected
        self.client_id = 0  # of the master's client, kept when the stream resumes; 0: assign a new one
        self.has_history = False  # our data belongs to a known history that we may ask to continue
        self.speaks_psync = True  # False for a master that only supports SYNC: send no ACKs
        self.buffer = bytearray()  # bytes after the handshake that are not processed yet
        self.stream: MasterStream | None = None  # once connected
        self.transfer: Transfer | None = None
        self.occupied = False  # a transfer is being loaded: new input stays in the buffer
        self.ended = False  # the link was closed while occupied
        self.held = False  # reading from the link is paused
        self.unsent_bytes = 0  # pending output to the master
        self.turn_due = False  # the stream continues in the next round
        self.life_shown_s = -1
        self.line_since_us = 0  # when an incomplete line began; 0 if there is none
        self.last_io_us = 0
        self.down_since_us = 0
        self.last_ack_us = 0
        self.aof_tries = 0  # failed attempts since the last transfer

    # --- starting and stopping ----------------------------------------------------------------------------------

    def follow(self) -> None:
        """Start to follow the configured master."""
        self.disconnect()
        self._go(REPL_STATE_CONNECT, "told to follow this master")
        self.down_since_us = self.clock.monotonic_us
        self._connect("Connecting to MASTER {}")

    def take_own_history(self) -> None:
        """Keep the own history when a master becomes a replica: the new master may know it."""
        self.has_history = True
        self.client_id = self.connections.take_id()
        self.output.log(
            "*",
            "Before turning into a replica, using my own master parameters to synthesize a cached master: "
            "I may be able to synchronize with the new master with just a partial transfer.",
        )

    def stop(self) -> None:
        """Stop following a master."""
        self.disconnect()
        self.aof_tries = 0
        self._go(REPL_STATE_NONE, "no longer a replica")

    @property
    def link_state(self) -> str:
        """The state as shown by ROLE."""
        return "handshake" if self.in_handshake else self.state

    @property
    def in_handshake(self) -> bool:
        """Whether replies of the handshake are pending."""
        return self.state in HANDSHAKE

    def _go(self, state: str, reason: str) -> None:
        """Enter a link state."""
        before, self.state = self.link_state, state
        if self.events.observers and self.link_state != before:
            self.events.emit(LinkStateChanged(self.clock.now_us, self.master, before, self.link_state, state, reason))

    @property
    def master(self) -> str:
        """The master's address; empty if there is none."""
        address = self.config.replicaof
        return "" if address is None else f"{address.host}:{address.port}"

    def disconnect(self) -> None:
        """Close the link to the master, if there is one."""
        if self.client is not None:
            client, self.client = self.client, None
            self.downstream.selected = client.db.index  # where the stream continues if it is resumed
            client.link = 0  # the link is closed here
            self.connections.free(client)
        if self.link:
            self.dialer.hang_up(self.link)
            self.link = 0
        self.conversation = Conversation(peer.take_reply)
        self.buffer.clear()
        self.stream = None
        self.ended = self.held = False
        self.unsent_bytes = 0
        self.line_since_us = 0
        if self.transfer is not None:
            transfer, self.transfer = self.transfer, None
            transfer.abort()

    def lost(self, reason: str, level: str = "#", known: bool = True) -> None:
        """The link failed: reconnect in the next cron cycle.

        `known` is False if the stream was corrupted, so the applied offset is uncertain.
        """
        before = self.state
        if before == REPL_STATE_CONNECTED:
            self.output.log("*", "Connection with master lost.")
            if known and self.speaks_psync:
                self.output.log("*", "Caching the disconnected master state.")
            else:
                self.has_history = False
        elif reason:
            self.output.log(level, reason)
        self.disconnect()
        if before != REPL_STATE_NONE:
            self._go(REPL_STATE_CONNECT, reason)
            if before == REPL_STATE_CONNECTED:
                self.down_since_us = self.clock.monotonic_us
                self._connect("Reconnecting to MASTER {}")
            elif before == REPL_STATE_TRANSFER:
                self._connect("Reconnecting to MASTER {} after failure")
        self.update_role()

    def _connect(self, announced: str) -> None:
        """Connect to the master; `announced` is the log line."""
        if self.ending.exiting:
            return
        master = self.config.replicaof
        assert master is not None
        self.output.log("*", announced.format(self.master))
        self.output.log("*", "MASTER <-> REPLICA sync started")
        self._go(REPL_STATE_CONNECTING, "dialling")
        self.last_io_us = self.clock.monotonic_us
        source = self.config.bind_source_addr or ""
        self.link = self.dialer.dial(self, master.host, master.port, self.config.tls_replication, source)

    # --- inputs from the world ----------------------------------------------------------------------------------

    def opened(self, peer: str, local: str) -> None:
        """The connection is established."""
        self.output.log("*", "Non blocking connect for SYNC fired the event.")
        self.speaks_psync = True
        self._ask(REPL_STATE_RECEIVE_PING_REPLY, b"PING")
        self._go(REPL_STATE_RECEIVE_PING_REPLY, "the connection stands")
        self._send(self.conversation.take_outgoing())

    def refused(self, error: str) -> None:
        """The connection could not be made."""
        self.lost(f"Error condition on socket for SYNC: {error}")

    def closed(self) -> None:
        """The master closed the connection."""
        if self.occupied or (self.stream is not None and self.stream.waits):
            self.ended = True
        elif self.transfer is not None:
            self.transfer.cut()
            self.lost("")
        elif self.in_handshake:
            self._no_reply("connection lost")
        else:
            self.lost("I/O error reading from master")

    def output_pending(self, size_bytes: int) -> None:
        """Record the amount of pending output to the master."""
        self.unsent_bytes = size_bytes

    def received(self, data: bytes) -> None:
        """Bytes came from the master."""
        self.last_io_us = self.clock.monotonic_us
        self.stats.net_repl_input_bytes += len(data)
        self._guarded(self._receive, data)

    def resume(self) -> None:
        """Apply input that was held back or left over from the last turn."""
        if self.stream is not None and self.stream.waits:
            self._guarded(self._apply, b"")

    def begin_turn(self) -> None:
        """Begin a round for input left over from the last turn; the end of the round resumes the stream."""
        self.turn_due = False

    def _guarded(self, action: Callable[[bytes], None], data: bytes) -> None:
        """Process bytes from the master. Invalid bytes only close the link."""
        try:
            action(data)
        except PeerError as error:
            self.lost(str(error), known=False)
        except Exception:
            self.output.log("#", f"Internal error in what the master sent: {traceback.format_exc()}")
            self.lost("what the master sent could not be dealt with", known=False)

    def _receive(self, data: bytes) -> None:
        if self.state == REPL_STATE_CONNECTED:
            self._apply(data)
            return
        if self.in_handshake:
            self.conversation.feed(data)
            while self.in_handshake and (line := self._next_reply()) is not None:
                self._answer(line)
            if not self.in_handshake:
                self.buffer += self.conversation.take_rest()
        else:
            self.buffer += data
        if self.occupied:
            if len(self.buffer) >= UNREAD_BYTES_MAX:
                self._hold()
            return
        while self.state == REPL_STATE_TRANSFER and self.buffer:
            self._take_snapshot()
        self._watch_line()
        if self.state == REPL_STATE_CONNECTED and self.buffer:
            rest = bytes(self.buffer)
            self.buffer.clear()
            self._apply(rest)
        if self.ended:
            self.closed()

    def _next_reply(self) -> bytes | None:
        """Take the next reply of the handshake; None if it is incomplete."""
        if self.state == REPL_STATE_RECEIVE_PSYNC_REPLY:
            peer.take_newlines(self.conversation.buffer)  # the master is busy but alive
        line = self.conversation.next_reply()
        if line is not None:
            self.line_since_us = 0
        return line

    def _watch_line(self) -> None:
        """Record since when a line has been incomplete."""
        if self.in_handshake:
            begun = bool(self.conversation.buffer)
        else:
            begun = self.transfer is not None and self.transfer.in_line
        self.line_since_us = (self.line_since_us or self.clock.monotonic_us) if begun else 0

    def _hold(self) -> None:
        """Stop reading from the link."""
        if not self.held:
            self.held = True
            self.output.effects.append(PauseReading(self.link))

    def _release(self) -> None:
        """Resume reading from the link."""
        if self.held:
            self.held = False
            self.output.effects.append(ResumeReading(self.link))

    # --- handshake ----------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        """Send bytes to the master."""
        self.stats.net_repl_output_bytes += len(data)
        self.dialer.send(self.link, data)

    def _ask(self, state: str, *argv: bytes) -> None:
        """Add a request whose reply is awaited in a state."""
        self.conversation.ask(state, *argv, now_us=self.clock.monotonic_us)

    def _answer(self, line: bytes) -> None:
        """Execute the step in `HANDSHAKE` for a reply."""
        kind = _kind_of(line)
        if self.state == REPL_STATE_RECEIVE_PSYNC_REPLY and kind != NEWLINE:
            accepted = kind in (FULLRESYNC, CONTINUE)
            if not self.failover.answered(accepted):
                return
        step = HANDSHAKE[self.state][kind]
        if not step.goes_on:
            step.action(self, line)
            return
        self.conversation.answered()
        step.action(self, line)
        if not self.conversation:
            self._ask(REPL_STATE_RECEIVE_PSYNC_REPLY, *self._psync())
        self._go(self.conversation.awaits, "")
        if outgoing := self.conversation.take_outgoing():
            self._send(outgoing)

    def _no_reply(self, why: str) -> None:
        """The expected reply will not arrive."""
        self.output.log("#", f"Failed to read response from the server: {why}")
        if self.state != REPL_STATE_RECEIVE_PSYNC_REPLY:
            self.lost("Master did not respond to command during SYNC handshake")
        elif self.failover.answered(False):
            self.lost("Master did not reply to PSYNC, will try later")

    def _send_handshake(self, line: bytes) -> None:
        """Send all options of the handshake in one write; the replies arrive one by one."""
        config = self.config
        self.output.log("*", "Master replied to PING, replication can continue...")
        port = config.replica_announce_port or (config.tls_port if config.tls_replication else config.port)
        user = [config.masteruser.encode()] if config.masteruser else []
        address = config.replica_announce_ip.encode()
        if config.masterauth:
            self._ask(REPL_STATE_RECEIVE_AUTH_REPLY, b"AUTH", *user, config.masterauth)
        self._ask(REPL_STATE_RECEIVE_PORT_REPLY, b"REPLCONF", b"listening-port", b"%d" % port)
        if address:
            self._ask(REPL_STATE_RECEIVE_IP_REPLY, b"REPLCONF", b"ip-address", address)
        self._ask(REPL_STATE_RECEIVE_CAPA_REPLY, b"REPLCONF", b"capa", b"eof", b"capa", b"psync2")

    def _psync(self) -> list[bytes]:
        replication = self.replication
        takes_over = [b"FAILOVER"] if self.failover.under_way else []
        if self.has_history:
            want = replication.offset + 1
            replid = shown(replication.replid)
            self.output.log("*", f"Trying a partial resynchronization (request {replid}:{want}).")
            self._tell_request(replid, want, "the data that is held belongs to this history, up to the byte before")
            return [b"PSYNC", replication.replid, b"%d" % want, *takes_over]
        self.output.log("*", "Partial resynchronization not possible (no cached master)")
        self._tell_request("?", -1, "the data that is held belongs to no history")
        return [b"PSYNC", b"?", b"-1", *takes_over]

    def _tell_request(self, replid: str, offset: int, reason: str) -> None:
        if self.events.observers:
            self.events.emit(ResyncRequested(self.clock.now_us, self.master, replid, offset, reason))

    def _full_resync(self, line: bytes) -> None:
        """The master sends a full snapshot."""
        replid, offset = peer.full_resync(line)
        self.transfer = self.new_transfer(self, replid, offset)
        self.output.log("*", f"Full resync from master: {shown(replid)}:{offset}")
        self._go(REPL_STATE_TRANSFER, "the master sends a snapshot, and the stream from the offset it names")

    def _partial_resync(self, line: bytes) -> None:
        """The master continues at our offset."""
        replication = self.replication
        if not self.has_history:
            raise PeerError(f"Unexpected reply to PSYNC from master: {shown(line)}")
        new_id = peer.continued_id(line)
        self.output.log("*", "Successful partial resynchronization with master.")
        if new_id is not None and new_id != replication.replid:
            replication.replid2 = replication.replid
            replication.second_replid_offset = replication.offset + 1
            replication.replid = new_id
            self.output.log("*", f"Master replication ID changed to {shown(new_id)}")
            replication.tell_id("the master goes on with this history under a new ID")
            replication.drop_replicas("the master's ID changed: it has to learn the new one")
        self._connected("partial", 0)
        self.output.log("*", "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")

    def _fall_back(self, level: str, text: str) -> None:
        """Use SYNC with a master that refuses PSYNC. It sends no history, so the stream cannot be resumed later."""
        self.output.log(level, text)
        self.output.log("*", "Retrying with SYNC...")
        self._send(b"SYNC\r\n")
        self.speaks_psync = False
        self.transfer = self.new_transfer(self, self.rng.hex(peer.REPLID_BYTES), -1)
        self._go(REPL_STATE_TRANSFER, "the master is asked by SYNC for a snapshot")

    def _connected(self, how: str, size_bytes: int) -> None:
        """Create the client that represents the master; the stream begins."""
        if how == "full" or not self.client_id:
            self.client_id = self.connections.take_id()
        client = self.new_master(self.client_id, self.link, self.master)
        client.kind = "dialled"
        client.flags = flags.MASTER
        client.user = None
        client.update_checks()
        self.connections.clients[client.id] = client
        if self.downstream.selected >= 0:
            client.db = self.space.databases[self.downstream.selected]
        self.client = client
        self.stream = self.new_stream(self)
        self._go(REPL_STATE_CONNECTED, f"{how} resynchronization finished: the stream follows")
        self.has_history = True
        self.replication.need_backlog(keep_id=True)
        self.update_role()
        if self.events.observers:
            replid, offset = shown(self.replication.replid), self.replication.offset
            keys = sum(len(db) for db in self.space.databases)
            self.events.emit(ResyncFinished(self.clock.now_us, self.master, how, replid, offset, size_bytes, keys))
        self.acknowledge()

    # --- transfer -----------------------------------------------------------------------------------------------

    def _take_snapshot(self) -> None:
        """Pass input to the transfer; the stream follows after its end."""
        transfer, data = self.transfer, bytes(self.buffer)
        assert transfer is not None
        self.buffer.clear()
        self.occupied = True
        try:
            rest = transfer.receive(data)
        finally:
            self.occupied = False
        self._release()
        if rest is not None:
            self.transfer = None
            self.buffer[:0] = rest
            self._synchronized(transfer)

    def _synchronized(self, transfer: Transfer) -> None:
        """Adopt the master's history: all of its data is loaded."""
        replication = self.replication
        replication.replid = transfer.replid
        replication.clear_second_id()
        replication.offset = transfer.offset
        replication.tell_id("all of the master's data was loaded: its history is ours")
        replication.drop_backlog("it belongs to the history that was given up")
        replication.go_on_in(transfer.stream_db)
        self._connected("full", transfer.read_bytes)
        self.output.log("*", "MASTER <-> REPLICA sync: Finished with success")
        self._restart_aof()

    def _restart_aof(self) -> None:
        """Re-enable the AOF after a transfer: try once a second, at most ten times."""
        if not self.config.appendonly or self.aof.enable():
            self.aof_tries = 0
            return
        self.aof_tries += 1
        if self.aof_tries < AOF_TRIES:
            self.output.log(
                "#",
                "Failed enabling the AOF after successful master synchronization! Trying it again in one second.",
            )
            return
        self.output.log(
            "#",
            "FATAL: this replica instance finished the synchronization with its master, but the AOF can't be "
            "turned on. Exiting now.",
        )
        self.ending.end(Exit(1))

    def give_up_history(self) -> None:
        """Treat the master's data as our own: replicas can no longer continue our former history."""
        self.has_history = False
        self.replication.drop_replicas("our data is about to be another: they have to take it too")

    def show_life(self) -> None:
        """Signal to the master, about once a second, that we are alive although we send no replies yet."""
        now_s = self.clock.stopwatch() // 1_000_000
        if now_s != self.life_shown_s and self.link:
            self.life_shown_s = now_s
            self._send(b"\n")

    # --- the stream ---------------------------------------------------------------------------------------------

    def _apply(self, data: bytes) -> None:
        """Run the master's commands, and pass the same bytes on to our own replicas."""
        stream = self.stream
        assert stream is not None
        stream.receive(data)
        if self.stream is not stream:
            return
        if stream.waits:
            self._hold()
            if not self.turn_due:
                self.turn_due = True
                self.timers.at(self.clock.monotonic_us, "replica.begin_turn")
        elif self.ended:
            self.closed()
        elif not stream.held:
            self._release()
        elif stream.read_bytes >= UNREAD_BYTES_MAX:
            self._hold()

    def acknowledge(self) -> None:
        """Send our offset to the master."""
        if not self.speaks_psync:
            return
        self.last_ack_us = self.clock.monotonic_us
        if self.unsent_bytes >= UNSENT_BYTES_MAX:
            return  # a later acknowledgement replaces this one
        argv = [b"REPLCONF", b"ACK", b"%d" % self.replication.offset]
        if self.config.appendonly:
            argv += [b"FACK", b"%d" % self.replication.fsynced_offset]
        self._send(encode_command(argv))

    # --- time ---------------------------------------------------------------------------------------------------

    def cron(self) -> None:
        """Reconnect, handle timeouts, acknowledge once a second."""
        if self.occupied:
            return
        if self.aof_tries:
            self._restart_aof()
        idle_us = self.clock.monotonic_us - self.last_io_us
        late = idle_us > self.config.repl_timeout * 1_000_000
        if self.line_since_us and self.clock.monotonic_us - self.line_since_us > peer.LINE_TIMEOUT_US:
            if self.in_handshake:
                self._no_reply("Connection timed out")
            else:
                self.lost("I/O error reading bulk count from MASTER: Connection timed out")
        elif late and (self.state == REPL_STATE_CONNECTING or self.in_handshake):
            self.lost("Timeout connecting to the MASTER...")
            self._connect("Reconnecting to MASTER {} after failure")
        elif late and self.state == REPL_STATE_TRANSFER:
            self.lost(
                "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' "
                "parameter in redis.conf to a larger value."
            )
        elif late and self.state == REPL_STATE_CONNECTED and not self.held:
            self.output.log("#", "MASTER timeout: no data nor PING received...")
            self.lost(f"no data nor PING for more than {self.config.repl_timeout} s (repl-timeout)")
        elif self.state == REPL_STATE_CONNECT:
            self._connect("Connecting to MASTER {}")
        elif self.state == REPL_STATE_CONNECTED and self.clock.monotonic_us - self.last_ack_us >= 1_000_000:
            self.acknowledge()


# --- the handshake's table --------------------------------------------------------------------------------------

# The kind of a reply, determined by its first bytes: the first match counts.
NEWLINE = "newline"
FULLRESYNC = "+FULLRESYNC"
CONTINUE = "+CONTINUE"
POSITIVE = "+"
DENIED = "-NOAUTH"
NOT_NOW = "-LOADING"
NOT_PERMITTED = "-ERR operation not permitted"
ERR = "-ERR"
ERROR = "-"
NOISE = "noise"
_HEADS: tuple[tuple[str, bytes | tuple[bytes, ...]], ...] = (
    (FULLRESYNC, b"+FULLRESYNC"),
    (CONTINUE, b"+CONTINUE"),
    (POSITIVE, b"+"),
    (DENIED, (b"-NOAUTH", b"-NOPERM")),
    (NOT_NOW, (b"-NOMASTERLINK", b"-LOADING")),
    (NOT_PERMITTED, b"-ERR operation not permitted"),
    (ERR, b"-ERR"),
    (ERROR, b"-"),
    (NOISE, b""),
)
_ERRORS = (DENIED, NOT_NOW, NOT_PERMITTED, ERR, ERROR)
_OTHERS = (NEWLINE, FULLRESYNC, CONTINUE, POSITIVE, NOISE)


def _kind_of(line: bytes) -> str:
    if not line:
        return NEWLINE
    return next(kind for kind, head in _HEADS if line.startswith(head))


Action = Callable[[ReplicaRole, bytes], None]


class HandshakeStep(NamedTuple):
    """The result of a reply: an action, and whether the handshake continues with the next request."""

    action: Action
    goes_on: bool = False


def _nothing(replica: ReplicaRole, line: bytes) -> None:
    pass


def _fails(text: str, level: str = "#") -> HandshakeStep:
    return HandshakeStep(lambda replica, line: replica.lost(text.format(shown(line)), level))


def _falls_back(text: str, level: str = "#") -> HandshakeStep:
    return HandshakeStep(lambda replica, line: replica._fall_back(level, text.format(shown(line))))


def _row(steps: dict[tuple[str, ...], HandshakeStep]) -> dict[str, HandshakeStep]:
    return {kind: step for kinds, step in steps.items() for kind in kinds}


def _replconf(option: str) -> dict[str, HandshakeStep]:
    """Return the row for a REPLCONF, which the master may not support."""

    def note(replica: ReplicaRole, line: bytes) -> None:
        replica.output.log("*", f"(Non critical) Master does not understand REPLCONF {option}: {shown(line)}")

    return _row({_ERRORS: HandshakeStep(note, goes_on=True), _OTHERS: HandshakeStep(_nothing, goes_on=True)})


HANDSHAKE: dict[str, dict[str, HandshakeStep]] = {
    REPL_STATE_RECEIVE_PING_REPLY: _row(
        {
            (POSITIVE, FULLRESYNC, CONTINUE, DENIED, NOT_PERMITTED): HandshakeStep(
                ReplicaRole._send_handshake, goes_on=True
            ),
            (NEWLINE, NOT_NOW, ERR, ERROR, NOISE): _fails("Error reply to PING from master: '{}'"),
        }
    ),
    REPL_STATE_RECEIVE_AUTH_REPLY: _row(
        {
            _ERRORS: _fails("Unable to AUTH to MASTER: {}"),
            _OTHERS: HandshakeStep(_nothing, goes_on=True),
        }
    ),
    REPL_STATE_RECEIVE_PORT_REPLY: _replconf("listening-port"),
    REPL_STATE_RECEIVE_IP_REPLY: _replconf("ip-address"),
    REPL_STATE_RECEIVE_CAPA_REPLY: _replconf("capa"),
    REPL_STATE_RECEIVE_PSYNC_REPLY: _row(
        {
            (NEWLINE,): HandshakeStep(_nothing),
            (FULLRESYNC,): HandshakeStep(ReplicaRole._full_resync),
            (CONTINUE,): HandshakeStep(ReplicaRole._partial_resync),
            (NOT_NOW,): _fails("Master is currently unable to PSYNC but should be in the future: {}", "*"),
            (ERR, NOT_PERMITTED): _falls_back("Master does not support PSYNC or is in error state (reply: {})", "*"),
            (DENIED, ERROR, POSITIVE, NOISE): _falls_back("Unexpected reply to PSYNC from master: {}"),
        }
    ),
}


__all__ = ["HANDSHAKE", "REPL_STATE_CONNECTED", "REPL_STATE_NONE", "REPL_STATE_TRANSFER", "ReplicaRole"]
