"""The master's side: who asks for the stream, and what each gets.

A replica that attaches passes through these states:

    wait_bgsave   it waits for a snapshot to be started, or to end; the stream since is kept for it
    send_bulk     the snapshot's file is on its way (diskless: all was sent, and its first ACK has to confirm it)
    online        it gets the stream as it is made

`decide` is PSYNC's decision, with each condition and its values, so that the log and the laboratory can tell why.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from typing import TYPE_CHECKING, NamedTuple

from engine import client as flags
from engine.effects import PauseSnapshot, Read, ResumeSnapshot, Snapshot
from engine.events import (
    Acknowledged,
    Condition,
    FullResyncFinished,
    FullResyncStarted,
    PsyncDecided,
    ReplicaAttached,
    ReplicaDetached,
    ReplicaStateChanged,
)
from engine.resp import encode_command

if TYPE_CHECKING:
    from engine.client import Client
    from engine.node import Node
    from engine.replication import Replication

WAIT_BGSAVE, SEND_BULK, ONLINE = "wait_bgsave", "send_bulk", "online"
EOF_MARK_BYTES = 40
PIECE_BYTES = 1 << 20  # of a snapshot's file, sent at once
WAITING_BYTES_MAX = 1 << 16  # what a replica may leave waiting before a snapshot's next piece is read


class ReplicaLink:
    """What a master knows of one of its replicas."""

    def __init__(self) -> None:
        self.state = ""  # not attached yet
        self.listening_port = 0
        self.announced_ip = ""
        self.capa_eof = False
        self.capa_psync2 = False
        self.rdb_only = False
        self.contents = "rdb"  # the kind of snapshot that it wants: see Node.snapshot_chunks
        self.old_sync = False  # asked with SYNC: speaks no PSYNC
        self.snapshot = 0  # the one it waits for; 0: the next
        self.initial_offset = 0
        self.pending: list[bytes] = []  # the stream since its snapshot, until it is online
        self.pending_bytes = 0
        self.ack_offset = 0
        self.aof_offset = 0
        self.ack_time_s = 0
        self.since_s = 0
        self.file: bytes | None = None  # the snapshot that it is being sent (all replicas of it share the bytes)
        self.file_sent = 0
        self.stuck_since_us = 0  # when a replica that did not take all that waits for it last took a part; 0: it did
        self.leaving = ""  # why we hang up on it


class Decision(NamedTuple):
    """Whether a partial resynchronization is granted, and the conditions that were checked, in order."""

    granted: bool
    conditions: list[Condition]


def decide(replication: "Replication", replid: bytes, offset: int) -> Decision:
    """Return whether a replica that names this history and wants the byte at `offset` next can have it."""
    asked = replid.decode("ascii", "replace")
    backlog = replication.backlog
    conditions: list[Condition] = []
    if replid == b"?":
        return Decision(False, [Condition(False, "the replica names a history to continue: it asks for any")])
    same = replid.lower() == replication.replid.lower()
    conditions.append(Condition(same, f"the ID asked for, {asked[:8]}…, is mine, {replication.replid[:8].decode()}…"))
    if not same:
        second = replid.lower() == replication.replid2.lower()
        conditions.append(Condition(second, f"it is my former ID, {replication.replid2[:8].decode()}…"))
        if not second:
            return Decision(False, conditions)
        limit = replication.second_replid_offset
        valid = offset <= limit
        conditions.append(
            Condition(valid, f"offset {offset} is not beyond {limit}, up to which that history is mine")
        )
        if not valid:
            return Decision(False, conditions)
    conditions.append(Condition(backlog is not None, "there is a backlog"))
    if backlog is None:
        return Decision(False, conditions)
    early = offset >= backlog.first_offset
    conditions.append(
        Condition(early, f"offset {offset} is not before the backlog's first byte, {backlog.first_offset}")
    )
    late = offset <= backlog.end
    conditions.append(Condition(late, f"and not beyond its end, {backlog.end}"))
    return Decision(early and late, conditions)


class Master:
    """The replicas of a node."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.replicas: dict[int, Client] = {}
        self.round: list[bytes] = []  # the stream of this round, which is in the backlog but not yet handed out
        self.selected = -1  # the database that the stream is in; -1: not said yet
        self.snapshot = 0  # the one that is being made for replicas
        self.snapshot_to_disk = False
        self.snapshot_paused = False  # a diskless one waits for its slowest replica
        self.sending = False  # some replica can take the next piece of its file
        self.file_is_for_replicas = False  # the snapshot's file was made for them alone
        self.mark = b""  # the end marker of a diskless one
        self.start_at_ms: int | None = None  # when the next one is due
        self.seconds = 0  # rounds of cron: pings are due when the period divides it
        self.no_replicas_since_us = 0

    # --- attaching ----------------------------------------------------------------------------------------------

    def partial(self, client: "Client", link: ReplicaLink, replid: bytes, offset: int) -> bool:
        """Continue a replica's history, if that is possible; False when it needs a full resynchronization."""
        node = self.node
        replication = node.replication
        self.hand_out()
        decision = decide(replication, replid, offset)
        peer = self.name(client, link)
        if node.observers:
            asked = replid.decode(errors="replace")
            left = replication.offset + 1 - offset if decision.granted else 0
            conditions = tuple(decision.conditions)
            now_us, granted = node.now_us, decision.granted
            node.emit(PsyncDecided(now_us, client.id, peer, asked, offset, conditions, granted, left))
        if not decision.granted:
            self._tell_refusal(peer, replid, offset)
            return False
        assert replication.backlog is not None
        data = replication.backlog.since(offset)
        self._attach(client, link, "partial")
        self._enter(client, link, ONLINE, "it goes on with the history it has")
        answer = b"+CONTINUE %b\r\n" % replication.replid if link.capa_psync2 else b"+CONTINUE\r\n"
        client.write(answer)
        if data:
            client.write(data)
        node.log(
            "*",
            f"Partial resynchronization request from {peer} accepted. Sending {len(data)} bytes of backlog starting "
            f"from offset {offset}.",
        )
        node.stats.sync_partial_ok += 1
        return True

    def full(self, client: "Client", link: ReplicaLink) -> None:
        """Attach a replica that needs a snapshot."""
        node = self.node
        self.hand_out()
        node.stats.sync_full += 1
        self._attach(client, link, "full")
        self._enter(client, link, WAIT_BGSAVE, "it needs a snapshot")
        link.snapshot = 0
        node.replication.need_backlog()
        config = node.config
        if self.snapshot and self.snapshot_to_disk:
            shared = [
                other
                for replica in self.replicas.values()
                if (other := _link(replica)) is not link
                and other.state == WAIT_BGSAVE
                and other.snapshot == self.snapshot
                and other.contents == link.contents
            ]
            if shared:
                link.pending = list(shared[0].pending)
                link.pending_bytes = shared[0].pending_bytes
                reason = "a snapshot is being made for another replica, and all since is kept"
                self._announce(client, link, self.snapshot, shared[0].initial_offset, reason, shared=True)
                node.log("*", "Waiting for end of BGSAVE for SYNC")
            else:
                node.log("*", "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC")
        elif self.snapshot:
            node.log("*", "Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC")
        elif config.repl_diskless_sync and link.capa_eof and config.repl_diskless_sync_delay:
            if self.start_at_ms is None:
                self.start_at_ms = node.now_ms + config.repl_diskless_sync_delay * 1000
            node.log("*", "Delay next BGSAVE for diskless SYNC")
        elif node.persistence.saving or node.aof.rewriting:
            node.log("*", "No BGSAVE in progress, but another BG operation is active. BGSAVE for replication delayed")
        else:
            self.start_snapshot()

    def _tell_refusal(self, peer: str, replid: bytes, offset: int) -> None:
        """Count and log that a history is not continued, in Redis's words."""
        node, replication = self.node, self.node.replication
        if replid == b"?":
            node.log("*", f"Full resync requested by replica {peer}")
            return
        node.stats.sync_partial_err += 1
        mine, former = replication.replid.decode(), replication.replid2.decode()
        asked = replid.decode(errors="replace")
        limit = replication.second_replid_offset
        refused = "Partial resynchronization not accepted: "
        if asked.lower() not in (mine, former):
            refused += f"Replication ID mismatch (Replica asked for '{asked}', my replication IDs are "
            refused += f"'{mine}' and '{former}')"
        elif asked.lower() == former and offset > limit:
            refused += f"Requested offset for second ID was {offset}, but I can reply up to {limit}"
        else:
            refused = f"Unable to partial resync with replica {peer} for lack of backlog "
            refused += f"(Replica request was: {offset})."
        node.log("*", refused)
        if asked.lower() == mine and offset > replication.offset:
            node.log(
                "#",
                f"Warning: replica {peer} tried to PSYNC with an offset that is greater than the master replication "
                "offset.",
            )

    def _enter(self, client: "Client", link: ReplicaLink, state: str, reason: str) -> None:
        link.state = state
        node = self.node
        if node.observers:
            node.emit(ReplicaStateChanged(node.now_us, client.id, self.name(client, link), state, reason))

    def _attach(self, client: "Client", link: ReplicaLink, how: str) -> None:
        client.extra = link
        client.flags |= flags.REPLICA
        client.update_gated()
        link.since_s = link.ack_time_s = self.node.now_us // 1_000_000
        self.replicas[client.id] = client
        node = self.node
        node.update_propagating()
        if node.observers:
            node.emit(ReplicaAttached(node.now_us, client.id, self.name(client, link), how))

    def detach(self, client: "Client") -> None:
        """Forget a replica that is gone."""
        if self.replicas.pop(client.id, None) is None:
            return
        link = _link(client)
        node, peer = self.node, self.name(client, link)
        node.log("*", f"Connection with replica {peer} lost.")
        if node.observers:
            reason = link.leaving or "the connection ended"
            node.emit(ReplicaDetached(node.now_us, client.id, peer, link.ack_offset, reason))
        if not self.replicas:
            self.no_replicas_since_us = self.node.now_us
        if self.snapshot and not any(_link(other).snapshot == self.snapshot for other in self.replicas.values()):
            if not self.snapshot_to_disk:
                node.log("#", "Diskless rdb transfer, last replica dropped, killing fork child.")
                self.kill_snapshot()
            elif not node.config.save and link.snapshot == self.snapshot:
                self.kill_snapshot()  # nobody needs what it writes
        self._pace()
        self.trim_backlog()

    @staticmethod
    def note_leaving(client: "Client", reason: str) -> None:
        """Say why a client is about to be hung up on, for those who look on when it is a replica."""
        if isinstance(client.extra, ReplicaLink):
            client.extra.leaving = reason

    @staticmethod
    def name(client: "Client", link: ReplicaLink) -> str:
        """Return how the log names a replica."""
        host = link.announced_ip or client.peer.rsplit(":", 1)[0].strip("[]")
        return f"{host}:{link.listening_port or client.peer.rsplit(':', 1)[-1]}"

    # --- snapshots ----------------------------------------------------------------------------------------------

    def _start_is_due(self) -> bool:
        """Tell whether replicas that wait need not wait longer, for others that may share their snapshot."""
        if self.start_at_ms is None or self.node.now_ms >= self.start_at_ms:
            return True
        enough = self.node.config.repl_diskless_sync_max_replicas
        return bool(enough) and enough <= sum(
            link.state == WAIT_BGSAVE and not link.snapshot for link in map(_link, self.replicas.values())
        )

    def start_snapshot(self) -> None:
        """Start a snapshot for every replica that waits for one."""
        node = self.node
        self.hand_out()
        self.start_at_ms = None
        waiting = [
            (client, link)
            for client in self.replicas.values()
            if (link := _link(client)).state == WAIT_BGSAVE and not link.snapshot
        ]
        if not waiting:
            return
        # Who wants something else waits for the next one. What is only a part never goes to the file.
        contents = waiting[0][1].contents
        waiting = [(client, link) for client, link in waiting if link.contents == contents]
        wanted = node.config.repl_diskless_sync or contents != "rdb"
        diskless = wanted and all(link.capa_eof for _, link in waiting)
        target = "replicas sockets" if diskless else "disk"
        node.log("*", f"Starting BGSAVE for SYNC with target: {target}")
        self.file_is_for_replicas = self.file_is_for_replicas or not diskless
        self.snapshot = node.persistence.take_snapshot("" if diskless else node.persistence.path, contents)
        self.snapshot_to_disk = not diskless
        self.mark = node.rng.hex(EOF_MARK_BYTES)
        self.selected = -1  # who joins now must be told where the stream is
        if contents != "rdb":
            reason = "only a part is wanted (rdb-filter-only), which is never written to the file"
        elif diskless:
            reason = "repl-diskless-sync is on, and every replica that waits can take it (capa eof)"
        elif node.config.repl_diskless_sync:
            reason = "repl-diskless-sync is on, but a replica that waits cannot take it (no capa eof)"
        else:
            reason = "repl-diskless-sync is off"
        for client, link in waiting:
            self._announce(client, link, self.snapshot, node.replication.offset, reason)
            if diskless:
                client.write(b"$EOF:%b\r\n" % self.mark)

    def _announce(
        self, client: "Client", link: ReplicaLink, snapshot: int, offset: int, reason: str, shared: bool = False
    ) -> None:
        link.snapshot = snapshot
        link.initial_offset = offset
        node = self.node
        if node.observers:
            target = "disk" if self.snapshot_to_disk else "socket"
            peer, replid = self.name(client, link), node.replication.replid.decode()
            node.emit(FullResyncStarted(node.now_us, client.id, peer, replid, offset, target, shared, reason))
        if not link.old_sync:
            client.write(b"+FULLRESYNC %b %d\r\n" % (self.node.replication.replid, offset))

    def kill_snapshot(self) -> None:
        """Give the snapshot for replicas up, if one is being made: who waits for it has to ask anew."""
        if self.snapshot:
            self.node.persistence.kill(self.snapshot)

    def snapshot_data(self, snapshot: int, data: bytes) -> None:
        """A piece of a diskless snapshot is there."""
        for client in self.replicas.values():
            if _link(client).snapshot == snapshot:
                client.write(data)

    def undelivered(self, client: "Client") -> None:
        """A replica took a part of what waits for it, or did not take all of what was sent."""
        link = client.extra
        if isinstance(link, ReplicaLink):
            link.stuck_since_us = self.node.now_us if client.out_bytes else 0
            if link.snapshot:
                self._pace()
            elif link.file is not None and client.out_bytes <= WAITING_BYTES_MAX:
                self._go_on_soon()

    def heard(self, client: "Client") -> None:
        """A replica that has nothing to say yet shows that it lives."""
        _link(client).ack_time_s = self.node.now_us // 1_000_000

    def refuse_reply(self, client: "Client") -> None:
        """Hang up on a replica that asked for what is answered: the link carries the stream, and nothing else."""
        from engine.commands.client import describe

        name = client.current.name.decode() if client.current is not None else "<unknown>"
        info = describe(client).decode(errors="replace")
        node = self.node
        node.log("#", f"Replica generated a reply to command '{name}', disconnecting it: {info}")
        self.note_leaving(client, f"it sent a command that is answered: {name}")
        node.close_after_reply(client)

    def _pace(self) -> None:
        """Read a diskless snapshot no faster than its slowest replica takes it."""
        slow = bool(self.snapshot) and any(
            client.out_bytes > WAITING_BYTES_MAX and _link(client).snapshot == self.snapshot
            for client in self.replicas.values()
        )
        if slow != self.snapshot_paused:
            self.snapshot_paused = slow
            effect = PauseSnapshot if slow else ResumeSnapshot
            self.node.effects.append(effect(self.snapshot))

    def snapshot_ended(self, snapshot: int, error: str | None) -> None:
        """A snapshot for replicas ended."""
        if snapshot != self.snapshot:
            return
        node = self.node
        self.hand_out()
        self.snapshot = 0
        self.snapshot_paused = False
        waiting = [client for client in self.replicas.values() if _link(client).snapshot == snapshot]
        if error is not None:
            node.log("#", error)
            for client in waiting:
                node.log("#", "SYNC failed. BGSAVE child returned an error")
                _link(client).leaving = f"its snapshot failed: {error}"
                node.close_now(client)
        elif self.snapshot_to_disk:
            node.log("*", "Background saving terminated with success")
            self._send_file(waiting)
        else:
            node.log("*", f"Diskless rdb transfer, done reading from pipe, {len(waiting)} replicas still up.")
            node.log("*", "Background RDB transfer terminated with success")
            for client in waiting:
                link = _link(client)
                client.write(self.mark)
                self._enter(client, link, SEND_BULK, "all of the snapshot is sent; its first ACK says it is loaded")
                link.snapshot = 0
                name = self.name(client, link)
                node.log(
                    "*",
                    f"Streamed replica with replica {name} succeeded (socket). Waiting for REPLCONF ACK from "
                    "replica to enable streaming",
                )
        self.start_snapshot()

    def _send_file(self, waiting: list["Client"]) -> None:
        node = self.node
        if not waiting:
            return
        try:
            data = node.perform(Read(node.persistence.path))
        except OSError as error:
            node.log("#", f"SYNC failed. Can't open/stat DB after BGSAVE: {error.strerror}")
            for client in waiting:
                _link(client).leaving = "its snapshot cannot be read"
                node.close_now(client)
            return
        for client in waiting:
            link = _link(client)
            link.snapshot = 0
            link.file, link.file_sent = data, 0
            self._enter(client, link, SEND_BULK, "the snapshot's file is complete, and is sent")
            client.write(b"$%d\r\n" % len(data))
            self._send_piece(client, link)

    def _go_on_soon(self) -> None:
        self.sending = True
        self.node.wake_at_us = self.node.now_us

    def send_pieces(self) -> None:
        """Send each replica that keeps up the next piece of its file."""
        self.sending = False
        for client in list(self.replicas.values()):
            link = _link(client)
            if link.file is not None and client.out_bytes <= WAITING_BYTES_MAX:
                self._send_piece(client, link)

    def _send_piece(self, client: "Client", link: ReplicaLink) -> None:
        assert link.file is not None
        client.write(link.file[link.file_sent : link.file_sent + PIECE_BYTES])
        link.file_sent += PIECE_BYTES
        if link.file_sent < len(link.file):
            self._go_on_soon()
        else:
            link.file = None
            self._put_online(client)

    def _put_online(self, client: "Client") -> None:
        self.hand_out()
        link = _link(client)
        if link.rdb_only:
            self.node.log(
                "*",
                f"RDB transfer completed, rdb only replica ({self.name(client, link)}) should be disconnected asap",
            )
            link.leaving = "it wanted the snapshot alone (rdb-only)"
            self.node.close_after_reply(client)
            return
        node = self.node
        self._enter(client, link, ONLINE, "the stream that was kept for it follows its snapshot")
        if node.observers:
            peer, kept = self.name(client, link), link.pending_bytes
            node.emit(FullResyncFinished(node.now_us, client.id, peer, node.replication.offset, kept))
        link.ack_time_s = self.node.now_us // 1_000_000
        for data in link.pending:
            client.write(data)
        link.pending = []
        link.pending_bytes = 0
        self.node.log("*", f"Synchronization with replica {self.name(client, link)} succeeded")

    # --- the stream ---------------------------------------------------------------------------------------------

    def feed(self, db: int, argv: list[bytes]) -> None:
        """Send a command to the replicas and the backlog; `db` -1 is for what belongs to no database.

        A replica passes its master's stream on and adds nothing to it.
        """
        if self.node.is_replica:
            return
        if db >= 0 and db != self.selected:
            self.send(encode_command([b"SELECT", b"%d" % db]))
            self.selected = db
        self.send(encode_command(argv))

    def send(self, data: bytes) -> None:
        """Add bytes to the stream: to the backlog now, to the replicas at the end of the round."""
        replication = self.node.replication
        assert replication.backlog is not None
        replication.backlog.append(data)
        replication.offset += len(data)
        self.round.append(data)

    def hand_out(self) -> None:
        """Hand the round's stream to every replica that was there when it was made, as one piece."""
        if not self.round:
            return
        data = b"".join(self.round)
        self.round.clear()
        limited = self.node.limits.least
        for client in list(self.replicas.values()):
            link = _link(client)
            if link.state == ONLINE:
                client.write(data)
            elif link.snapshot or link.state == SEND_BULK:
                link.pending.append(data)
                link.pending_bytes += len(data)
                if link.pending_bytes >= limited:
                    self.node.limits.check_output(client, link.pending_bytes)
        backlog = self.node.replication.backlog
        if backlog is not None and backlog.too_long:
            self.trim_backlog()

    def trim_backlog(self) -> None:
        """Drop the oldest bytes of the backlog, but none that wait for a replica: they are in memory in any case."""
        replication = self.node.replication
        if replication.backlog is not None:
            waiting = [_link(client).pending_bytes + client.out_bytes for client in self.replicas.values()]
            replication.backlog.trim(replication.offset + 1 - max(waiting, default=0))

    def acknowledged(self, client: "Client", offset: int, aof_offset: int | None) -> None:
        """A replica says up to where it has the stream, and up to where it is on its disk."""
        link = _link(client)
        link.ack_offset = max(link.ack_offset, offset)
        if aof_offset is not None:
            link.aof_offset = max(link.aof_offset, aof_offset)
        node = self.node
        link.ack_time_s = node.now_us // 1_000_000
        if node.observers:
            on_disk = -1 if aof_offset is None else aof_offset
            behind = node.replication.offset - offset
            node.emit(Acknowledged(node.now_us, client.id, self.name(client, link), offset, on_disk, behind))
        if link.state == SEND_BULK and link.file is None:
            self._put_online(client)

    def ask_for_acks(self) -> None:
        """Ask the replicas how far they are (WAIT)."""
        self.feed(-1, [b"REPLCONF", b"GETACK", b"*"])

    # --- time ---------------------------------------------------------------------------------------------------

    def cron(self) -> None:
        """Ping replicas, drop dead ones, start what is due, free the backlog when nobody needs it."""
        node = self.node
        config = node.config
        now_s = node.now_us // 1_000_000
        due = self.seconds % config.repl_ping_replica_period == 0
        if due and self.replicas and not node.failover.until_ms:  # whose target has to catch up with a still stream
            self.feed(-1, [b"ping"])
        self.seconds += 1
        for client in self.replicas.values():
            if _link(client).state == WAIT_BGSAVE and (not self.snapshot or self.snapshot_to_disk):
                client.write(b"\n")  # it waits long, and must see that we live
        for client in list(self.replicas.values()):
            link = _link(client)
            if link.state == ONLINE and not link.old_sync and now_s - link.ack_time_s > config.repl_timeout:
                node.log("#", f"Disconnecting timedout replica (streaming sync): {self.name(client, link)}")
                link.leaving = f"nothing heard of it for more than {config.repl_timeout} s (repl-timeout)"
                node.close_now(client)
            elif (
                link.state == WAIT_BGSAVE
                and link.snapshot
                and not self.snapshot_to_disk
                and link.stuck_since_us
                and node.now_us - link.stuck_since_us > config.repl_timeout * 1_000_000
            ):
                node.log("#", f"Disconnecting timedout replica (full sync): {self.name(client, link)}")
                link.leaving = f"it took nothing of its snapshot for more than {config.repl_timeout} s (repl-timeout)"
                node.close_now(client)
        if self.file_is_for_replicas and not any(
            _link(client).state == WAIT_BGSAVE for client in self.replicas.values()
        ):
            self.file_is_for_replicas = not node.persistence.remove_sent_file()
        if not self.snapshot and not node.persistence.saving and not node.aof.rewriting and self._start_is_due():
            self.start_snapshot()
        self.trim_backlog()
        replication = node.replication
        if (
            not self.replicas
            and replication.backlog is not None
            and config.repl_backlog_ttl
            and not node.is_replica
            and node.now_us - self.no_replicas_since_us > config.repl_backlog_ttl * 1_000_000
        ):
            replication.free_backlog()

    def good_replicas(self) -> int:
        """Return how many replicas are online and have been heard of lately (min-replicas-max-lag)."""
        now_s = self.node.now_us // 1_000_000
        lag = self.node.config.min_replicas_max_lag
        return sum(
            link.state == ONLINE and now_s - link.ack_time_s <= lag for link in map(_link, self.replicas.values())
        )


def _link(client: "Client") -> ReplicaLink:
    link = client.extra
    assert isinstance(link, ReplicaLink)
    return link


__all__ = ["Master", "ReplicaLink", "Snapshot", "decide"]
