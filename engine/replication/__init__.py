"""Replication: identity, offsets, the backlog, both roles of PSYNC.

A history is an ID and an offset: the ID names the data set's story, the offset counts the bytes of the stream that
made it. A node that is promoted starts a new ID and remembers the old one up to its own offset, so that replicas of
the old master can go on with it.

    backlog   the last bytes of the stream
    master    the node's replicas, and PSYNC's decision
    replica   the node as a replica

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine import client as flags
from engine.blocking import unblock_with_error
from engine.client import BLOCKED_WAIT, BLOCKED_WAITAOF
from engine.effects import Exit
from engine.errors import ReplyError
from engine.events import BacklogCreated, BacklogFreed, Condition, ReplicationIdChanged, WaitAnswered, WriteRefused
from engine.replication.backlog import Backlog
from engine.replication.master import ONLINE, ReplicaLink
from engine.replication.replica import CONNECT, CONNECTED, CONNECTING, NONE, TRANSFER
from engine.resp import Argv

if TYPE_CHECKING:
    from engine.client import Blocking, Client
    from engine.node import Node

NO_ID = b"0" * 40


SIGABRT = 6
NO_LOCAL_AOF = b"ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."


class Replication:
    """A node's place among masters and replicas."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.replid = node.rng.hex(40)
        self.replid2 = NO_ID
        self.second_replid_offset = -1
        self.offset = 0
        self.fsynced_offset = 0
        self.backlog: Backlog | None = None
        self.ask_for_acks = False

    # --- identity -----------------------------------------------------------------------------------------------

    def change_id(self, reason: str) -> None:
        """Start a new history; `reason` is for those who look on."""
        self.replid = self.node.rng.hex(40)
        self.clear_second_id()
        self.tell_id(reason)

    def tell_id(self, reason: str) -> None:
        """Tell those who look on that the history has another name."""
        node = self.node
        if node.observers:
            former = "" if self.replid2 == NO_ID else self.replid2.decode()
            now_us, second = node.now_us, self.second_replid_offset
            node.emit(ReplicationIdChanged(now_us, self.replid.decode(), former, second, self.offset, reason))

    def make_backlog(self, reason: str) -> None:
        """Keep the stream from here on."""
        node = self.node
        self.backlog = Backlog(node.config.repl_backlog_size, self.offset)
        if node.observers:
            node.emit(BacklogCreated(node.now_us, self.backlog.size_bytes, self.backlog.first_offset, reason))

    def clear_second_id(self) -> None:
        """Forget the former history."""
        self.replid2 = NO_ID
        self.second_replid_offset = -1

    def shift_id(self) -> None:
        """Start a new history that goes on from the present one (a promotion)."""
        self.replid2 = self.replid
        self.second_replid_offset = self.offset + 1
        self.replid = self.node.rng.hex(40)
        self.node.log(
            "*",
            f"Setting secondary replication ID to {self.replid2.decode()}, valid up to offset: "
            f"{self.second_replid_offset}. New replication ID is {self.replid.decode()}",
        )
        self.tell_id("promoted: a new history begins here, and goes on from the former one")

    def need_backlog(self, keep_id: bool = False) -> None:
        """Make a backlog, if there is none; a master's first one starts a history."""
        if self.backlog is not None:
            return
        self.make_backlog("this stream goes on from here" if keep_id else "the first replica came")
        if not keep_id:
            self.change_id("the first backlog: what was written before is in no history")
            self.node.log(
                "*",
                f"Replication backlog created, my new replication IDs are '{self.replid.decode()}' and "
                f"'{self.replid2.decode()}'",
            )
        self.node.update_propagating()

    def free_backlog(self) -> None:
        """Drop the backlog: nobody was there for long. What changes from now on is in no history."""
        ttl = self.node.config.repl_backlog_ttl
        self.drop_backlog(f"no replica for more than {ttl} s (repl-backlog-ttl)")
        self.change_id("the backlog was freed: what changes from now on is in no history")
        self.node.log("*", f"Replication backlog freed after {ttl} seconds without connected replicas.")
        self.node.update_propagating()

    def drop_backlog(self, reason: str) -> None:
        """Forget what is kept of the stream."""
        node, backlog = self.node, self.backlog
        self.backlog = None
        if node.observers and backlog is not None:
            node.emit(BacklogFreed(node.now_us, backlog.first_offset, backlog.end, reason))

    def saved_identity(self) -> tuple[int, bytes, int] | None:
        """Return (selected database, replication id, offset) for a snapshot; None when there is no history."""
        node = self.node
        if not node.is_replica:
            if self.backlog is None:
                return None
            return max(0, node.master.selected), self.replid, self.offset
        replica = node.replica
        if replica.client is not None:
            return replica.client.db.index, self.replid, self.offset
        return (max(0, node.master.selected), self.replid, self.offset) if replica.has_history else None

    def loaded_identity(self, aux: dict[bytes, bytes], expired: Sequence[tuple[int, bytes]] = ()) -> None:
        """Take over the identity that a snapshot was saved with.

        Keys that had `expired` when it was loaded, each with its database, are still there in replicas.
        """
        node = self.node
        replid, offset = aux.get(b"repl-id", b""), aux.get(b"repl-offset", b"")
        if len(replid) != 40 or not offset.lstrip(b"-").isdigit():
            return
        db = aux.get(b"repl-stream-db", b"0")
        if node.is_replica:
            self.replid, self.offset = replid, int(offset)
            node.master.selected = int(db) if db.isdigit() else 0
            node.replica.has_history = True
            self.tell_id("loaded from the snapshot: asked for when the master is reached")
        elif not node.config.appendonly:
            # A master that was shut down cleanly: its replicas may continue with the ID it had.
            self.replid2 = replid
            self.second_replid_offset = int(offset) + 1
            self.offset = int(offset)
            self.tell_id("loaded from the snapshot: its history is the former one, and the AOF is off")
            self.make_backlog("replicas of the history in the snapshot may go on with it")
            node.master.no_replicas_since_us = node.now_us
            node.update_propagating()
            for index, key in expired:
                node.master.feed(index, [node.deletion, key])

    # --- the stream ---------------------------------------------------------------------------------------------

    def pass_on(self, data: bytes) -> None:
        """Count bytes of the master's stream, and hand the very same on to our own replicas."""
        self.need_backlog(keep_id=True)
        self.node.master.send(data)

    def feed_raw(self, argv: Argv) -> None:
        """Send a command to the replicas alone (DEBUG REPLICATE)."""
        if self.backlog is not None:
            self.node.master.feed(-1, argv)

    def drop_replicas(self, reason: str) -> None:
        """Hang up on our replicas: they must ask anew."""
        for client in list(self.node.master.replicas.values()):
            assert isinstance(client.extra, ReplicaLink)
            client.extra.leaving = client.extra.leaving or reason
            self.node.close_now(client)

    @property
    def backlog_bytes(self) -> int:
        """What the backlog takes."""
        return self.backlog.length if self.backlog is not None else 0

    @property
    def buffer_bytes(self) -> int:
        """What backlog and replicas' buffers take together: they share their pieces."""
        if self.backlog is None:
            return 0
        waiting = [
            sum(map(len, client.extra.pending)) + sum(map(len, client.out)) + client.out_bytes
            for client in self.node.master.replicas.values()
            if isinstance(client.extra, ReplicaLink)
        ]
        return max([self.backlog_bytes, *waiting])

    def diverges(self, client: "Client", error: ReplyError) -> None:
        """Say that a command of the stream failed: the two data sets are probably no longer equal."""
        node = self.node
        to_master = bool(client.flags & flags.MASTER)
        sender, receiver = ("replica", "master") if to_master else ("master", "replica")
        name = client.current.name.decode() if client.current is not None else "<unknown>"
        node.log(
            "#",
            f"== CRITICAL == This {sender} is sending an error to its {receiver}: "
            f"'{error.text.decode(errors='replace')}' after processing the command '{name}'",
        )
        node.stats.unexpected_error_replies += 1
        if to_master and node.config.replica_read_only and node.config.propagation_error_behavior != "ignore":
            why = f"This {sender} panicked sending an error to its {receiver} after processing the command '{name}'"
            node.fail(Exit(1, crash=why, signal=SIGABRT))

    # --- refusing writes ----------------------------------------------------------------------------------------

    @property
    def too_few_replicas(self) -> bool:
        """Whether writes are refused because too few replicas would get them (min-replicas-to-write)."""
        node = self.node
        wanted = node.config.min_replicas_to_write
        return bool(
            wanted
            and node.config.min_replicas_max_lag
            and node.config.replicaof is None
            and node.master.good_replicas() < wanted
        )

    def tell_refused(self, client: "Client", error: bytes) -> None:
        """Tell those who look on that a command was refused for the sake of replication, and why."""
        node, config = self.node, self.node.config
        if error.startswith(b"NOREPLICAS"):
            good, lag = node.master.good_replicas(), config.min_replicas_max_lag
            held = f"{good} of {len(node.master.replicas)} replicas are online and were heard of in the last {lag} s"
            conditions = [
                Condition(True, f"min-replicas-to-write is {config.min_replicas_to_write}"),
                Condition(False, f"{held} (min-replicas-max-lag), which is enough"),
            ]
        elif error.startswith(b"READONLY"):
            conditions = [
                Condition(True, f"this is a replica of {node.replica.master}, and replica-read-only is on"),
                Condition(False, "the command comes from the master"),
            ]
        elif error.startswith(b"MASTERDOWN"):
            conditions = [
                Condition(True, "replica-serve-stale-data is off"),
                Condition(False, f"the link to the master {node.replica.master} is up: it is {node.replica.state}"),
            ]
        else:
            return
        name = client.current.name.decode() if client.current is not None else ""
        node.emit(WriteRefused(node.now_us, client.id, name, error.decode(), tuple(conditions)))

    # --- WAIT ---------------------------------------------------------------------------------------------------

    def acknowledged(self, client: "Client") -> int:
        """Return how many replicas have acknowledged what a client wrote last (WAIT)."""
        return sum(link.state == ONLINE and link.ack_offset >= client.written_offset for link in self._links())

    def fsynced(self, client: "Client") -> tuple[int, int]:
        """Return on how many append-only files what a client wrote last is durable: own and replicas' (WAITAOF)."""
        local = self.node.config.appendonly and self.fsynced_offset >= client.written_offset
        replicas = sum(link.state == ONLINE and link.aof_offset >= client.written_offset for link in self._links())
        return int(local), replicas

    def _links(self) -> list[ReplicaLink]:
        return [
            client.extra for client in self.node.master.replicas.values() if isinstance(client.extra, ReplicaLink)
        ]

    def serve_waiting(self) -> None:
        """Answer clients whose WAIT or WAITAOF is fulfilled; ask for acknowledgements that somebody waits for."""
        node = self.node
        for client in [held for held in node.clients.values() if held.blocking is not None]:
            blocking = client.blocking
            assert blocking is not None
            if blocking.kind == BLOCKED_WAIT:
                wanted = blocking.data
                assert isinstance(wanted, int)
                reached = self.acknowledged(client)
                if reached >= wanted:
                    self.tell_waited(client, BLOCKED_WAIT, wanted, reached, "enough replicas have it")
                    node.answer_waiting(client, reached)
            elif blocking.kind == BLOCKED_WAITAOF:
                assert isinstance(blocking.data, tuple)
                if blocking.data[0] and not node.config.appendonly:
                    unblock_with_error(node, client, ReplyError(NO_LOCAL_AOF))
                    continue
                local, replicas = self.fsynced(client)
                if local >= blocking.data[0] and replicas >= blocking.data[1]:
                    self.tell_waited(client, BLOCKED_WAITAOF, blocking.data[1], replicas, "enough disks have it")
                    node.answer_waiting(client, [local, replicas])
        if self.ask_for_acks:
            self.ask_for_acks = False
            if node.master.replicas:
                node.master.ask_for_acks()

    def end_waiting(self, client: "Client", why: "Blocking") -> None:
        """The time of a WAIT or WAITAOF is up: answer what has been reached."""
        reply: Any
        if isinstance(why.data, tuple):
            local, reached = self.fsynced(client)
            wanted, reply = why.data[1], [local, reached]
        else:
            wanted, reply = why.data, self.acknowledged(client)
            reached = reply
        assert isinstance(wanted, int)
        self.tell_waited(client, why.kind, wanted, reached, "the time is up")
        self.node.answer_waiting(client, reply)

    def tell_waited(self, client: "Client", kind: str, wanted: int, reached: int, reason: str) -> None:
        """Tell those who look on how a client's WAIT or WAITAOF ended."""
        node = self.node
        if node.observers:
            node.emit(WaitAnswered(node.now_us, client.id, kind, wanted, reached, client.written_offset, reason))

    # --- what is told -------------------------------------------------------------------------------------------

    def role(self) -> list[Any]:
        """Return what ROLE answers."""
        node = self.node
        master = node.config.replicaof
        if master is None:
            replicas = [
                [self._ip(client, link).encode(), b"%d" % link.listening_port, b"%d" % link.ack_offset]
                for client, link in self._online()
            ]
            return [b"master", self.offset, replicas]
        state = {NONE: b"none", CONNECT: b"connect", CONNECTING: b"connecting", TRANSFER: b"sync"}
        shown = state.get(node.replica.state, b"handshake")
        if node.replica.state == CONNECTED:
            shown = b"connected"
        offset = self.offset if node.replica.state == CONNECTED else -1
        return [b"slave", master.host.encode(), master.port, shown, offset]

    def _online(self) -> list[tuple["Client", ReplicaLink]]:
        return [
            (client, client.extra)
            for client in self.node.master.replicas.values()
            if isinstance(client.extra, ReplicaLink) and client.extra.state == ONLINE
        ]

    @staticmethod
    def _ip(client: "Client", link: ReplicaLink) -> str:
        return link.announced_ip or client.peer.rsplit(":", 1)[0].strip("[]")

    def info(self) -> list[tuple[str, Any]]:
        """Return the lines of INFO replication."""
        node = self.node
        config = node.config
        lines: list[tuple[str, Any]] = [("role", "slave" if node.is_replica else "master")]
        if node.is_replica:
            lines += self._replica_info()
        if config.min_replicas_to_write and config.min_replicas_max_lag:
            replicas = [("min_slaves_good_slaves", node.master.good_replicas())]
        else:
            replicas = []
        lines += [("connected_slaves", len(node.master.replicas)), *replicas]
        now_s = node.now_us // 1_000_000
        for i, client in enumerate(node.master.replicas.values()):
            link = client.extra
            assert isinstance(link, ReplicaLink)
            lag = now_s - link.ack_time_s if link.state == ONLINE else 0
            lines.append(
                (
                    f"slave{i}",
                    f"ip={self._ip(client, link)},port={link.listening_port},state={link.state},"
                    f"offset={link.ack_offset},lag={lag}",
                )
            )
        backlog = self.backlog
        return [
            *lines,
            ("master_failover_state", node.failover.state),
            ("master_replid", self.replid.decode()),
            ("master_replid2", self.replid2.decode()),
            ("master_repl_offset", self.offset),
            ("second_repl_offset", self.second_replid_offset),
            ("repl_backlog_active", int(backlog is not None)),
            ("repl_backlog_size", config.repl_backlog_size),
            ("repl_backlog_first_byte_offset", backlog.first_offset if backlog is not None else 0),
            ("repl_backlog_histlen", self.backlog_bytes),
        ]

    def _replica_info(self) -> list[tuple[str, Any]]:
        node = self.node
        replica, config = node.replica, node.config
        master = config.replicaof
        assert master is not None
        up = replica.state == CONNECTED
        idle_s = (node.now_us - replica.last_io_us) // 1_000_000
        lines: list[tuple[str, Any]] = [
            ("master_host", master.host),
            ("master_port", master.port),
            ("master_link_status", "up" if up else "down"),
            ("master_last_io_seconds_ago", idle_s if up else -1),
            ("master_sync_in_progress", int(replica.state == TRANSFER)),
            ("slave_read_repl_offset", self.offset + (replica.stream.read_bytes if replica.stream else 0)),
            ("slave_repl_offset", self.offset),
        ]
        if replica.transfer is not None:
            total, read = replica.transfer.size_bytes, replica.transfer.read_bytes
            percent = f"{read * 100 / total:.2f}" if total > 0 else "0.00"
            lines += [
                ("master_sync_total_bytes", total),
                ("master_sync_read_bytes", read),
                ("master_sync_left_bytes", total - read),
                ("master_sync_perc", percent),
                ("master_sync_last_io_seconds_ago", idle_s),
            ]
        if not up:
            lines.append(("master_link_down_since_seconds", (node.now_us - replica.down_since_us) // 1_000_000))
        return [
            *lines,
            ("slave_priority", config.replica_priority),
            ("slave_read_only", int(config.replica_read_only)),
            ("replica_announced", int(config.replica_announced)),
        ]


__all__ = ["Replication", "flags"]
