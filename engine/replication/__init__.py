"""Replication: identity, offsets, the backlog, both roles of PSYNC.

A history consists of an ID and an offset: the ID identifies the history of the data set, and the offset counts the
bytes of the stream that produced it. A promoted node generates a new ID and keeps the old one up to its own offset,
so that replicas of the old master can continue with it.

    backlog   the last bytes of the stream
    master    the node's replicas, and PSYNC's decision
    replica   the node as a replica: the handshake
    transfer  the snapshot that a replica receives
    stream    the commands after the snapshot
    peer      what the other end sends, checked and converted
    psync     whether a replica can continue its history, and why
    roles     becoming a master or a replica
    failover  FAILOVER: a replica takes over, and no write is lost

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.clients import client as flags
from engine.clients.blocking import Waiting
from engine.clients.client import BLOCKED_WAIT, BLOCKED_WAITAOF, Blocking, Client
from engine.clients.connections import Connections
from engine.clients.ending import Ending
from engine.clients.propagation import Propagation
from engine.clients.replica_link import ONLINE, ReplicaLink
from engine.core import Core
from engine.effects import SIGABRT, Exit
from engine.observe.events import (
    BacklogCreated,
    BacklogFreed,
    Condition,
    ReplicationIdChanged,
    WaitAnswered,
    WriteRefused,
)
from engine.protocol.errors import ReplyError, as_logged
from engine.protocol.resp import Argv
from engine.replication import peer
from engine.replication.backlog import Backlog

if TYPE_CHECKING:
    from engine.replication.master import MasterRole
    from engine.replication.replica import ReplicaRole

NO_ID = b"0" * 40
PROCESS_COMMAND = "server.c, processCommand()"
NO_LOCAL_AOF = b"ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."


class Replication:
    """The replication state of a node."""

    master: "MasterRole"
    replica: "ReplicaRole"

    def __init__(
        self, core: Core, propagation: Propagation, waiting: Waiting, connections: Connections, ending: Ending
    ) -> None:
        self.offset = 0  # of the stream of changes, in bytes
        self.fsynced_offset = 0  # of the data that is durable in the append-only file
        self.config = core.config
        self.clock = core.clock
        self.rng = core.rng
        self.output = core.output
        self.space = core.space
        self.stats = core.stats
        self.events = core.events
        self.propagation = propagation
        self.waiting = waiting
        self.connections = connections
        self.ending = ending
        self.replid = core.rng.hex(40)
        self.replid2 = NO_ID
        self.second_replid_offset = -1
        self.backlog: Backlog | None = None

    # --- identity -----------------------------------------------------------------------------------------------

    def change_id(self, reason: str) -> None:
        """Start a new history; `reason` is for observers."""
        self.replid = self.rng.hex(40)
        self.clear_second_id()
        self.tell_id(reason)

    def tell_id(self, reason: str) -> None:
        """Report a change of the replication ID to observers."""
        if self.events.observers:
            former = "" if self.replid2 == NO_ID else self.replid2.decode()
            now_us, second = self.clock.now_us, self.second_replid_offset
            self.events.emit(ReplicationIdChanged(now_us, self.replid.decode(), former, second, self.offset, reason))

    def make_backlog(self, reason: str) -> None:
        """Start a backlog at the current offset."""
        self.backlog = Backlog(self.config.repl_backlog_size, self.offset)
        if self.events.observers:
            self.events.emit(
                BacklogCreated(self.clock.now_us, self.backlog.size_bytes, self.backlog.first_offset, reason)
            )

    def clear_second_id(self) -> None:
        """Forget the second replication ID."""
        self.replid2 = NO_ID
        self.second_replid_offset = -1

    def shift_id(self) -> None:
        """Generate a new replication ID, and keep the old one as the second ID (a promotion)."""
        self.replid2 = self.replid
        self.second_replid_offset = self.offset + 1
        self.replid = self.rng.hex(40)
        self.output.log(
            "*",
            f"Setting secondary replication ID to {self.replid2.decode()}, valid up to offset: "
            f"{self.second_replid_offset}. New replication ID is {self.replid.decode()}",
        )
        self.tell_id("promoted: a new history begins here, and goes on from the former one")

    def need_backlog(self, keep_id: bool = False) -> None:
        """Create a backlog if there is none; a master's first one starts a history."""
        if self.backlog is not None:
            return
        self.make_backlog("this stream goes on from here" if keep_id else "the first replica came")
        if not keep_id:
            self.change_id("the first backlog: what was written before is in no history")
            self.output.log(
                "*",
                f"Replication backlog created, my new replication IDs are '{self.replid.decode()}' and "
                f"'{self.replid2.decode()}'",
            )
        self.propagation.update()

    def free_backlog(self) -> None:
        """Drop the backlog after a long time without replicas. Later changes belong to no history."""
        ttl = self.config.repl_backlog_ttl
        self.drop_backlog(f"no replica for more than {ttl} s (repl-backlog-ttl)")
        self.change_id("the backlog was freed: what changes from now on is in no history")
        self.output.log("*", f"Replication backlog freed after {ttl} seconds without connected replicas.")
        self.propagation.update()

    def drop_backlog(self, reason: str) -> None:
        """Delete the backlog."""
        backlog = self.backlog
        self.backlog = None
        if self.events.observers and backlog is not None:
            self.events.emit(BacklogFreed(self.clock.now_us, backlog.first_offset, backlog.end, reason))

    def saved_identity(self) -> tuple[int, bytes, int] | None:
        """Return (selected database, replication ID, offset) for a snapshot; None without a history."""
        if not self.config.is_replica:
            if self.backlog is None:
                return None
            return max(0, self.master.selected), self.replid, self.offset
        replica = self.replica
        if replica.client is not None:
            return replica.client.db.index, self.replid, self.offset
        return (max(0, self.master.selected), self.replid, self.offset) if replica.has_history else None

    def loaded_identity(self, aux: dict[bytes, bytes], expired: Sequence[tuple[int, bytes]] = ()) -> None:
        """Adopt the replication ID and offset of a loaded snapshot.

        Replicas still have the keys that had `expired` during loading; each is given with its database.
        """
        identity = peer.identity(aux)
        if identity is None:
            return
        replid, offset = identity.replid, identity.offset
        if self.config.is_replica:
            self.replid, self.offset = replid, offset
            self.go_on_in(identity.stream_db)
            self.replica.has_history = True
            self.replica.client_id = self.connections.take_id()
            self.tell_id("loaded from the snapshot: asked for when the master is reached")
        elif not self.config.appendonly:
            # The snapshot of a master that was shut down cleanly: its replicas may continue with its old ID.
            self.replid2 = replid
            self.second_replid_offset = offset + 1
            self.offset = offset
            self.tell_id("loaded from the snapshot: its history is the former one, and the AOF is off")
            self.make_backlog("replicas of the history in the snapshot may go on with it")
            self.master.no_replicas_since_us = self.clock.monotonic_us
            self.propagation.update()
            for index, key in expired:
                self.master.feed(index, [self.config.deletion, key])

    def go_on_in(self, db: int) -> None:
        """Store the database in which the master's stream continues; one that does not exist here counts as 0."""
        self.master.selected = db if 0 <= db < len(self.space.databases) else 0

    # --- the stream ---------------------------------------------------------------------------------------------

    def pass_on(self, data: bytes) -> None:
        """Count bytes of the master's stream, and pass them unchanged to our own replicas."""
        self.need_backlog(keep_id=True)
        self.master.send(data)

    def feed_raw(self, argv: Argv) -> None:
        """Send a command to the replicas only (DEBUG REPLICATE)."""
        if self.backlog is not None:
            self.master.feed(-1, argv)

    def drop_replicas(self, reason: str) -> None:
        """Disconnect our replicas; they have to send PSYNC again."""
        for client in list(self.master.replicas.values()):
            assert client.replica is not None
            client.replica.leaving = client.replica.leaving or reason
            self.connections.close_now(client)

    @property
    def backlog_bytes(self) -> int:
        """The size of the data in the backlog."""
        return self.backlog.length if self.backlog is not None else 0

    @property
    def buffer_bytes(self) -> int:
        """The total size of the backlog and the replicas' buffers, which share memory."""
        if self.backlog is None:
            return 0
        waiting = [
            sum(map(len, link.pending)) + sum(map(len, client.out)) + client.out_bytes
            for client, link in self.links()
        ]
        return max([self.backlog_bytes, *waiting])

    @property
    def unshared_bytes(self) -> int:
        """The part of `buffer_bytes` that is not also counted as output of the replicas' clients."""
        if self.backlog is None:
            return 0
        replicas = self.master.replicas.values()
        return self.buffer_bytes - sum(client.out_bytes + sum(map(len, client.out)) for client in replicas)

    def diverges(self, client: Client, error: ReplyError, name: str = "") -> None:
        """Log that a command of a replication stream or an append-only file failed: the data sets have probably
        diverged.

        `name` is the command's name if it is not the client's current command.
        """
        to_master = bool(client.flags & flags.MASTER)
        loading = bool(client.flags & flags.INTERNAL)
        sender, receiver = ("replica", "master") if to_master else ("master", "replica")
        if loading:
            sender, receiver = "server", "AOF-loading-client"
        name = name or (client.current.name.decode() if client.current is not None else "<unknown>")
        self.output.log(
            "#",
            f"== CRITICAL == This {sender} is sending an error to its {receiver}: "
            f"'{as_logged(error)}' after processing the command '{name}'",
        )
        self.stats.unexpected_error_replies += 1
        behavior = self.config.propagation_error_behavior
        if (to_master and self.config.replica_read_only and behavior != "ignore") or (
            loading and behavior == "panic"
        ):
            why = f"This {sender} panicked sending an error to its {receiver} after processing the command '{name}'"
            self.ending.fail(Exit(1, crash=why, signal=SIGABRT))

    # --- refusing writes ----------------------------------------------------------------------------------------

    @property
    def too_few_replicas(self) -> bool:
        """Whether writes are refused because of min-replicas-to-write."""
        wanted = self.config.min_replicas_to_write
        return bool(
            wanted
            and self.config.min_replicas_max_lag
            and self.config.replicaof is None
            and self.master.good_replicas() < wanted
        )

    def tell_refused(self, client: Client, error: bytes) -> None:
        """Report to observers that a command was refused because of replication, and why."""
        config = self.config
        if error.startswith(b"NOREPLICAS"):
            good, lag, wanted = self.master.good_replicas(), config.min_replicas_max_lag, config.min_replicas_to_write
            held = f"{good} of {len(self.master.replicas)} replicas are online and were heard of in the last {lag} s"
            text = f"min-replicas-to-write is {wanted}, and {held} (min-replicas-max-lag)"
            conditions = [Condition(False, text, "replication.c, checkGoodReplicasStatus()")]
        elif error.startswith(b"READONLY"):
            text = f"this node is a replica of {self.replica.master}, and replica-read-only is yes"
            conditions = [
                Condition(False, text, PROCESS_COMMAND),
                Condition(False, "the command comes from a client, not from the master", PROCESS_COMMAND),
            ]
        elif error.startswith(b"MASTERDOWN"):
            master, state = self.replica.master, self.replica.link_state
            conditions = [
                Condition(False, f"the link to the master {master} is down: {state}", PROCESS_COMMAND),
                Condition(False, "replica-serve-stale-data is no", PROCESS_COMMAND),
            ]
        else:
            return
        name = client.current.name.decode() if client.current is not None else ""
        self.events.emit(WriteRefused(self.clock.now_us, client.id, name, error.decode(), tuple(conditions)))

    # --- WAIT ---------------------------------------------------------------------------------------------------

    def acknowledged(self, client: Client) -> int:
        """Return how many replicas have acknowledged a client's last write (WAIT)."""
        return sum(link.state == ONLINE and link.ack_offset >= client.written_offset for _, link in self.links())

    def fsynced(self, client: Client) -> tuple[int, int]:
        """Return the number of append-only files with a client's last write, our own and the replicas' (WAITAOF)."""
        local = self.config.appendonly and self.fsynced_offset >= client.written_offset
        replicas = sum(link.state == ONLINE and link.aof_offset >= client.written_offset for _, link in self.links())
        return int(local), replicas

    def links(self) -> list[tuple[Client, ReplicaLink]]:
        """Return the replicas and the state of their links."""
        replicas = self.master.replicas.values()
        return [(client, client.replica) for client in replicas if client.replica is not None]

    def serve_waiting(self) -> None:
        """Reply to clients whose WAIT or WAITAOF is satisfied; request the acknowledgements needed by others."""
        for client in [held for held in self.waiting.clients.values() if held.blocking is not None]:
            blocking = client.blocking
            assert blocking is not None
            if blocking.kind == BLOCKED_WAIT:
                wanted = blocking.data
                assert isinstance(wanted, int)
                reached = self.acknowledged(client)
                if reached >= wanted:
                    self.tell_waited(client, BLOCKED_WAIT, wanted, reached, "enough replicas have it")
                    self.waiting.answer(client, reached)
            elif blocking.kind == BLOCKED_WAITAOF:
                assert isinstance(blocking.data, tuple)
                if blocking.data[0] and not self.config.appendonly:
                    self.waiting.unblock_with_error(client, ReplyError(NO_LOCAL_AOF))
                    continue
                local, replicas = self.fsynced(client)
                if local >= blocking.data[0] and replicas >= blocking.data[1]:
                    self.tell_waited(client, BLOCKED_WAITAOF, blocking.data[1], replicas, "enough disks have it")
                    self.waiting.answer(client, [local, replicas])
        if self.waiting.ask_for_acks:
            self.waiting.ask_for_acks = False
            if self.master.replicas:
                self.master.ask_for_acks()

    def end_waiting(self, client: Client, why: Blocking) -> None:
        """Reply to a WAIT or WAITAOF that has timed out with the number reached."""
        reply: Any
        if isinstance(why.data, tuple):
            local, reached = self.fsynced(client)
            wanted, reply = why.data[1], [local, reached]
        else:
            wanted, reply = why.data, self.acknowledged(client)
            reached = reply
        assert isinstance(wanted, int)
        self.tell_waited(client, why.kind, wanted, reached, "the time is up")
        self.waiting.answer(client, reply)

    def tell_waited(self, client: Client, kind: str, wanted: int, reached: int, reason: str) -> None:
        """Report the result of a client's WAIT or WAITAOF to observers."""
        if self.events.observers:
            self.events.emit(
                WaitAnswered(self.clock.now_us, client.id, kind, wanted, reached, client.written_offset, reason)
            )


__all__ = ["Replication"]
