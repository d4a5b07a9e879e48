"""The replica's side: connect, shake hands, receive a snapshot or continue, apply the stream.

The handshake is a table: for each state what is sent, how the answer is judged, and what follows.

    connect → connecting → ping → auth → port → ip → capa → psync → (continue) connected
                                                                  → (full) transfer → connected
    any failure → connect, tried again every second

What the replica knows of its history (ID and offset) is the node's own `replid` and `offset`, so it can ask to
continue from any master that shares it, and after a promotion can be asked itself.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from typing import TYPE_CHECKING

from engine import client as flags
from engine.client import Client
from engine.effects import Dial, Exit, Hangup, PauseReading, ResumeReading
from engine.events import LinkStateChanged, ResyncFinished, ResyncRequested
from engine.replication.stream import Stream
from engine.replication.transfer import Transfer, TransferError
from engine.resp import ProtocolError, encode_command

if TYPE_CHECKING:
    from engine.node import Node

NONE, CONNECT, CONNECTING, HANDSHAKE, TRANSFER, CONNECTED = (
    "none",
    "connect",
    "connecting",
    "handshake",
    "sync",
    "connected",
)
LINE_MAX = 1024
UNREAD_BYTES_MAX = 1 << 20  # of what comes while a transfer is being loaded: then the master has to wait


class Replica:
    """The node as somebody's replica."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.state = NONE
        self.link = 0
        self.step = ""
        self.client: Client | None = None  # stands for the master once connected
        self.has_history = False  # the data we hold is a known history's: we may ask to continue it
        self.buffer = bytearray()  # what came before the stream and is not dealt with
        self.stream: Stream | None = None  # once connected
        self.transfer: Transfer | None = None
        self.occupied = False  # a transfer is being loaded: what comes meanwhile waits in the buffer
        self.ended = False  # the link ended meanwhile
        self.held = False  # nothing more is read from the link meanwhile
        self.life_shown_s = -1
        self.last_io_us = 0
        self.down_since_us = 0
        self.last_ack_us = 0

    # --- becoming and ceasing -----------------------------------------------------------------------------------

    def follow(self) -> None:
        """Start to follow the master that the configuration names."""
        self.disconnect()
        self._go(CONNECT, "told to follow this master")
        self.down_since_us = self.node.now_us
        self.connect()

    def take_own_history(self) -> None:
        """A master becomes a replica: what it holds is a history too, which the new master may know."""
        self.has_history = True
        self.node.log(
            "*",
            "Before turning into a replica, using my own master parameters to synthesize a cached master: "
            "I may be able to synchronize with the new master with just a partial transfer.",
        )

    def stop(self) -> None:
        """Cease to follow."""
        self.disconnect()
        self._go(NONE, "no longer a replica")

    def _go(self, state: str, reason: str) -> None:
        """Enter a state of the link."""
        before, self.state = self.state, state
        node = self.node
        if node.observers and state != before:
            node.emit(LinkStateChanged(node.now_us, self.master, before, state, self.step, reason))

    @property
    def master(self) -> str:
        """The master's address, as far as there is one."""
        address = self.node.config.replicaof
        return "" if address is None else f"{address.host}:{address.port}"

    def disconnect(self) -> None:
        """Drop the link to the master, if there is one."""
        node = self.node
        if self.client is not None:
            if self.client.queue is not None:
                node.transactions.discard(self.client)
            node.clients.pop(self.client.id, None)
            node.master.selected = self.client.db.index  # where the stream goes on, if it does
            self.client = None
        if self.link:
            node.dialled.pop(self.link, None)
            node.effects.append(Hangup(self.link))
            self.link = 0
        self.buffer.clear()
        self.stream = None
        self.ended = self.held = False
        if self.transfer is not None:
            transfer, self.transfer = self.transfer, None
            transfer.abort()

    def lost(self, reason: str) -> None:
        """The link failed: try again at the next chance."""
        if self.state == CONNECTED:
            self.node.log("*", "Connection with master lost.")
            self.node.log("*", "Caching the disconnected master state.")
        elif reason:
            self.node.log("#", reason)
        before = self.state
        self.disconnect()
        if self.state != NONE:
            self._go(CONNECT, reason)
            if before == CONNECTED:
                self.down_since_us = self.node.now_us
            if before in (CONNECTED, TRANSFER) and not self.node.exiting:
                master = self.node.config.replicaof
                assert master is not None
                after = " after failure" if before == TRANSFER else ""
                self.node.log("*", f"Reconnecting to MASTER {master.host}:{master.port}{after}")
                self.connect()
        self.node.update_role()

    def connect(self) -> None:
        """Dial the master."""
        node = self.node
        master = node.config.replicaof
        assert master is not None
        node.log("*", f"Connecting to MASTER {master.host}:{master.port}")
        node.log("*", "MASTER <-> REPLICA sync started")
        self.link = node.next_dialled
        node.next_dialled += 1
        node.dialled[self.link] = self
        self.step = ""
        self._go(CONNECTING, "dialling")
        self.last_io_us = node.now_us
        source = node.config.bind_source_addr or ""
        node.effects.append(Dial(self.link, master.host, master.port, node.config.tls_replication, source))

    # --- what the world tells -----------------------------------------------------------------------------------

    def opened(self) -> None:
        """The connection stands."""
        self.node.log("*", "Non blocking connect for SYNC fired the event.")
        self._go(HANDSHAKE, "the connection stands")
        self._send_step("ping")

    def refused(self, error: str) -> None:
        """The connection could not be made."""
        self.lost(f"Error condition on socket for SYNC: {error}")

    def closed(self) -> None:
        """The master hung up."""
        if self.occupied:
            self.ended = True
        elif self.transfer is not None:
            self.transfer.cut()
            self.lost("")
        else:
            self.lost("I/O error reading from master" if self.state != HANDSHAKE else "Master closed the link")

    def received(self, data: bytes) -> None:
        """Bytes came from the master."""
        self.last_io_us = self.node.now_us
        self.node.stats.net_repl_input_bytes += len(data)
        if self.state == CONNECTED:
            self._apply(data)
            return
        self.buffer += data
        if self.occupied:
            if len(self.buffer) >= UNREAD_BYTES_MAX and not self.held:
                self.held = True
                self.node.effects.append(PauseReading(self.link))
            return
        while self.state == HANDSHAKE:
            end = self.buffer.find(b"\n")
            if end < 0:
                if len(self.buffer) > LINE_MAX:
                    self.lost("The master's answer is too long")
                return
            line = bytes(self.buffer[:end]).rstrip(b"\r")
            del self.buffer[: end + 1]
            if line:
                self._answer(line)
        while self.state == TRANSFER and self.buffer:
            self._receive()
        if self.state == CONNECTED and self.buffer:
            rest = bytes(self.buffer)
            self.buffer.clear()
            self._apply(rest)
        if self.ended:
            self.closed()

    # --- handshake ----------------------------------------------------------------------------------------------

    def _send_step(self, step: str) -> None:
        node, config = self.node, self.node.config
        self.step = step
        if step == "auth" and not config.masterauth:
            self._send_step("port")
            return
        if step == "ip" and not config.replica_announce_ip:
            self._send_step("capa")
            return
        if step == "ping":
            argv = [b"PING"]
        elif step == "auth":
            user = [config.masteruser.encode()] if config.masteruser else []
            argv = [b"AUTH", *user, config.masterauth]
        elif step == "port":
            port = config.replica_announce_port or (config.tls_port if config.tls_replication else config.port)
            argv = [b"REPLCONF", b"listening-port", b"%d" % port]
        elif step == "ip":
            argv = [b"REPLCONF", b"ip-address", config.replica_announce_ip.encode()]
        elif step == "capa":
            argv = [b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]
        else:
            argv = self._psync()
        node.send(self.link, encode_command(argv))

    def _psync(self) -> list[bytes]:
        replication = self.node.replication
        takes_over = [b"FAILOVER"] if self.node.failover.under_way else []
        if self.has_history:
            want = replication.offset + 1
            shown = replication.replid.decode()
            self.node.log("*", f"Trying a partial resynchronization (request {shown}:{want}).")
            self._ask(shown, want, "the data that is held belongs to this history, up to the byte before")
            return [b"PSYNC", replication.replid, b"%d" % want, *takes_over]
        self.node.log("*", "Partial resynchronization not possible (no cached master)")
        self._ask("?", -1, "the data that is held belongs to no history")
        return [b"PSYNC", b"?", b"-1", *takes_over]

    def _ask(self, replid: str, offset: int, reason: str) -> None:
        node = self.node
        if node.observers:
            node.emit(ResyncRequested(node.now_us, self.master, replid, offset, reason))

    def _answer(self, line: bytes) -> None:
        node = self.node
        failed = line[:1] == b"-"
        shown = line.decode("utf-8", "replace")
        if self.step == "ping":
            if failed and not line.startswith((b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted")):
                self.lost(f"Error reply to PING from master: '{shown}'")
                return
            node.log("*", "Master replied to PING, replication can continue...")
            self._send_step("auth")
        elif self.step == "auth":
            if failed:
                self.lost(f"Unable to AUTH to MASTER: {shown}")
                return
            self._send_step("port")
        elif self.step in ("port", "ip", "capa"):
            if failed:
                node.log("*", f"(Non critical) Master does not understand REPLCONF {self.step}: {shown}")
            self._send_step({"port": "ip", "ip": "capa", "capa": "psync"}[self.step])
        else:
            self._psync_answer(line)

    def _psync_answer(self, line: bytes) -> None:
        node, replication = self.node, self.node.replication
        shown = line.decode("utf-8", "replace")
        if not node.failover.answered(line.startswith((b"+FULLRESYNC ", b"+CONTINUE"))):
            return
        if line.startswith(b"+FULLRESYNC "):
            words = line.split(b" ")
            if len(words) != 3 or len(words[1]) != 40 or not words[2].isdigit():
                self.lost("Master replied with wrong +FULLRESYNC syntax.")
                return
            self.transfer = Transfer(node, words[1], int(words[2]))
            node.log("*", f"Full resync from master: {words[1].decode()}:{self.transfer.offset}")
            self._go(TRANSFER, "the master sends a snapshot, and the stream from the offset it names")
        elif line.startswith(b"+CONTINUE"):
            node.log("*", "Successful partial resynchronization with master.")
            new_id = line[9:].strip()
            if len(new_id) == 40 and new_id != replication.replid:
                replication.replid2 = replication.replid
                replication.second_replid_offset = replication.offset + 1
                replication.replid = new_id
                node.log("*", f"Master replication ID changed to {new_id.decode()}")
                replication.tell_id("the master goes on with this history under a new ID")
                replication.drop_replicas("the master's ID changed: it has to learn the new one")
            self._connected("partial", 0)
            node.log("*", "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")
        elif line.startswith((b"-NOMASTERLINK", b"-LOADING")):
            self.lost(f"Master is currently unable to PSYNC but should be in the future: {shown}")
        else:
            self.lost(f"Unexpected reply to PSYNC from master: {shown}")

    def _connected(self, how: str, size_bytes: int) -> None:
        """The stream begins: a client stands for the master from here on."""
        node = self.node
        client = Client(node, node.next_client_id, self.link)
        node.next_client_id += 1
        client.kind = "dialled"
        master = node.config.replicaof
        assert master is not None
        client.peer = f"{master.host}:{master.port}"
        client.flags = flags.MASTER | flags.REPLY_OFF
        client.user = None
        client.update_gated()
        node.clients[client.id] = client
        if node.master.selected >= 0:
            client.db = node.space.databases[node.master.selected]
        self.client = client
        self.stream = Stream(node)
        self._go(CONNECTED, f"{how} resynchronization finished: the stream follows")
        self.has_history = True
        node.replication.need_backlog(keep_id=True)
        node.update_role()
        if node.observers:
            replid, offset = node.replication.replid.decode(), node.replication.offset
            keys = sum(len(db.entries) for db in node.space.databases)
            node.emit(ResyncFinished(node.now_us, self.master, how, replid, offset, size_bytes, keys))
        self.acknowledge()

    # --- transfer -----------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Hand what came to the transfer; after its end the stream follows."""
        transfer, data = self.transfer, bytes(self.buffer)
        assert transfer is not None
        self.buffer.clear()
        self.occupied = True
        try:
            rest = transfer.receive(data)
        except TransferError as error:
            self.lost(str(error))
            return
        finally:
            self.occupied = False
        if self.held:
            self.held = False
            self.node.effects.append(ResumeReading(self.link))
        if rest is not None:
            self.transfer = None
            self.buffer[:0] = rest
            self._synchronized(transfer)

    def _synchronized(self, transfer: Transfer) -> None:
        """All of the master's data is loaded: its history is ours."""
        node, replication = self.node, self.node.replication
        replication.replid = transfer.replid
        replication.clear_second_id()
        replication.offset = transfer.offset
        replication.tell_id("all of the master's data was loaded: its history is ours")
        replication.drop_backlog("it belongs to the history that was given up")
        node.master.selected = transfer.stream_db
        self._connected("full", transfer.read_bytes)
        node.log("*", "MASTER <-> REPLICA sync: Finished with success")
        if node.config.appendonly and not node.aof.enable():
            node.log(
                "#",
                "FATAL: this replica instance finished the synchronization with its master, but the AOF can't be "
                "turned on. Exiting now.",
            )
            node.end(Exit(1))

    def give_up_history(self) -> None:
        """Take the master's data for ours: what we held can be continued by nobody any more."""
        self.has_history = False
        self.node.replication.drop_replicas("our data is about to be another: they have to take it too")

    def show_life(self) -> None:
        """Tell the master, about once a second, that we are alive though we answer nothing yet."""
        now_s = self.node.stopwatch() // 1_000_000
        if now_s != self.life_shown_s and self.link:
            self.life_shown_s = now_s
            self.node.send(self.link, b"\n")

    # --- the stream ---------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Apply what came while the stream was held."""
        if self.stream is not None and self.stream.request.buffer:
            self._apply(b"")

    def _apply(self, data: bytes) -> None:
        """Run what the master sent, and pass the same bytes on to our own replicas."""
        assert self.stream is not None
        try:
            self.stream.receive(data)
        except ProtocolError as error:
            self.lost(f"Protocol error from master: {error.args[0].decode('utf-8', 'replace')}")

    def acknowledge(self) -> None:
        """Tell the master how far we are."""
        node = self.node
        self.last_ack_us = node.now_us
        argv = [b"REPLCONF", b"ACK", b"%d" % node.replication.offset]
        if node.config.appendonly:
            argv += [b"FACK", b"%d" % node.replication.fsynced_offset]
        node.send(self.link, encode_command(argv))

    # --- time ---------------------------------------------------------------------------------------------------

    def cron(self) -> None:
        """Dial again, give up what takes too long, acknowledge once a second."""
        node = self.node
        timeout_us = node.config.repl_timeout * 1_000_000
        idle_us = node.now_us - self.last_io_us
        if self.state == CONNECT:
            self.connect()
        elif self.state in (CONNECTING, HANDSHAKE) and idle_us > timeout_us:
            self.lost("Timeout connecting to the MASTER...")
        elif self.state == TRANSFER and idle_us > timeout_us:
            self.lost(
                "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' "
                "parameter in redis.conf to a larger value."
            )
        elif self.state == CONNECTED:
            if idle_us > timeout_us:
                node.log("*", "MASTER timeout: no data nor PING received...")
                self.lost(f"no data nor PING for more than {node.config.repl_timeout} s (repl-timeout)")
            elif node.now_us - self.last_ack_us >= 1_000_000:
                self.acknowledge()


__all__ = ["Replica"]
