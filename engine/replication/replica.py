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
from engine import dispatch
from engine.client import Client
from engine.effects import Dial, Exit, Hangup, Rename, Write
from engine.events import LinkStateChanged, ResyncFinished, ResyncRequested
from engine.keyspace import EXPIRE_HIDE, EXPIRE_IGNORE, Keyspace
from engine.rdb.errors import CorruptRdbError
from engine.rdb.loader import Loader
from engine.rdb.objects import Limits
from engine.resp import Limits as RequestLimits
from engine.resp import ProtocolError, Request, encode_command

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


class Replica:
    """The node as somebody's replica."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.state = NONE
        self.link = 0
        self.step = ""
        self.client: Client | None = None  # stands for the master once connected
        self.has_history = False  # the data we hold is a known history's: we may ask to continue it
        self.buffer = bytearray()
        self.request = Request()
        self.transfer_size: int | None = None
        self.transfer_mark = b""
        self.searched = 0  # bytes of the transfer in which the end mark does not begin
        self.initial_offset = 0
        self.master_id = b""
        self.last_io_us = 0
        self.down_since_us = 0
        self.last_ack_us = 0
        self.unapplied = bytearray()  # raw bytes of a transaction that is not complete yet

    # --- becoming and ceasing -----------------------------------------------------------------------------------

    def follow(self) -> None:
        """Start to follow the master that the configuration names."""
        self.disconnect()
        self._go(CONNECT, "told to follow this master")
        self.down_since_us = self.node.now_us
        self.connect()

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
                node.discard_transaction(self.client)
            node.clients.pop(self.client.id, None)
            node.master.selected = self.client.db.index  # where the stream goes on, if it does
            self.client = None
        if self.link:
            node.dialled.pop(self.link, None)
            node.effects.append(Hangup(self.link))
            self.link = 0
        self.buffer.clear()
        self.request = Request()
        self.unapplied.clear()
        self.transfer_size = None
        self.transfer_mark = b""
        self.searched = 0

    def lost(self, reason: str) -> None:
        """The link failed: try again at the next chance."""
        if self.state == CONNECTED:
            self.node.log("*", "Connection with master lost.")
            self.node.log("*", "Caching the disconnected master state.")
        elif reason:
            self.node.log("#", reason)
        was_connected = self.state == CONNECTED
        self.disconnect()
        if self.state != NONE:
            self._go(CONNECT, reason)
            if was_connected:
                self.down_since_us = self.node.now_us
                master = self.node.config.replicaof
                assert master is not None
                self.node.log("*", f"Reconnecting to MASTER {master.host}:{master.port}")
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
        self.lost("I/O error reading from master" if self.state != HANDSHAKE else "Master closed the link")

    def received(self, data: bytes) -> None:
        """Bytes came from the master."""
        self.last_io_us = self.node.now_us
        self.node.stats.net_repl_input_bytes += len(data)
        if self.state == CONNECTED:
            self._apply(data)
            return
        self.buffer += data
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
        if self.state == TRANSFER:
            self._transfer()
        elif self.state == CONNECTED and self.buffer:
            rest = bytes(self.buffer)
            self.buffer.clear()
            self._apply(rest)

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
            self.master_id, self.initial_offset = words[1], int(words[2])
            node.log("*", f"Full resync from master: {words[1].decode()}:{self.initial_offset}")
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

    def _transfer(self) -> None:
        node, buffer = self.node, self.buffer
        if self.transfer_size is None and not self.transfer_mark:
            while buffer[:1] == b"\n":
                del buffer[:1]  # the master is still busy, and alive
            end = buffer.find(b"\n")
            if end < 0:
                return
            line = bytes(buffer[:end]).rstrip(b"\r")
            del buffer[: end + 1]
            if line[:1] == b"-":
                self.lost(f"MASTER aborted replication with an error: {line[1:].decode('utf-8', 'replace')}")
                return
            if line.startswith(b"$EOF:") and len(line) == 45:
                self.transfer_mark = line[5:]
                node.log("*", "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to disk")
            elif line[:1] == b"$" and line[1:].isdigit():
                self.transfer_size = int(line[1:])
                node.log("*", f"MASTER <-> REPLICA sync: receiving {self.transfer_size} bytes from master to disk")
            else:
                self.lost(
                    "Bad protocol from MASTER, the first byte is not '$' (we received "
                    f"'{line[:64].decode('utf-8', 'replace')}'), are you sure the host and port are right?"
                )
                return
        if self.transfer_mark:
            at = buffer.find(self.transfer_mark, self.searched)
            if at < 0:
                self.searched = max(0, len(buffer) - len(self.transfer_mark) + 1)
                return
            self.searched = 0
            data, rest = bytes(buffer[:at]), bytes(buffer[at + len(self.transfer_mark) :])
        else:
            assert self.transfer_size is not None
            if len(buffer) < self.transfer_size:
                return
            data, rest = bytes(buffer[: self.transfer_size]), bytes(buffer[self.transfer_size :])
        buffer.clear()
        self.transfer_size, self.transfer_mark = None, b""
        if self._load(data) and rest:
            self._apply(rest)

    def _load(self, data: bytes) -> bool:
        node, replication = self.node, self.node.replication
        node.aof.disable()  # it begins anew, with the data that is about to come
        # With swapdb the data set that is held stays until all of the new one is there.
        aside = node.config.repl_diskless_load == "swapdb"
        if not aside:
            self._give_up_history()
            node.log("*", "MASTER <-> REPLICA sync: Flushing old data")
            node.flush(node.space.databases)
            node.scripting.flush_functions()
        node.log("*", "MASTER <-> REPLICA sync: Loading DB in memory")
        space = self._space_aside() if aside else node.space
        loader = Loader(space, Limits.of(node.config), drop_expired=False, checksum=node.config.rdbchecksum)
        try:
            loader.feed(data)
            loader.finish()
        except CorruptRdbError as error:
            if aside:
                node.log("*", "MASTER <-> REPLICA sync: Discarding temporary DB in background")
            else:
                node.flush(node.space.databases)
            self.lost(f"Failed trying to load the MASTER synchronization DB: {error}")
            return False
        if aside:
            self._give_up_history()
            node.log("*", "MASTER <-> REPLICA sync: Swapping active DB with loaded DB")
            node.flush(node.space.databases)
            for mine, new in zip(node.space.databases, space.databases, strict=True):
                mine.swap(new)
                for key in mine.blocked:
                    node.key_ready(mine, key)
            node.space.used += space.used
            node.scripting.flush_functions()
            node.log("*", "MASTER <-> REPLICA sync: Discarding old DB in background")
        node.load_functions(loader.functions, replace=True)
        self._keep_file(data)
        replication.replid = self.master_id
        replication.clear_second_id()
        replication.offset = self.initial_offset
        replication.tell_id("all of the master's data was loaded: its history is ours")
        replication.drop_backlog("it belongs to the history that was given up")
        db = loader.aux.get(b"repl-stream-db", b"0")
        node.master.selected = int(db) if db.isdigit() else 0
        self._connected("full", len(data))
        node.log("*", "MASTER <-> REPLICA sync: Finished with success")
        if node.config.appendonly and not node.aof.enable():
            node.log(
                "#",
                "FATAL: this replica instance finished the synchronization with its master, but the AOF can't be "
                "turned on. Exiting now.",
            )
            node.exiting = True
            node.effects.append(Exit(1))
        return True

    def _give_up_history(self) -> None:
        """Take the master's data for ours: what we held can be continued by nobody any more."""
        self.has_history = False
        self.node.replication.drop_replicas("our data is about to be another: they have to take it too")

    def _space_aside(self) -> Keyspace:
        """Return an empty keyspace like the node's, to load into."""
        mine = self.node.space
        space = Keyspace(len(mine.databases), mine.rng)
        space.now_ms, space.lru_clock, space.touch = mine.now_ms, mine.lru_clock, mine.touch
        return space

    def _keep_file(self, data: bytes) -> None:
        """Keep the master's snapshot as ours: it is what we hold now."""
        node = self.node
        if node.config.repl_diskless_load != "disabled":
            return
        temporary = f"temp-{node.now_us // 1_000_000}.{node.facts()['pid']}.rdb"
        try:
            node.perform(Write(temporary, data))
            node.perform(Rename(temporary, node.persistence.path))
        except OSError as error:
            node.log("#", f"Failed trying to rename the temp DB into {node.persistence.path}: {error.strerror}")
            return
        node.persistence.saved_elsewhere()

    # --- the stream ---------------------------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """Whether the stream has to wait: a script takes too long, or clients are paused."""
        return self.node.busy or self.node.pauses.active

    def resume(self) -> None:
        """Apply what came while the stream was held."""
        if self.client is not None and self.request.buffer and not self.held:
            self._apply(b"")

    def _apply(self, data: bytes) -> None:
        """Run what the master sent, and pass the same bytes on to our own replicas."""
        node = self.node
        self.request.buffer += data
        limits = RequestLimits(node.config.proto_max_bulk_len)
        while self.client is not None and not self.held:
            waiting = len(self.request.buffer)
            before = bytes(self.request.buffer) if not self.request.missing and waiting < 64 else b""
            try:
                argv = self.request.next(limits)
            except ProtocolError as error:
                self.lost(f"Protocol error from master: {error.args[0].decode('utf-8', 'replace')}")
                return
            if argv is None:
                return
            if argv:
                raw = encode_command(argv)
            else:
                raw = before[: waiting - len(self.request.buffer)]
            self.unapplied += raw
            if argv:
                self._run(argv)
            client = self.client
            if client is not None and not client.flags & flags.MULTI:
                node.replication.pass_on(bytes(self.unapplied))
                self.unapplied.clear()

    def _run(self, argv: list[bytes]) -> None:
        node, client = self.node, self.client
        assert client is not None
        if argv[0].lower() == b"replconf" and len(argv) > 1 and argv[1].lower() == b"getack":
            self.acknowledge(len(self.unapplied))
            return
        space = node.space
        before, space.expire_mode = space.expire_mode, EXPIRE_IGNORE
        node.mark_us = node.stopwatch()
        dispatch.process(node, client, iter((argv,)))
        space.expire_mode = EXPIRE_HIDE if node.is_replica else before

    def acknowledge(self, ahead: int = 0) -> None:
        """Tell the master how far we are; `ahead` counts bytes that are applied but not yet counted."""
        node = self.node
        self.last_ack_us = node.now_us
        argv = [b"REPLCONF", b"ACK", b"%d" % (node.replication.offset + ahead)]
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
