"""One Redis server as a plain object.

A node does no I/O. What happens to it comes in as calls that carry the time (in µs since 1970); what it wants done
goes out as an ordered list of effects (`engine.effects`), handed over by `settled` at the end of a round of inputs.
Two worlds carry effects out: `engine.live` (sockets, files, the machine's clock) and `engine.simulation`.

    inputs   opened · received · undelivered · closed · refused · done · snapshot · wake · signal · settled

Time stands still within one input. Durations (slow log, statistics) come from the world's stopwatch. All state is
plain data, so a node can be pickled: checkpoints, undo and time travel rest on that. What belongs to the world
(stopwatch, observers, the parser in C) is left out of the copy and given back by `attach`.

The node is put together here; what its parts do stands in their modules.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from engine import blocking, dispatch
from engine import client as flags
from engine.acl import Acl
from engine.aof.log import OFF, AppendOnlyFile
from engine.blocking import Waiting
from engine.client import (
    BLOCKED_POSTPONE,
    BLOCKED_WAIT,
    BLOCKED_WAITAOF,
    PROPAGATE_ALL,
    PROPAGATE_AOF,
    PROPAGATE_REPLICAS,
    Blocking,
    Client,
)
from engine.commands import load_all
from engine.config import Config
from engine.config import Master as MasterAddress
from engine.effects import Dial, Effect, Exit, Hangup, Log, Send
from engine.errors import ReplyError
from engine.events import ClientClosed, ClientOpened, Event, KeyChanged, KeyExpired, RoleChanged
from engine.eviction import Eviction
from engine.keyspace import EXPIRE_DELETE, EXPIRE_HIDE, NOTIFY_KEYEVENT, NOTIFY_KEYSPACE, Database, Entry, Keyspace
from engine.latency import LatencyMonitor
from engine.limits import BIG_REQUEST_BYTES, QUERY_ROOM_BYTES, ClientLimits
from engine.memory import used_memory
from engine.monitor import Monitors
from engine.multi import Transactions
from engine.pauses import Pauses
from engine.persistence import Persistence
from engine.pubsub import PubSub
from engine.rdb import objects
from engine.replication import Replication
from engine.replication.failover import Failover
from engine.replication.master import Master
from engine.replication.replica import CONNECTED, NONE, Replica
from engine.resp import READ_AT_ONCE, Argv, BatchParser, Limits, ProtocolError, Reply, Request, encode2, encode3
from engine.rng import Rng
from engine.scripting.runtime import Scripting
from engine.service import Loading
from engine.shutdown import Shutdown
from engine.slowlog import SlowLog, redacted
from engine.stats import CommandStats, Rates, ScriptingMemory, Stats
from engine.table import (
    COMMANDS,
    FAST,
    MAY_REPLICATE,
    SKIP_SLOWLOG,
    TOUCHES_ARBITRARY_KEYS,
    WRITE,
    Command,
)
from engine.tracking import Tracking

load_all()

_new = tuple.__new__  # a named tuple in half the time, where one is made for each client and round

NEVER_SLOW = 1 << 62
FIRST_DIALLED = 1 << 40  # the node numbers the links that it dials itself, above all that the world will number
EXPIRED_PER_CYCLE = 1000  # keys of one database that one round of cron removes; more would hold clients up


class World(Protocol):
    """What a node may ask its world in the middle of an input."""

    def stopwatch(self) -> int:
        """Return a monotonic time in µs."""

    def service(self, node: "Node") -> None:
        """Deliver waiting inputs while a script or a load takes long; the node answers BUSY or LOADING."""

    def facts(self) -> dict[str, Any]:
        """Return facts of the process: pid, rss, cpu times, uname …"""

    def perform(self, node: "Node", effect: Effect) -> Any:
        """Carry out the node's effects so far, then this one; returns its result, an OSError included."""


class Node:
    """A Redis server."""

    def __init__(self, config: Config, seed: int, now: int) -> None:
        self.config = config
        self.rng = Rng(seed)
        self.secret = hashlib.sha256(b"%x" % seed).digest()  # what passwords are made from: see secret_hex
        self.run_id = self.rng.hex(40)
        self.now_us = now
        self.now_ms = now // 1000
        self.started_us = now
        self.space = Keyspace(config.databases, Rng(self.rng.next64()))
        self.space.observer = self
        self.space.now_ms = self.now_ms
        self.space.lru_clock = self.now_ms // 1000
        self.commands: dict[bytes, Command] = {}
        for name, command in COMMANDS.items():
            self.commands[name] = command
            self.commands[name.upper()] = command  # the spelling most clients use, without a call to lower()
        for old, new in config.renamed_commands:
            renamed = self.commands.pop(old)
            del self.commands[old.upper()]
            if new:
                self.commands[new] = self.commands[new.upper()] = renamed

        self.clients: dict[int, Client] = {}
        self.links: dict[int, Client] = {}
        self.next_client_id = 1
        self.waiting = Waiting()
        self.reblocking: Blocking | None = None
        self.resumable: dict[int, None] = {}  # clients whose waiting requests may run again
        self.transactions = Transactions(self)
        self.monitors = Monitors(self)

        self.acl = Acl(self)
        self.pubsub = PubSub(self)
        self.tracking = Tracking(self)
        self.tracks = False  # some client tracks what it reads
        self.pauses = Pauses(self)
        self.eviction = Eviction(self)
        self.limits = ClientLimits(self)
        self.stats = Stats()
        self.command_stats: dict[bytes, CommandStats] = {}
        self.rates = Rates()
        self.round_began_us = self.round_requests = 0
        self.slowlog = SlowLog()
        self.scripting = Scripting(self)
        self.latency = LatencyMonitor()
        self.persistence = Persistence(self)
        self.aof = AppendOnlyFile(self)
        self.shutdown = Shutdown(self)
        self.replication = Replication(self)
        self.master = Master(self)
        self.replica = Replica(self)
        self.failover = Failover(self)
        self.dialled: dict[int, Replica] = {}
        self.next_dialled = FIRST_DIALLED
        self.resume_waiting = False  # an acknowledgement came: a WAIT may be fulfilled
        self.replication_cron_us = 0  # the first round is at once, before anybody can have come
        self.active_expire = True
        self.cron_paused = False
        self.deny_scripts_disabled = False
        self.quicklist_packed_threshold = 1 << 30

        # the command that runs
        self.executing: Client | None = None
        self.executing_argv: Argv = []
        self.instead: list[Argv] | None = None
        self.force_propagation = False
        self.propagation_targets = PROPAGATE_ALL  # of what the running command changes
        self.script_caller: Client | None = None  # the client whose script runs
        self.redacted: tuple[Argv, tuple[int, ...]] = ([], ())
        self.aftermath = False
        self.mark_us = 0

        # gates: what may keep any command from running (see dispatch.gates)
        self.gated = 0  # the flags of commands that have to pass the gates; -1: all have to
        self.load: Loading | None = None  # data that is being loaded
        self.busy = False
        self.stale = False
        self.read_only_replica = False
        self.cluster_enabled = False
        self.skip_checksum_validation = False  # DEBUG SET-SKIP-CHECKSUM-VALIDATION
        self.slow_us = NEVER_SLOW
        self.oom_score_base: int | None = None  # the kernel's score before oom-score-adj changed it

        # what leaves the node
        self.effects: list[Effect] = []
        self.pending_out: list[Client] = []
        self.replied_bytes = 0  # what waits there (of a pipeline that no gate concerns, its first reply alone)
        self.unread_bytes = 0  # of incomplete requests
        self.undelivered_bytes = 0  # what the world still holds for all clients
        self.propagating = False  # somebody reads the stream of changes
        self.pending_propagation: list[tuple[int, Argv, int]] = []  # database, command, targets

        self.tickets: dict[int, tuple[str, tuple[Any, ...]]] = {}
        self.next_ticket = 1
        self.cron_at_us = self.wake_at_us = now  # the second is sooner when something else has to go on
        self.cron_loops = 0
        self.exiting = False
        self.last_effect: Exit | None = None  # of an ending node: after all that still has to leave
        self.stalled_until_us = 0
        self.observers: list[Callable[[Event], None]] = []
        self.configured()

    # --- the world ----------------------------------------------------------------------------------------------

    def attach(self, world: World) -> None:
        """Give the node its world; needed before the first input, and again after unpickling."""
        self.world = world
        self.stopwatch = world.stopwatch
        self.parser = BatchParser()
        self.mark_us = world.stopwatch()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in ("world", "stopwatch", "parser"):
            state.pop(name, None)
        state["observers"] = []
        return state

    def observe(self, observer: Callable[[Event], None]) -> None:
        """Tell `observer` of everything that happens from now on."""
        self.observers.append(observer)
        self.update_attended()

    def emit(self, event: Event) -> None:
        """Tell the observers what happened. Guard calls with `if node.observers` where building it costs."""
        for observer in self.observers:
            observer(event)

    def log(self, level: str, text: str) -> None:
        """Write a line to the log: level `.` debug, `-` verbose, `*` notice, `#` warning."""
        if ".-*#".index(level) >= _LOG_LEVELS[self.config.loglevel]:
            self.effects.append(Log(level, text))

    def perform(self, effect: Effect) -> Any:
        """Have a file effect (or `Listen`) carried out now, as Redis does where it blocks on the world.

        Returns its result; raises OSError.
        """
        result = self.world.perform(self, effect)
        if isinstance(result, OSError):
            raise result
        return result

    def secret_hex(self, digits: int) -> bytes:
        """Return hexadecimal digits that nobody can guess who does not know the seed (ACL GENPASS).

        The seed is as good as the world that gave it: the live world's has 256 random bits.
        """
        text = b""
        while len(text) < digits:
            text += hmac.digest(self.secret, b"output", "sha256").hex().encode()
            self.secret = hmac.digest(self.secret, b"next", "sha256")
        return text[:digits]

    def facts(self) -> dict[str, Any]:
        """Return facts of the process that hosts the node."""
        return self.world.facts()

    def ticket(self, method: str, *args: Any) -> int:
        """Return a ticket for a file operation; when it ends the node's `method(result, *args)` is called."""
        ticket = self.next_ticket
        self.next_ticket += 1
        self.tickets[ticket] = (method, args)
        return ticket

    # --- inputs -------------------------------------------------------------------------------------------------

    def set_time(self, now: int) -> None:
        """Set the node's clock, in µs since 1970. It never moves within an input."""
        self.now_us = now
        self.now_ms = self.space.now_ms = now // 1000

    def start(self, now: int) -> None:
        """The world is ready: load what is on disk, then serve. Raises LoadError when that cannot be loaded."""
        self.set_time(now)
        self.mark_us = self.stopwatch()
        self.aof.read_manifest()
        if self.config.appendonly:
            self.aof.start()
        else:
            self.persistence.load()
            self.aof.remove_history()
        if self.is_replica:
            self.update_role()
            self.replica.follow()

    def opened(self, link: int, peer: str, kind: str, now: int, local: str = "") -> None:
        """A connection was accepted (`kind` "tcp", "tls" or "unix"), or one that we dialled stands ("dialled")."""
        self.set_time(now)
        if self.exiting:
            return
        if link in self.dialled:
            self.dialled[link].opened()
            return
        refusal = self._stranger(peer, kind)
        if refusal is not None:
            self.stats.rejected_connections += 1
            if kind != "tls" or refusal == PROTECTED_MODE:  # too many are hung up on before they have shaken hands
                self.effects.append(Send(link, b"-%b\r\n" % refusal))
            self.effects.append(Hangup(link))
            return
        client = Client(self, self.next_client_id, link, peer, local)
        client.kind = kind
        if kind == "unix":
            client.flags |= flags.UNIX_SOCKET
        self.next_client_id += 1
        self.clients[client.id] = client
        self.links[link] = client
        self.stats.connections_received += 1
        self.acl.welcome(client)
        client.update_gated()
        if self.observers:
            self.emit(ClientOpened(now, client.id, peer))

    def _stranger(self, peer: str, kind: str) -> bytes | None:
        """Return why a new connection is not taken, or None."""
        if len(self.links) >= self.config.maxclients:
            return b"ERR max number of clients reached"
        local = kind == "unix" or peer.startswith(("127.", "[::1]"))
        if self.config.protected_mode and not local and self.acl.default_needs_no_password():
            return PROTECTED_MODE
        return None

    def received(self, link: int, data: bytes, now: int) -> None:
        """Bytes arrived on a link, cut anywhere."""
        client = self.links.get(link)
        if client is None:
            if link in self.dialled:
                self.set_time(now)
                self.dialled[link].received(data)
            return
        if now != self.now_us:
            self.set_time(now)
        self.mark_us = self.stopwatch()
        client.last_us = now
        size = len(data)
        self.stats.net_input_bytes += size
        if not self.round_began_us:
            self.round_began_us = self.mark_us
        if size > client.query_room:
            client.query_room = max(QUERY_ROOM_BYTES, size)
        request = client.request
        if request is None:
            # Of strangers every line is looked at: they may send little.
            batch, used = self.parser.parse(data) if client.authenticated else ([], 0)
            if used != size:
                client.request = request = Request()
                request.buffer += data[used:]
            if client.halted or client.requests:
                client.requests.extend(batch)
                return
            self.round_requests += len(batch)
            if not batch and client.flags & flags.REPLICA and not data.strip(b"\r\n"):
                self.master.heard(client)
            requests = iter(batch)
            dispatch.process(self, client, requests)
            if client.halted:
                client.requests.extend(requests)
            elif request is not None:
                self._parse(client)
                self._count_unread(client)
        else:
            request.buffer += data
            if not client.halted and not client.requests:
                self._parse(client)
            self._count_unread(client)

    def _count_unread(self, client: Client) -> None:
        """Keep the memory that incomplete requests take."""
        size = client.request.memory if client.request is not None and client.link else 0
        self.unread_bytes += size - client.unread_bytes
        client.unread_bytes = size

    def _parse(self, client: Client) -> None:
        """Run the requests in a client's buffer: what hiredis could not take, and then what it can."""
        limits = Limits(self.config.proto_max_bulk_len, client.authenticated)
        quick = True
        while client.request is not None and not client.halted:
            request = client.request
            if quick and request.begins and client.authenticated:
                batch, used = self.parser.parse(bytes(memoryview(request.buffer)[:READ_AT_ONCE]))
                if quick := used > 0:
                    del request.buffer[:used]
                    self.round_requests += len(batch)
                    requests = iter(batch)
                    dispatch.process(self, client, requests)
                    client.requests.extend(requests)  # it must wait before the last
                    continue
            try:
                argv = request.next(limits)
            except ProtocolError as error:
                self._protocol_error(client, error)
                return
            if argv is None:
                if not request.buffer and not request.missing:
                    client.request = None
                elif request.bulk_length >= BIG_REQUEST_BYTES:
                    client.query_room = max(client.query_room, request.bulk_length + 2)
                if len(request.buffer) > self.config.client_query_buffer_limit:
                    self._query_too_long(client)
                return
            if argv:
                dispatch.process(self, client, iter((argv,)))
                limits.authenticated = client.authenticated

    def _protocol_error(self, client: Client, error: ProtocolError) -> None:
        text = b"ERR Protocol error: %b" % error.args[0]
        client.request = None
        self.count_error(ReplyError(text))
        client.reply(ReplyError(text))
        self.close_after_reply(client)

    def _query_too_long(self, client: Client) -> None:
        self.stats.query_limit_disconnections += 1
        self.log("#", "Closing client that reached max query buffer length")
        self.close_now(client)

    def _resume(self, client: Client) -> None:
        """Run what a client sent while it had to wait."""
        while client.requests and not client.halted:
            self.mark_us = self.stopwatch()
            dispatch.process(self, client, iter((client.requests.popleft(),)))
        if client.request is not None and not client.requests:
            self._parse(client)

    def undelivered(self, link: int, size_bytes: int, now: int) -> None:
        """The world tells how much of what was sent to a link has not left yet (0: all has)."""
        self.set_time(now)
        client = self.links.get(link)
        if client is not None:
            self.undelivered_bytes += size_bytes - client.out_bytes
            client.out_bytes = size_bytes
            if client.flags & flags.REPLICA:
                self.master.undelivered(client)

    def closed(self, link: int, now: int) -> None:
        """The other end closed a link, or it broke."""
        self.set_time(now)
        if link in self.dialled:
            self.dialled[link].closed()
            return
        client = self.links.get(link)
        if client is not None:
            self.free_client(client)

    def refused(self, link: int, error: str, now: int) -> None:
        """A `Dial` failed."""
        self.set_time(now)
        if link in self.dialled:
            self.dialled[link].refused(error)

    def done(self, ticket: int, result: Any, now: int) -> None:
        """A file operation ended: with its result, or with an OSError."""
        self.set_time(now)
        self.mark_us = self.stopwatch()
        method, args = self.tickets.pop(ticket)
        getattr(self, method)(result, *args)

    def snapshot(self, snapshot: int, error: str | None, now: int) -> None:
        """A `Snapshot` ended; `error` says why it failed."""
        self.set_time(now)
        if snapshot == self.master.snapshot:
            self.persistence.child_ended()
            self.master.snapshot_ended(snapshot, error)
        elif snapshot == self.aof.rewriting:
            self.aof.rewrite_ended(error)
        else:
            self.persistence.ended(snapshot, error)

    def aof_synced(self, result: Any, offset: int) -> None:
        """A background fsync of the append-only file ended."""
        self.aof.synced(result, offset)

    def snapshot_data(self, snapshot: int, data: bytes, now: int) -> None:
        """A piece of a `Snapshot` without a file is there."""
        self.set_time(now)
        self.master.snapshot_data(snapshot, data)

    def snapshot_progress(self, keys: int, cow_bytes: int, now: int) -> None:
        """The child that writes a `Snapshot` has written so many keys; memory copied because of it, in bytes."""
        self.persistence.child.told(keys, cow_bytes, now // 1_000_000)

    def snapshot_chunks(self, kind: str, chunk_bytes: int = 1 << 16) -> Iterator[bytes]:
        """Yield the pieces of a snapshot.

        Kinds: "rdb"; "functions" and "nothing", which leave out what a replica does not want; "aof", the base of an
        append-only file.
        """
        return self.aof.chunks(chunk_bytes) if kind == "aof" else self.persistence.chunks(chunk_bytes, kind=kind)

    def wake(self, now: int) -> None:
        """`deadline()` has come."""
        self.set_time(now)
        if self.exiting:
            return
        self.mark_us = self.stopwatch()
        self.round_began_us = self.round_began_us or self.mark_us  # what the clock brings takes time as well
        blocking.wake_due(self)
        self.pauses.wake_due()
        if now >= self.cron_at_us:
            if not self.cron_paused:
                self.cron()
                self.stats.cron_time_us += max(1, self.stopwatch() - self.mark_us)
            self.cron_at_us = now + 1_000_000 // self.config.hz
        self.wake_at_us = self.cron_at_us
        if self.master.sending:
            self.master.send_pieces()
        if self.aftermath:
            self.after_command()

    def deadline(self) -> int:
        """Return the time in µs at which `wake` is due."""
        until = self.waiting.next_deadline(self.clients)
        if self.pauses.active:
            paused_until = self.pauses.next_deadline()
            if until is None or paused_until < until:
                until = paused_until
        if until is not None and until * 1000 < self.wake_at_us:
            return until * 1000
        return self.wake_at_us

    def signal(self, name: str, now: int) -> None:
        """A signal arrived: "term" and "int" shut the server down."""
        self.set_time(now)
        if self.exiting:
            return
        wanted = self.config.shutdown_on_sigint if name == "int" else self.config.shutdown_on_sigterm
        self.shutdown.signalled({option.encode(): None for option in wanted})

    def settled(self, now: int) -> list[Effect]:
        """End a round of inputs: everything that was replied becomes one `Send` a link; returns all effects."""
        if self.resumable:
            while self.resumable:
                client_id = next(iter(self.resumable))
                del self.resumable[client_id]
                client = self.clients.get(client_id)
                if client is not None and not client.halted:
                    self._resume(client)
        if self.tracks:
            self.tracking.limit()
            self.tracking.broadcast()
        self.stats.rounds += 1
        if self.round_began_us:
            self.stats.round_ended(self.stopwatch() - self.round_began_us, self.round_requests)
            self.round_began_us = self.round_requests = 0
        if self.replica.client is not None and not self.exiting:
            self.replica.resume()
        if self.aof.state != OFF:
            flushing_us = self.stopwatch()
            self.aof.flush()
            self.stats.aof_time_us += self.stopwatch() - flushing_us
        if self.resume_waiting or self.replication.ask_for_acks:
            self.resume_waiting = False
            self.replication.serve_waiting()
        if self.failover.under_way and not self.exiting:
            self.failover.update()  # acknowledgements may have come; only now, for it hangs up on replicas
        if self.master.round:
            self.master.hand_out()
        effects = self.effects
        if self.pending_out:
            least, sent = self.limits.least, 0
            for client in self.pending_out:
                out = client.out
                if out:
                    data = out[0] if len(out) == 1 else b"".join(out)
                    if len(data) > client.reply_peak:
                        client.reply_peak = min(len(data), client.reply_buffer)
                    if (client.out_bytes or len(data) >= least) and not self._within_limits(client, len(data)):
                        continue
                    client.out = []
                    if client.link:
                        effects.append(_new(Send, (client.link, data)))
                        if client.flags & flags.REPLICA:
                            self.stats.net_repl_output_bytes += len(data)
                        else:
                            sent += len(data)
                if client.flags & flags.CLOSE_AFTER_REPLY:
                    self._hang_up(client)
            self.stats.net_output_bytes += sent
            self.pending_out = []
            self.replied_bytes = 0
        if self.config.maxmemory_clients:
            self.limits.evict()  # after those that are over their own limits are gone
        if self.last_effect is not None:
            effects.append(self.last_effect)
            self.last_effect = None
        self.effects = []
        return effects

    def _within_limits(self, client: Client, size_bytes: int) -> bool:
        """Check the output that waits for a client with what is about to be added; False when it was too much."""
        return self.limits.allow_output(client, client.out_bytes + size_bytes)

    # --- clients ------------------------------------------------------------------------------------------------

    def close_after_reply(self, client: Client) -> None:
        """Hang up once what was replied so far has been sent; nothing more is read."""
        client.flags |= flags.CLOSE_AFTER_REPLY
        client.halted = True
        client.update_gated()
        if client.flags & (flags.REPLY_OFF | flags.REPLY_SKIP):
            return  # there is no reply: Redis leaves it to the client to hang up
        if client not in self.pending_out:
            self.pending_out.append(client)

    def close_now(self, client: Client) -> None:
        """Hang up without sending what is still queued (CLIENT KILL, output limits)."""
        self.replied_bytes = max(0, self.replied_bytes - sum(map(len, client.out)))
        client.out = []
        self._hang_up(client)

    def _hang_up(self, client: Client) -> None:
        if client is self.replica.client:
            self.replica.lost("")  # the master's client: its link has to be dialled anew, not only dropped
            return
        link = client.link
        self.free_client(client)
        if link:
            self.effects.append(Hangup(link))

    def free_client(self, client: Client) -> None:
        """Forget a client: its subscriptions, watches, waits."""
        if client.blocking is not None:
            blocking.unblock(self, client)
        self.resumable.pop(client.id, None)
        self.transactions.unwatch(client)
        self.master.detach(client)
        self.pubsub.forget(client)
        self.tracking.disable(client)
        self.monitors.remove(client)
        if self.observers and client.id in self.clients:
            self.emit(ClientClosed(self.now_us, client.id))
        self.clients.pop(client.id, None)
        self.links.pop(client.link, None)
        self.undelivered_bytes -= client.out_bytes
        self.unread_bytes -= client.unread_bytes
        client.unread_bytes = 0
        self.limits.soft_since_s.pop(client.id, None)
        client.halted = True
        client.link = 0

    def block_client(self, client: Client, why: Blocking) -> None:
        """See `Client.block`."""
        blocking.block(self, client, why)

    def on_timeout(self, client: Client) -> bool:
        """Deal with a wait that is not for keys; True when nothing more is to be done."""
        why = client.blocking
        if why is None or why.kind not in (BLOCKED_WAIT, BLOCKED_WAITAOF):
            return False
        self.replication.end_waiting(client, why)
        return True

    @property
    def deletion(self) -> bytes:
        """The command by which replicas are told of an expired key."""
        return b"UNLINK" if self.config.lazyfree_lazy_expire else b"DEL"

    @property
    def is_replica(self) -> bool:
        """Whether the node follows a master."""
        return self.config.replicaof is not None

    def executing_client_id(self) -> int:
        """Return the id of the client whose command runs, a script's caller for its script; 0 for none."""
        client = self.script_caller or self.executing
        return client.id if client is not None else 0

    # --- commands -----------------------------------------------------------------------------------------------

    def call(self, ctx: Client, command: Command, argv: Argv) -> Reply:
        """Run a command past the gates (EXEC, scripts, blocked clients)."""
        return dispatch.call(self, ctx, command, argv)

    def stats_of(self, command: Command) -> CommandStats:
        """Return the statistics of a command."""
        stats = self.command_stats.get(command.name)
        if stats is None:
            stats = self.command_stats[command.name] = CommandStats()
        return stats

    def count_error(self, error: ReplyError) -> None:
        """Count an error reply by its code (INFO errorstats)."""
        self.stats.total_error_replies += 1
        code = error.text.split(b" ", 1)[0]
        errors = self.stats.errors
        if code in errors or len(errors) < 128:
            errors[code] = errors.get(code, 0) + 1

    def internal_error(self, command: Command, argv: Argv, error: Exception, trace: str) -> None:
        """A handler failed in a way that is our fault: say which, and go on."""
        shown = " ".join(repr(arg[:64])[1:] for arg in argv[:8])
        self.log("#", f"Internal error in command {shown}: {trace}")

    def after_command(self, command: Command | None = None) -> None:
        """End a unit of execution: propagate it, tell who must be told, serve blocked clients."""
        self.aftermath = False
        ctx = self.executing
        if self.pending_propagation:
            self.flush_propagation(command is None or not command.flags & TOUCHES_ARBITRARY_KEYS)
        if self.waiting.ready and ctx is None:
            if self.stalled_until_us > self.now_us:
                self.set_time(self.stalled_until_us)  # DEBUG SLEEP: to those who waited the time has passed
            blocking.serve_ready(self)

    def after_unit(self) -> None:
        """Hand what a command, transaction or script changed to the stream, in one piece."""
        if self.pending_propagation:
            self.flush_propagation()

    # --- propagation --------------------------------------------------------------------------------------------

    def propagate_call(self, ctx: Client, argv: Argv, changed: bool) -> None:
        """Propagate what a command did, as itself or in the form that its handler gave."""
        instead, self.instead = self.instead, None
        forced, self.force_propagation = self.force_propagation, False
        targets, self.propagation_targets = self.propagation_targets, PROPAGATE_ALL
        if self.propagating and (changed or forced):
            self.aftermath = True
            if instead is None:
                self.pending_propagation.append((ctx.db.index, argv, targets))
                return
            for command in instead:
                self.pending_propagation.append((ctx.db.index, command, targets))

    def also_propagate(self, db: int, argv: Argv, targets: int = PROPAGATE_ALL) -> None:
        """Add a command to what the running unit propagates."""
        if self.propagating:
            self.pending_propagation.append((db, argv, targets))
            self.aftermath = True

    def flush_propagation(self, as_unit: bool = True) -> None:
        """Feed the stream; what several commands changed at once is wrapped in MULTI and EXEC.

        Deletions of keys that nobody named (found expired by cron, SCAN or RANDOMKEY, or evicted) make no unit.
        """
        unit, self.pending_propagation = self.pending_propagation, []
        if len(unit) == 1 and self.config.replicaof is None:
            db, argv, targets = unit[0]
            if targets & PROPAGATE_AOF and self.aof.state != OFF:
                self.aof.feed(db, argv)
            if targets & PROPAGATE_REPLICAS:
                if self.replication.backlog is not None:
                    self.master.feed(db, argv)
                else:
                    self.replication.offset += 1
            return
        if as_unit and len(unit) > 1:
            unit = [(-1, [b"MULTI"], PROPAGATE_ALL), *unit, (-1, [b"EXEC"], PROPAGATE_ALL)]
        if self.aof.state != OFF:
            for db, argv, targets in unit:
                if targets & PROPAGATE_AOF:
                    self.aof.feed(db, argv)
        if self.config.replicaof is not None:
            return  # a replica passes on its master's bytes as they are, and adds nothing to them
        replicated = [(db, argv) for db, argv, targets in unit if targets & PROPAGATE_REPLICAS]
        if self.replication.backlog is None:
            # Nobody reads these bytes, but WAITAOF goes by the offset.
            self.replication.offset += len(replicated)
            return
        for db, argv in replicated:
            self.master.feed(db, argv)

    def update_propagating(self) -> None:
        """Recompute whether anybody reads the stream of changes."""
        self.propagating = self.replication.backlog is not None or self.aof.state != OFF

    def send(self, link: int, data: bytes) -> None:
        """Send bytes on a link that is no client's (to our master)."""
        self.stats.net_repl_output_bytes += len(data)
        self.effects.append(Send(link, data))

    # --- roles --------------------------------------------------------------------------------------------------

    def follow(self, host: str, port: int, why: str = "") -> None:
        """Become a replica of another server; `why` is for the log."""
        was_master = not self.is_replica
        before = self.config.replicaof
        self.config.replicaof = MasterAddress(host, port)
        if before is None or was_master:
            for client in [held for held in self.clients.values() if held.blocking is not None]:
                blocking.unblock_with_error(
                    self,
                    client,
                    ReplyError(
                        b"UNBLOCKED force unblock from blocking operation, instance state changed "
                        b"(master -> replica?)"
                    ),
                )
        if was_master:
            self.replica.take_own_history()
        self.update_role()
        self.tell_role(why)
        self.replica.follow()
        if why:
            self.log("*", f"REPLICAOF {host}:{port} enabled ({why})")

    def promote(self, why: str = "") -> None:
        """Become a master, with the data as it is; `why` is for the log."""
        self.config.replicaof = None
        self.replica.stop()
        self.replication.shift_id()
        self.master.selected = -1
        self.replication.need_backlog(keep_id=True)
        self.master.no_replicas_since_us = self.now_us
        self.replication.drop_replicas("the role changed: they have to ask anew")
        self.update_role()
        self.tell_role(why)
        if why:
            self.log("*", f"MASTER MODE enabled ({why})")
        if self.config.appendonly:
            self.aof.enable()  # a transfer that came to nothing may have switched it off

    def tell_role(self, why: str) -> None:
        """Tell those who look on which role the node has from here on."""
        if self.observers:
            self.emit(RoleChanged(self.now_us, "slave" if self.is_replica else "master", self.replica.master, why))

    def update_role(self) -> None:
        """Take over what depends on the role and on the state of the link to the master."""
        replica = self.is_replica
        connected = self.replica.state == CONNECTED
        self.read_only_replica = replica and self.config.replica_read_only
        self.stale = replica and not connected and not self.config.replica_serve_stale_data
        if not self.pauses.active:
            self.space.expire_mode = EXPIRE_HIDE if replica else EXPIRE_DELETE
        self.update_gated()

    def answer_waiting(self, client: Client, reply: Reply) -> None:
        """End a client's wait with a reply."""
        blocking.unblock(self, client)
        client.reply(reply)

    # --- what the keyspace tells (engine.keyspace.Observer) -----------------------------------------------------

    def key_modified(self, db: Database, key: bytes) -> None:
        """A key changed: transactions that watch it will fail."""
        if key in db.watchers:
            self.transactions.key_modified(db, key)
        if self.tracks:
            self.tracking.changed(key)
        if self.observers:
            self.emit(KeyChanged(self.now_us, db.index, key))

    def key_ready(self, db: Database, key: bytes) -> None:
        """A key that clients wait for was added or grew."""
        self.waiting.ready[(db.index, key)] = None
        self.aftermath = True

    def key_expired(self, db: Database, key: bytes) -> None:
        """A key's time was up: replicas are told with a DEL of their own."""
        self.also_propagate(db.index, [self.deletion, key])
        if self.observers:
            self.emit(KeyExpired(self.now_us, db.index, key))

    def keyspace_event(self, kind: int, event: bytes, key: bytes, db: int) -> None:
        """Publish a keyspace notification."""
        if self.space.notify_mask & NOTIFY_KEYSPACE:
            self.pubsub.publish(b"__keyspace@%d__:%b" % (db, key), event)
        if self.space.notify_mask & NOTIFY_KEYEVENT:
            self.pubsub.publish(b"__keyevent@%d__:%b" % (db, event), key)

    # --- whole databases ----------------------------------------------------------------------------------------

    def update_attended(self) -> None:
        """Recompute whether anybody is to be told of changed keys."""
        self.space.attended = bool(
            self.observers or self.tracking.active or any(db.watchers for db in self.space.databases)
        )
        self.update_gated()

    def flush(self, databases: list[Database]) -> None:
        """Remove all keys of databases, and tell everybody."""
        for db in databases:
            self.transactions.flushing(db)
            self.space.dirty += db.clear()
            for key in db.blocked:
                self.key_ready(db, key)
        self.tracking.flushed()

    def swap(self, first: Database, second: Database) -> None:
        """Exchange two databases, and tell everybody."""
        self.transactions.swapping(first, second)
        self.transactions.swapping(second, first)
        first.swap(second)
        for db in (first, second):
            for key in db.blocked:
                self.key_ready(db, key)

    # --- gates (called from dispatch.gates) ---------------------------------------------------------------------

    def update_gated(self) -> None:
        """Recompute which commands may be refused for a reason that lies with the node, or are looked at."""
        every = bool(
            self.config.maxmemory
            or self.config.maxmemory_clients
            or self.monitors.clients
            or self.tracks
            or self.observers
            or self.load is not None
            or self.busy
            or self.stale
            or self.cluster_enabled
            or self.pauses.active
            or not self.persistence.last_status_ok
            or self.aof.error
        )
        writes = self.read_only_replica or self.config.min_replicas_to_write
        self.gated = -1 if every else WRITE | MAY_REPLICATE if writes else 0

    def check_protected(self, ctx: Client, command: Command) -> None:
        """Refuse DEBUG and MODULE unless the configuration lets this client use them."""
        setting = self.config.enable_debug_command if command.name.startswith(b"debug") else "no"
        local = ctx.kind == "unix" or ctx.peer.startswith(("127.", "[::1]"))
        if setting == "yes" or (setting == "local" and local):
            return
        name = command.name.split(b"|")[0]
        raise ReplyError(
            b'ERR %b command not allowed. If the enable-%b-command option is set to "local", you can run it from '
            b"a local connection, otherwise you need to set this option in the configuration file, and then restart "
            b"the server." % (name.upper(), name)
        )

    def check_cluster(self, ctx: Client, command: Command, argv: Argv) -> None:
        """Refuse or redirect what this cluster node does not serve."""

    def make_room(self, command: Command, ctx: Client) -> bool:
        """Evict until memory is within its limit; False when that was not possible."""
        if self.is_replica and self.config.replica_ignore_maxmemory:
            return True
        return self.eviction.make_room()

    def write_refusal(self, ctx: Client, command: Command) -> bytes | None:
        """Return why writes are refused now (MISCONF, NOREPLICAS), or None."""
        if ctx.flags & flags.MASTER:
            return None
        if self.persistence.writes_refused:
            return MISCONF
        if self.aof.error:
            return b"MISCONF Errors writing to the AOF file: %b" % self.aof.error.encode()
        if self.replication.too_few_replicas:
            return b"NOREPLICAS Not enough good replicas to write."
        return None

    def busy_error(self) -> bytes:
        """Return what clients get while a script runs too long."""
        return self.scripting.busy_error()

    # --- time ---------------------------------------------------------------------------------------------------

    def cron(self) -> None:
        """Do what is done `hz` times a second: expire keys, sample rates."""
        self.cron_loops += 1
        self.space.lru_clock = self.now_ms // 1000
        if self.cron_loops % max(1, self.config.hz * Rates.PERIOD_MS // 1000) == 0:
            calls = sum(stats.calls for stats in self.command_stats.values())
            self.rates.sample(self.stats, calls, self.now_us)
        if self.space.own_expiring:
            if not self.is_replica:
                self.space.own_expiring.clear()
            elif self.active_expire:
                self.space.expire_own(EXPIRED_PER_CYCLE)
        if self.active_expire and self.space.expire_mode == EXPIRE_DELETE:
            self._expire_keys()
        if self.eviction.due:
            self.eviction.due = False
            if self.config.maxmemory and not (self.is_replica and self.config.replica_ignore_maxmemory):
                self.eviction.make_room()
        self.persistence.cron()
        self.aof.cron()
        self.shutdown.cron()
        if self.exiting:
            return  # what is on the disk is all that there will be: nothing may go beyond it
        self.limits.cron()
        if self.now_us - self.replication_cron_us >= 1_000_000:
            self.replication_cron_us = self.now_us
            if self.replica.state != NONE:
                self.replica.cron()
            self.master.cron()
        if self.pending_propagation:
            self.flush_propagation(as_unit=False)

    def _expire_keys(self) -> None:
        """Remove keys whose time has come."""
        started_us = self.stopwatch()
        for db in self.space.databases:
            if db.expiring:
                db.expire_due(EXPIRED_PER_CYCLE)
        elapsed_us = self.stopwatch() - started_us
        self.stats.expire_cycle_us += elapsed_us
        self.latency.took(self, b"expire-cycle", elapsed_us)

    def slow_command(self, ctx: Client, command: Command, argv: Argv, elapsed_us: int) -> None:
        """Note a command that took longer than the slow log's or the latency monitor's limit."""
        config = self.config
        self.latency.took(self, b"fast-command" if command.flags & FAST else b"command", elapsed_us)
        limit_us = config.slowlog_log_slower_than
        if 0 <= limit_us <= elapsed_us and not command.flags & SKIP_SLOWLOG:
            shown = self.shown(argv)
            who = self.script_caller or ctx
            self.slowlog.note(
                self.now_us // 1_000_000, elapsed_us, shown, who.peer.encode(), who.name, config.slowlog_max_len
            )

    def shown(self, argv: Argv) -> Argv:
        """Return a command as the slow log and MONITOR may show it."""
        held, positions = self.redacted
        return redacted(argv, positions) if held is argv else argv

    def configured(self) -> None:
        """Take over settings that the node keeps in its own fields."""
        config = self.config
        limits = [config.slowlog_log_slower_than] if config.slowlog_log_slower_than >= 0 else []
        if config.latency_monitor_threshold:
            limits.append(config.latency_monitor_threshold * 1000)
        self.slow_us = min(limits, default=NEVER_SLOW)
        self.limits.configured()
        self.space.set_policy(config.maxmemory_policy, config.lfu_log_factor, config.lfu_decay_time)
        self.space.set_notifications(config.notify_keyspace_events)
        self.update_role()

    def not_counted_for_eviction(self) -> int:
        """Return the bytes that no eviction could free: buffers of replicas and of the append-only file."""
        return self.aof.buffer_bytes + max(0, self.replication.buffer_bytes - self.config.repl_backlog_size)

    def used_memory(self) -> int:
        """Return what the node uses, in bytes."""
        return used_memory(self)

    def function_sources(self) -> list[bytes]:
        """Return the sources of the function libraries."""
        return [library.source for library in self.scripting.libraries.values()]

    def load_functions(self, sources: list[bytes], replace: bool = False) -> None:
        """Take over function libraries from a snapshot, beside those that are there; raises ReplyError."""
        for source in sources:
            self.scripting.load_library(source, replace, limited=False)

    def scripting_memory(self) -> ScriptingMemory:
        """Return what scripts and functions take."""
        return self.scripting.memory()

    # --- the end ------------------------------------------------------------------------------------------------

    def end(self, last: Exit) -> None:
        """End with this round: what was replied and streamed so far still leaves, and nothing else is heard.

        Whatever a client or a replica got after the snapshot of a shutdown would be missing in it.
        """
        self.exiting = True
        self.last_effect = last
        for client in self.clients.values():
            client.halted = True
            client.requests.clear()
        self.links.clear()
        self.dialled.clear()
        self.resumable.clear()
        self.resume_waiting = self.replication.ask_for_acks = False

    def fail(self, last: Exit) -> None:
        """End, and let nothing leave that this round has brought about."""
        self.end(last)
        self.pending_out = []
        self.replied_bytes = 0
        self.master.round.clear()

    def serialized_length(self, entry: Entry) -> int:
        """Return how many bytes a value takes in an RDB file."""
        return len(objects.save(entry.value))


MISCONF = (
    b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands "
    b"that may modify the data set are disabled, because this instance is configured to report errors during "
    b"writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for "
    b"details about the RDB error."
)

PROTECTED_MODE = (
    b"DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
    b"default user. In this mode connections are only accepted from the loopback interface. If you want to connect "
    b"from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode "
    b"sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the "
    b"same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do "
    b"so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode "
    b"by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting "
    b"the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' "
    b"option. 4) Set up an authentication password for the default user. NOTE: You only need to do one of the above "
    b"things in order for the server to start accepting connections from the outside."
)

_LOG_LEVELS = {"debug": 0, "verbose": 1, "notice": 2, "warning": 3, "nothing": 4}

__all__ = ["BLOCKED_POSTPONE", "Dial", "Node", "World", "encode2", "encode3"]
