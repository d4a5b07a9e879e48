"""The master's side: accepting replicas, and sending them the stream.

A replica that attaches passes through these states:

    wait_bgsave   waits for a snapshot to start or end; the stream since then is buffered for it
    send_bulk     the snapshot's file is being sent (diskless: all was sent, and its first ACK must confirm it)
    online        receives the stream directly

`engine.replication.psync` decides whether a replica can continue its history.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from typing import TYPE_CHECKING

from engine.clients import client as flags
from engine.clients.client import PROPAGATE_REPLICAS, Client
from engine.clients.connections import Connections
from engine.clients.describe import describe
from engine.clients.limits import ClientLimits
from engine.clients.propagation import Propagation
from engine.clients.replica_link import ONLINE, SEND_BULK, WAIT_BGSAVE, ReplicaLink
from engine.core import Core
from engine.effects import PauseSnapshot, Read, ResumeSnapshot
from engine.observe.events import (
    Acknowledged,
    FullResyncFinished,
    FullResyncStarted,
    PsyncDecided,
    ReplicaAttached,
    ReplicaDetached,
    ReplicaStateChanged,
)
from engine.persistence.snapshots import Persistence
from engine.protocol.errors import ReplyError
from engine.protocol.resp import encode_command
from engine.replication.psync import decide

if TYPE_CHECKING:
    from engine.replication import Replication
    from engine.replication.failover import CoordinatedFailover

EOF_MARK_BYTES = 40
PIECE_BYTES = 1 << 20  # of a snapshot's file, sent in one piece
WAITING_BYTES_MAX = 1 << 16  # pending output of a replica above which it gets no further piece of a snapshot


class MasterRole:
    """The replicas of a node."""

    target = PROPAGATE_REPLICAS

    failover: "CoordinatedFailover"

    def __init__(
        self,
        core: Core,
        propagation: Propagation,
        limits: ClientLimits,
        connections: Connections,
        persistence: Persistence,
        replication: "Replication",
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.rng = core.rng
        self.timers = core.timers
        self.output = core.output
        self.stats = core.stats
        self.events = core.events
        self.propagation = propagation
        self.limits = limits
        self.connections = connections
        self.persistence = persistence
        self.replication = replication
        self.replicas: dict[int, Client] = {}
        self.round: list[bytes] = []  # the stream of this round, which is in the backlog but not yet sent to replicas
        self.selected = -1  # the selected database of the stream; -1: none yet
        self.snapshot = 0  # ID of the current snapshot for replicas; 0: none
        self.snapshot_to_disk = False
        self.snapshot_paused = False  # a diskless snapshot is paused for its slowest replica
        self.sending = False  # a replica can receive the next piece of its file
        self.file_is_for_replicas = False  # the snapshot's file was written only for replicas
        self.mark = b""  # the end marker of a diskless snapshot
        self.start_at_us: int | None = None  # when the next snapshot is due
        self.seconds = 0  # number of cron cycles: pings are due when it is divisible by the period
        self.no_replicas_since_us = 0

    # --- attaching ----------------------------------------------------------------------------------------------

    def try_partial_resync(self, client: Client, link: ReplicaLink, replid: bytes, offset: int) -> bool:
        """Continue a replica's history if possible. Returns False if a full resynchronization is necessary."""
        replication = self.replication
        self.hand_out()
        peer = self.name(client, link)
        decision = decide(replication, replid, offset, peer)
        if self.events.observers:
            asked = replid.decode(errors="replace")
            left = replication.offset + 1 - offset if decision.granted else 0
            conditions = tuple(decision.conditions)
            now_us, granted = self.clock.now_us, decision.granted
            self.events.emit(
                PsyncDecided(now_us, client.id, peer, asked, offset, conditions, granted, left, decision.unused)
            )
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
        self.output.log(
            "*",
            f"Partial resynchronization request from {peer} accepted. Sending {len(data)} bytes of backlog starting "
            f"from offset {offset}.",
        )
        self.stats.sync_partial_ok += 1
        return True

    def full_resync(self, client: Client, link: ReplicaLink) -> None:
        """Attach a replica that needs a snapshot."""
        self.hand_out()
        self.stats.sync_full += 1
        self._attach(client, link, "full")
        self._enter(client, link, WAIT_BGSAVE, "it needs a snapshot")
        link.snapshot = 0
        self.replication.need_backlog()
        config = self.config
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
                self.output.log("*", "Waiting for end of BGSAVE for SYNC")
            else:
                self.output.log(
                    "*", "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC"
                )
        elif self.snapshot:
            self.output.log("*", "Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC")
        elif config.repl_diskless_sync and link.capa_eof and config.repl_diskless_sync_delay:
            if self.start_at_us is None:
                self.start_at_us = self.clock.monotonic_us + config.repl_diskless_sync_delay * 1_000_000
            self.output.log("*", "Delay next BGSAVE for diskless SYNC")
        elif self.persistence.saving or self.persistence.aof.rewriting:
            self.output.log(
                "*", "No BGSAVE in progress, but another BG operation is active. BGSAVE for replication delayed"
            )
        else:
            self.start_snapshot()

    def _tell_refusal(self, peer: str, replid: bytes, offset: int) -> None:
        """Count and log the refusal of a partial resynchronization, with Redis's text."""
        replication = self.replication
        if replid[:1] == b"?":
            self.output.log("*", f"Full resync requested by replica {peer}")
            return
        self.stats.sync_partial_err += 1
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
        self.output.log("*", refused)
        if asked.lower() == mine and offset > replication.offset:
            self.output.log(
                "#",
                f"Warning: replica {peer} tried to PSYNC with an offset that is greater than the master replication "
                "offset.",
            )

    def _enter(self, client: Client, link: ReplicaLink, state: str, reason: str) -> None:
        link.state = state
        if self.events.observers:
            self.events.emit(
                ReplicaStateChanged(self.clock.now_us, client.id, self.name(client, link), state, reason)
            )

    def _attach(self, client: Client, link: ReplicaLink, how: str) -> None:
        client.replica = link
        client.flags |= flags.REPLICA
        client.update_checks()
        link.since_s = link.ack_time_s = self.clock.monotonic_us // 1_000_000
        self.replicas[client.id] = client
        self.propagation.update()
        if self.events.observers:
            self.events.emit(ReplicaAttached(self.clock.now_us, client.id, self.name(client, link), how))

    def detach(self, client: Client) -> None:
        """Remove a replica that has disconnected."""
        if client.id not in self.replicas:
            return
        link = _link(client)
        self.output.log("*", f"Connection with replica {self.name(client, link)} lost.")
        self._forget(client, link)
        if self.snapshot and not any(_link(other).snapshot == self.snapshot for other in self.replicas.values()):
            if not self.snapshot_to_disk:
                self.output.log("#", "Diskless rdb transfer, last replica dropped, killing fork child.")
                self.kill_snapshot()
            elif not self.config.save and link.snapshot == self.snapshot:
                self.kill_snapshot()  # no replica needs it any more
        self._pace()
        self.trim_backlog()

    def _forget(self, client: Client, link: ReplicaLink) -> None:
        del self.replicas[client.id]
        if self.events.observers:
            reason = link.leaving or "the connection ended"
            self.events.emit(
                ReplicaDetached(self.clock.now_us, client.id, self.name(client, link), link.ack_offset, reason)
            )
        if not self.replicas:
            self.no_replicas_since_us = self.clock.monotonic_us

    @staticmethod
    def note_leaving(client: Client, reason: str) -> None:
        """Record for observers why a client, if it is a replica, is about to be disconnected."""
        if client.replica is not None:
            client.replica.leaving = reason

    @staticmethod
    def name(client: Client, link: ReplicaLink) -> str:
        """Return the name of a replica in the log."""
        host = link.announced_ip or client.peer.rsplit(":", 1)[0].strip("[]")
        return f"{host}:{link.listening_port or client.peer.rsplit(':', 1)[-1]}"

    # --- snapshots ----------------------------------------------------------------------------------------------

    def _start_is_due(self) -> bool:
        """Return whether replicas have waited long enough for others that may share their snapshot."""
        if self.start_at_us is None or self.clock.monotonic_us >= self.start_at_us:
            return True
        enough = self.config.repl_diskless_sync_max_replicas
        return bool(enough) and enough <= sum(
            link.state == WAIT_BGSAVE and not link.snapshot for link in map(_link, self.replicas.values())
        )

    def start_snapshot(self) -> None:
        """Start a snapshot for all waiting replicas."""
        self.hand_out()
        self.start_at_us = None
        waiting = [
            (client, link)
            for client in self.replicas.values()
            if (link := _link(client)).state == WAIT_BGSAVE and not link.snapshot
        ]
        if not waiting:
            return
        # Replicas that requested another kind wait for the next one. A partial snapshot is never written to the file.
        contents = waiting[0][1].contents
        waiting = [(client, link) for client, link in waiting if link.contents == contents]
        wanted = self.config.repl_diskless_sync or contents != "rdb"
        diskless = wanted and all(link.capa_eof for _, link in waiting)
        target = "replicas sockets" if diskless else "disk"
        self.output.log("*", f"Starting BGSAVE for SYNC with target: {target}")
        try:
            self.snapshot = self.persistence.take_snapshot("" if diskless else self.persistence.path, contents)
        except OSError:
            self._give_up_waiting()
            return
        self.snapshot_to_disk = not diskless
        self.file_is_for_replicas = self.file_is_for_replicas or not diskless
        self.mark = self.rng.hex(EOF_MARK_BYTES)
        self.selected = -1  # the stream must select its database again, for the replicas that join now
        if contents != "rdb":
            reason = "only a part is wanted (rdb-filter-only), which is never written to the file"
        elif diskless:
            reason = "repl-diskless-sync is on, and every replica that waits can take it (capa eof)"
        elif self.config.repl_diskless_sync:
            reason = "repl-diskless-sync is on, but a replica that waits cannot take it (no capa eof)"
        else:
            reason = "repl-diskless-sync is off"
        for client, link in waiting:
            self._announce(client, link, self.snapshot, self.replication.offset, reason)
            if diskless:
                client.write(b"$EOF:%b\r\n" % self.mark)

    def _give_up_waiting(self) -> None:
        """Handle a failure to start a snapshot: reply with an error to all waiting replicas and disconnect them."""
        self.output.log("#", "BGSAVE for replication failed")
        for client in list(self.replicas.values()):
            link = _link(client)
            if link.state != WAIT_BGSAVE or link.snapshot:
                continue
            link.leaving = "no snapshot can be made for it"
            self._forget(client, link)
            _make_ordinary(client)
            error = ReplyError(b"ERR BGSAVE failed, replication can't continue")
            self.stats.count_error(error)
            client.reply(error)
            client.close_after_reply()

    def _announce(
        self, client: Client, link: ReplicaLink, snapshot: int, offset: int, reason: str, shared: bool = False
    ) -> None:
        link.snapshot = snapshot
        link.initial_offset = offset
        if self.events.observers:
            target = "disk" if self.snapshot_to_disk else "socket"
            peer, replid = self.name(client, link), self.replication.replid.decode()
            self.events.emit(
                FullResyncStarted(self.clock.now_us, client.id, peer, replid, offset, target, shared, reason)
            )
        if not link.old_sync:
            client.write(b"+FULLRESYNC %b %d\r\n" % (self.replication.replid, offset))

    def kill_snapshot(self) -> None:
        """Abort the snapshot for replicas, if any; the replicas that wait for it have to reconnect."""
        if self.snapshot:
            self.persistence.kill(self.snapshot)

    def snapshot_data(self, snapshot: int, data: bytes) -> None:
        """Handle a piece of a diskless snapshot."""
        for client in self.replicas.values():
            if _link(client).snapshot == snapshot:
                client.write(data)

    def output_pending(self, client: Client) -> None:
        """Handle a change in the amount of a replica's pending output."""
        link = client.replica
        if link is not None:
            link.stuck_since_us = self.clock.monotonic_us if client.out_bytes else 0
            if link.snapshot:
                self._pace()
            elif link.file is not None and client.out_bytes <= WAITING_BYTES_MAX:
                self._go_on_soon()

    def heard(self, client: Client) -> None:
        """Record that a replica that cannot acknowledge yet is alive."""
        _link(client).ack_time_s = self.clock.monotonic_us // 1_000_000

    def refuse_reply(self, client: Client) -> None:
        """Disconnect a replica that sent a command with a reply: the link carries only the stream."""
        name = client.current.name.decode() if client.current is not None else "<unknown>"
        info = describe(client).decode(errors="replace")
        self.output.log("#", f"Replica generated a reply to command '{name}', disconnecting it: {info}")
        self.note_leaving(client, f"it sent a command that is answered: {name}")
        client.close_after_reply()

    def _pace(self) -> None:
        """Read a diskless snapshot no faster than its slowest replica receives it."""
        slow = bool(self.snapshot) and any(
            client.out_bytes > WAITING_BYTES_MAX and _link(client).snapshot == self.snapshot
            for client in self.replicas.values()
        )
        if slow != self.snapshot_paused:
            self.snapshot_paused = slow
            effect = PauseSnapshot if slow else ResumeSnapshot
            self.output.effects.append(effect(self.snapshot))

    def snapshot_ended(self, snapshot: int, error: str | None) -> None:
        """Handle the end of a snapshot for replicas."""
        if snapshot != self.snapshot:
            return
        self.hand_out()
        self.snapshot = 0
        self.snapshot_paused = False
        waiting = [client for client in self.replicas.values() if _link(client).snapshot == snapshot]
        if error is not None:
            self.output.log("#", error)
            for client in waiting:
                self.output.log("#", "SYNC failed. BGSAVE child returned an error")
                _link(client).leaving = f"its snapshot failed: {error}"
                self.connections.close_now(client)
        elif self.snapshot_to_disk:
            self.output.log("*", "Background saving terminated with success")
            self._send_file(waiting)
        else:
            self.output.log("*", f"Diskless rdb transfer, done reading from pipe, {len(waiting)} replicas still up.")
            self.output.log("*", "Background RDB transfer terminated with success")
            for client in waiting:
                link = _link(client)
                client.write(self.mark)
                self._enter(client, link, SEND_BULK, "all of the snapshot is sent; its first ACK says it is loaded")
                link.snapshot = 0
                name = self.name(client, link)
                self.output.log(
                    "*",
                    f"Streamed replica with replica {name} succeeded (socket). Waiting for REPLCONF ACK from "
                    "replica to enable streaming",
                )
        self.start_snapshot()

    def _send_file(self, waiting: list[Client]) -> None:
        if not waiting:
            return
        try:
            data = self.output.run_now(Read(self.persistence.path))
        except OSError as error:
            self.output.log("#", f"SYNC failed. Can't open/stat DB after BGSAVE: {error.strerror}")
            for client in waiting:
                _link(client).leaving = "its snapshot cannot be read"
                self.connections.close_now(client)
            return
        for client in waiting:
            link = _link(client)
            link.snapshot = 0
            link.file, link.file_sent = data, 0
            self._enter(client, link, SEND_BULK, "the snapshot's file is complete, and is sent")
            client.write(b"$%d\r\n" % len(data))
            self._send_piece(client, link)

    def _go_on_soon(self) -> None:
        if not self.sending:
            self.sending = True
            self.timers.at(self.clock.monotonic_us, "master.send_pieces")

    def send_pieces(self) -> None:
        """Send the next piece of the file to each replica that keeps up."""
        self.sending = False
        for client in list(self.replicas.values()):
            link = _link(client)
            if link.file is not None and client.out_bytes <= WAITING_BYTES_MAX:
                self._send_piece(client, link)

    def _send_piece(self, client: Client, link: ReplicaLink) -> None:
        assert link.file is not None
        client.write(link.file[link.file_sent : link.file_sent + PIECE_BYTES])
        link.file_sent += PIECE_BYTES
        if link.file_sent < len(link.file):
            self._go_on_soon()
        else:
            link.file = None
            self._put_online(client)

    def _put_online(self, client: Client) -> None:
        self.hand_out()
        link = _link(client)
        if link.rdb_only:
            self.output.log(
                "*",
                f"RDB transfer completed, rdb only replica ({self.name(client, link)}) should be disconnected asap",
            )
            link.leaving = "it wanted the snapshot alone (rdb-only)"
            self.detach(client)
            _make_ordinary(client)
            client.close_after_reply()
            return
        self._enter(client, link, ONLINE, "the stream that was kept for it follows its snapshot")
        if self.events.observers:
            peer, kept = self.name(client, link), link.pending_bytes
            self.events.emit(FullResyncFinished(self.clock.now_us, client.id, peer, self.replication.offset, kept))
        link.ack_time_s = self.clock.monotonic_us // 1_000_000
        for data in link.pending:
            client.write(data)
        link.pending = []
        link.pending_bytes = 0
        self.output.log("*", f"Synchronization with replica {self.name(client, link)} succeeded")

    # --- the stream ---------------------------------------------------------------------------------------------

    @property
    def reads_changes(self) -> bool:
        """Whether there is a backlog."""
        return self.replication.backlog is not None

    def feed(self, db: int, argv: list[bytes]) -> None:
        """Send a command to the replicas and the backlog; `db` is -1 for a command that concerns no database.

        A replica only passes on its master's stream and adds nothing to it.
        """
        if self.config.is_replica:
            return
        if self.replication.backlog is None:
            self.replication.offset += 1  # no replica reads this byte, but WAITAOF uses the offset
            return
        if db >= 0 and db != self.selected:
            self.send(encode_command([b"SELECT", b"%d" % db]))
            self.selected = db
        self.send(encode_command(argv))

    def send(self, data: bytes) -> None:
        """Add bytes to the stream: to the backlog immediately, to the replicas at the end of the round."""
        replication = self.replication
        assert replication.backlog is not None
        replication.backlog.append(data)
        replication.offset += len(data)
        self.round.append(data)

    def hand_out(self) -> None:
        """Send the round's stream as one piece to every replica that was attached when it was produced."""
        if not self.round:
            return
        data = b"".join(self.round)
        self.round.clear()
        limited = self.limits.least
        for client in list(self.replicas.values()):
            link = _link(client)
            if link.state == ONLINE:
                client.write(data)
            elif link.snapshot or link.state == SEND_BULK:
                link.pending.append(data)
                link.pending_bytes += len(data)
                if link.pending_bytes >= limited:
                    self.limits.enforce_output_limit(client, link.pending_bytes)
        backlog = self.replication.backlog
        if backlog is not None and backlog.too_long:
            self.trim_backlog()

    def trim_backlog(self) -> None:
        """Drop the oldest bytes of the backlog, except those pending for a replica, which are in memory anyway."""
        replication = self.replication
        if replication.backlog is not None:
            waiting = [_link(client).pending_bytes + client.out_bytes for client in self.replicas.values()]
            replication.backlog.trim(replication.offset + 1 - max(waiting, default=0))

    def acknowledged(self, client: Client, offset: int, aof_offset: int | None) -> None:
        """A replica says up to where it has the stream, and up to where it is on its disk."""
        link = _link(client)
        link.ack_offset = max(link.ack_offset, offset)
        if aof_offset is not None:
            link.aof_offset = max(link.aof_offset, aof_offset)
        link.ack_time_s = self.clock.monotonic_us // 1_000_000
        if self.events.observers:
            on_disk = -1 if aof_offset is None else aof_offset
            behind = self.replication.offset - offset
            self.events.emit(
                Acknowledged(self.clock.now_us, client.id, self.name(client, link), offset, on_disk, behind)
            )
        if link.state == SEND_BULK and link.file is None:
            self._put_online(client)

    def ask_for_acks(self) -> None:
        """Request acknowledgements from the replicas (WAIT)."""
        self.feed(-1, [b"REPLCONF", b"GETACK", b"*"])

    # --- time ---------------------------------------------------------------------------------------------------

    def cron(self) -> None:
        """Ping replicas, drop dead ones, start snapshots that are due, free an unused backlog."""
        config = self.config
        now_s = self.clock.monotonic_us // 1_000_000
        due = self.seconds % config.repl_ping_replica_period == 0
        if due and self.replicas and not self.failover.until_us:  # a failover's target must catch up without pings
            self.feed(-1, [b"ping"])
        self.seconds += 1
        for client in self.replicas.values():
            if _link(client).state == WAIT_BGSAVE and (not self.snapshot or self.snapshot_to_disk):
                client.write(b"\n")  # it may wait for a long time, and must see that we are alive
        for client in list(self.replicas.values()):
            link = _link(client)
            if link.state == ONLINE and not link.old_sync and now_s - link.ack_time_s > config.repl_timeout:
                self.output.log("#", f"Disconnecting timedout replica (streaming sync): {self.name(client, link)}")
                link.leaving = f"nothing heard of it for more than {config.repl_timeout} s (repl-timeout)"
                self.connections.close_now(client)
            elif (
                link.state == WAIT_BGSAVE
                and link.snapshot
                and not self.snapshot_to_disk
                and link.stuck_since_us
                and self.clock.monotonic_us - link.stuck_since_us > config.repl_timeout * 1_000_000
            ):
                self.output.log("#", f"Disconnecting timedout replica (full sync): {self.name(client, link)}")
                link.leaving = f"it took nothing of its snapshot for more than {config.repl_timeout} s (repl-timeout)"
                self.connections.close_now(client)
        if self.file_is_for_replicas and not any(
            _link(client).state == WAIT_BGSAVE for client in self.replicas.values()
        ):
            self.file_is_for_replicas = not self.persistence.remove_sent_file()
        if (
            not self.snapshot
            and not self.persistence.saving
            and not self.persistence.aof.rewriting
            and self._start_is_due()
        ):
            self.start_snapshot()
        self.trim_backlog()
        replication = self.replication
        if (
            not self.replicas
            and replication.backlog is not None
            and config.repl_backlog_ttl
            and not self.config.is_replica
            and self.clock.monotonic_us - self.no_replicas_since_us > config.repl_backlog_ttl * 1_000_000
        ):
            replication.free_backlog()

    def good_replicas(self) -> int:
        """Return how many replicas are online and were heard from within min-replicas-max-lag."""
        now_s = self.clock.monotonic_us // 1_000_000
        lag = self.config.min_replicas_max_lag
        return sum(
            link.state == ONLINE and now_s - link.ack_time_s <= lag for link in map(_link, self.replicas.values())
        )


def _make_ordinary(client: Client) -> None:
    """Turn a replica that is about to be disconnected into a normal client, so that its output is still sent."""
    client.flags &= ~flags.REPLICA
    client.update_checks()


def _link(client: Client) -> ReplicaLink:
    assert client.replica is not None
    return client.replica


__all__ = ["MasterRole"]
