"""A client of the node: the state of a connection, and the operations that commands may use.

Handlers receive it as `ctx` (an `engine.server.Context`, which also knows the server). All of it is plain data that
checkpoints copy with the node. A client without a link (`link == 0`) represents the node itself: scripts, the
append-only file being loaded, the master's stream.
"""

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from engine.protocol.errors import ReplyError
from engine.protocol.resp import NO_REPLY, Argv, BatchParser, Reply, Request, canonical_length, encode2, encode3

if TYPE_CHECKING:
    from engine.clients.acl import Acl
    from engine.clients.blocking import Waiting
    from engine.clients.execution import Execution
    from engine.clients.propagation import Propagation
    from engine.clients.replica_link import ReplicaLink
    from engine.core import Core
    from engine.keyspace.databases import Database
    from engine.table.declarations import Command

# Client flags, with the letters that CLIENT LIST shows.
MASTER: Final = 1 << 0  # M: the node is this client's replica
REPLICA: Final = 1 << 1  # S
MONITOR: Final = 1 << 2  # O
MULTI: Final = 1 << 3  # x
BLOCKED: Final = 1 << 4  # b
DIRTY_CAS: Final = 1 << 5  # d: a watched key changed
DIRTY_EXEC: Final = 1 << 6  # a command could not be queued
CLOSE_AFTER_REPLY: Final = 1 << 7  # c
CLOSE_ASAP: Final = 1 << 8  # A
UNBLOCKED: Final = 1 << 9  # u
PUBSUB: Final = 1 << 10  # P
DENY_BLOCKING: Final = 1 << 11  # inside EXEC or a script: blocking commands reply immediately
REPLY_OFF: Final = 1 << 12
REPLY_SKIP_NEXT: Final = 1 << 13
REPLY_SKIP: Final = 1 << 14
TRACKING: Final = 1 << 15  # t
TRACKING_BROKEN_REDIR: Final = 1 << 16  # R
TRACKING_BCAST: Final = 1 << 17  # B
TRACKING_OPTIN: Final = 1 << 18
TRACKING_OPTOUT: Final = 1 << 19
TRACKING_CACHING: Final = 1 << 20
TRACKING_NOLOOP: Final = 1 << 21
NO_EVICT: Final = 1 << 22  # e
NO_TOUCH: Final = 1 << 23  # T
READONLY: Final = 1 << 24  # r: cluster replica reads
UNIX_SOCKET: Final = 1 << 25  # U
SCRIPT: Final = 1 << 26  # the client that a script's redis.call runs as
REEXECUTING: Final = 1 << 27  # a blocked command is running again
PROTECTED: Final = 1 << 28  # must not be freed now: used by a running command
PAUSED: Final = 1 << 29  # postponed by CLIENT PAUSE
INTERNAL: Final = 1 << 30  # not a connection: AOF loading, inspection
ASKING: Final = 1 << 31
PUSHING: Final = 1 << 32  # replies are sent inside a push
LUA_DEBUG: Final = 1 << 33  # scripts of this client run in the debugger
LUA_DEBUG_SYNC: Final = 1 << 34  # ... in this process, and their changes persist

# Where the changes of a command are sent.
PROPAGATE_AOF: Final = 1
PROPAGATE_REPLICAS: Final = 2
PROPAGATE_ALL: Final = PROPAGATE_AOF | PROPAGATE_REPLICAS

# Flags that require checks before commands; without them and without conditions of the node, checks are skipped.
CHECKED: Final = (
    MASTER
    | REPLICA
    | MULTI
    | PUBSUB
    | REPLY_OFF
    | REPLY_SKIP_NEXT
    | REPLY_SKIP
    | TRACKING
    | NO_TOUCH
    | CLOSE_AFTER_REPLY
    | CLOSE_ASAP
    | MONITOR
    | ASKING
)


def usable_bytes(size: int) -> int:
    """Return how many bytes Redis's allocator provides for a string of `size` bytes.

    The allocator has four size classes for each power of two, and the string includes a header and a NUL.
    """
    around = (6 if size < 1 << 16 else 10) + size
    step = 1 << max(4, (around - 1).bit_length() - 3)
    return -(-around // step) * step - (around - size)


QUERY_READ_BYTES: Final = 16 * 1024  # Redis allocates a buffer of this size before it reads
QUERY_ROOM_BYTES: Final = usable_bytes(QUERY_READ_BYTES)
REPLY_CHUNK_BYTES: Final = 16 * 1024  # size of a reply buffer in Redis, which sizes in CLIENT LIST depend on

# Reasons for blocking a client.
BLOCKED_LIST: Final = "list"
BLOCKED_ZSET: Final = "zset"
BLOCKED_STREAM: Final = "stream"
BLOCKED_WAIT: Final = "wait"
BLOCKED_WAITAOF: Final = "waitaof"
BLOCKED_POSTPONE: Final = "postpone"
BLOCKED_SHUTDOWN: Final = "shutdown"


class Blocking:
    """Why a client is blocked, and until when; the command runs again when a key becomes ready."""

    __slots__ = (
        "argv",
        "command",
        "data",
        "db",
        "keys",
        "kind",
        "on_nokey",
        "since_us",
        "spent_us",
        "timer",
        "until_us",
    )

    def __init__(self, kind: str, db: int, keys: list[bytes], until_us: int | None) -> None:
        self.kind = kind
        self.db = db
        self.keys = keys
        self.until_us = until_us  # by the monotonic clock; None: forever
        self.on_nokey = False  # also wake when a key is deleted or changes its type (XREADGROUP)
        self.argv: Argv = []
        self.command: Command | None = None
        self.data: object = None  # specific to the kind: for WAIT the offset and the number of replicas
        self.timer = 0  # ID of the timer for the timeout
        self.since_us = 0
        self.spent_us = 0  # time spent in the handler


class Outbox:
    """The output of all clients that has not been sent yet, and the input that is incomplete."""

    __slots__ = ("clients", "output_pending_bytes", "replied_bytes", "unread_bytes")

    def __init__(self) -> None:
        self.clients: list[Client] = []  # with output in this round, in the order of their first output
        self.replied_bytes = 0  # size of that output (for a pipeline without checks, of its first reply only)
        self.output_pending_bytes = 0  # output passed to the world and not yet sent, for all clients
        self.unread_bytes = 0  # size of incomplete requests


class Divergence(Protocol):
    """Handles errors in a replication stream: the data sets have probably diverged."""

    def diverges(self, client: "Client", error: ReplyError, name: str = "") -> None:
        """Record the error of a client's command, or of the command `name`."""


class ReplicaLinks(Protocol):
    """The links to replicas, which receive the replication stream and no replies."""

    def refuse_reply(self, client: "Client") -> None:
        """Disconnect a replica that sent a command with a reply."""


class Shared:
    """The parts of a node that all of its clients use."""

    __slots__ = (
        "acl",
        "clock",
        "divergence",
        "execution",
        "outbox",
        "parser",
        "propagation",
        "replica_links",
        "space",
        "waiting",
    )

    acl: "Acl"
    divergence: Divergence
    replica_links: ReplicaLinks

    def __init__(
        self,
        core: "Core",
        execution: "Execution",
        propagation: "Propagation",
        waiting: "Waiting",
        outbox: Outbox,
        parser: BatchParser,
    ) -> None:
        self.clock = core.clock
        self.space = core.space
        self.execution = execution
        self.propagation = propagation
        self.waiting = waiting
        self.outbox = outbox
        self.parser = parser


class TrackingState:
    """A tracking client's redirection (0: itself) and prefixes."""

    __slots__ = ("prefixes", "redirect")

    def __init__(self, redirect: int) -> None:
        self.redirect = redirect
        self.prefixes: dict[bytes, None] = {}


class Client:
    """One connection (or a pseudo client)."""

    __slots__ = (
        "authenticated",
        "blocking",
        "channels",
        "created_us",
        "current",
        "db",
        "execution",
        "flags",
        "halted",
        "id",
        "invalidations",
        "kind",
        "last_us",
        "lib_name",
        "lib_ver",
        "link",
        "local",
        "name",
        "needs_checks",
        "out",
        "out_bytes",
        "outbox",
        "patterns",
        "peer",
        "push_after",
        "query_peak",
        "query_room",
        "queue",
        "replica",
        "reply_buffer",
        "reply_peak",
        "reply_peak_since_us",
        "request",
        "requests",
        "resp",
        "shard_channels",
        "shared",
        "slot",
        "tracking",
        "unread_bytes",
        "user",
        "watched",
        "written_offset",
    )

    def __init__(self, shared: Shared, client_id: int, link: int, peer: str = "", local: str = "") -> None:
        self.shared = shared
        self.execution = shared.execution
        self.outbox = shared.outbox
        self.id = client_id
        self.link = link
        self.peer = peer  # "127.0.0.1:50000", or the path of the unix socket with ":0"
        self.local = local
        self.kind = "tcp"
        self.db: Database = shared.space.databases[0]
        self.resp = 2
        self.flags = 0
        self.needs_checks = False  # True if commands of this client need checks: see `update_checks`
        self.halted = False  # True while requests must wait: blocked, paused, about to be closed
        self.authenticated = True
        self.user: bytes | None = None  # name of the ACL user; None if not authenticated
        self.name = b""
        self.lib_name = b""
        self.lib_ver = b""
        self.created_us = self.last_us = shared.clock.monotonic_us
        self.out: list[bytes] = []  # encoded replies of this round, not yet sent
        self.push_after: list[bytes] = []  # pushes that must follow the reply of the running command
        self.invalidations: list[list[bytes] | None] = []  # to itself, sent after those pushes (see Tracking)
        self.out_bytes = 0  # passed to the world and not yet sent
        self.reply_buffer = REPLY_CHUNK_BYTES  # size of the reply buffer in a real server (CLIENT LIST rbs)
        self.reply_peak = REPLY_CHUNK_BYTES  # recent peak use of that buffer (rbp)
        self.reply_peak_since_us = shared.clock.monotonic_us
        self.query_room = 0  # bytes that Redis would have reserved for requests (CLIENT LIST qbuf-free)
        self.query_peak = 0  # the peak use since cron last checked
        self.request: Request | None = None  # an incomplete request
        self.unread_bytes = 0  # size of the incomplete request
        self.slot = -1  # of the keys of the command that runs (in a cluster); -1: none
        self.requests: deque[Argv] = deque()  # complete requests that wait (blocked, paused)
        self.queue: list[tuple[Command, Argv]] | None = None  # MULTI
        self.watched: dict[tuple[int, bytes], bool] = {}  # WATCH: (db, key) -> was already expired then
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.shard_channels: dict[bytes, None] = {}
        self.blocking: Blocking | None = None
        self.current: Command | None = None  # the last command, for CLIENT LIST
        self.tracking: TrackingState | None = None
        self.written_offset = 0  # of the replication stream, after the client's last change (WAIT)
        self.replica: ReplicaLink | None = None  # set when the client identifies itself as a replica

    # --- for handlers -------------------------------------------------------------------------------------------

    def rewrite(self, *commands: Argv) -> None:
        """Set the commands to propagate instead of the running one (several are wrapped in MULTI/EXEC)."""
        self.execution.overridden().commands = list(commands)

    def also_propagate(self, *argv: bytes) -> None:
        """Propagate a command in addition to, and before, the running one."""
        self.shared.propagation.also(self.db.index, list(argv))

    def no_propagate(self) -> None:
        """Propagate nothing for the running command, even if it made changes."""
        self.execution.overridden().commands = []

    def force_propagate(self, to_aof: bool = True) -> None:
        """Propagate the running command even if it changed no key (SCRIPT FLUSH; PUBLISH, to replicas only)."""
        override = self.execution.overridden()
        override.forced = True
        if not to_aof:
            override.targets = PROPAGATE_REPLICAS

    def redact(self, *positions: int) -> None:
        """Hide secret arguments of the running command from the slow log and MONITOR."""
        self.execution.redactions = (self.execution.argv, positions)

    def block(
        self,
        kind: str,
        keys: list[bytes],
        until_us: int | None,
        on_nokey: bool = False,
        data: object = None,
        argv: Argv | None = None,
    ) -> Reply:
        """Block on keys until one is ready (the command then runs again) or `until_us` has passed (None: never).

        The command runs again with `argv` if given, in which arguments such as `$` are replaced by their original
        meaning. The handler must return the result of this method. Check `can_block` first: inside EXEC and scripts,
        blocking commands reply immediately as if they had timed out.
        """
        blocking = Blocking(kind, self.db.index, list(dict.fromkeys(keys)), until_us)
        blocking.on_nokey = on_nokey
        blocking.data = data
        blocking.argv = self.execution.argv if argv is None else argv
        self.shared.waiting.block(self, blocking)
        return NO_REPLY

    @property
    def in_script(self) -> bool:
        """Whether the command is called by a script."""
        return bool(self.flags & SCRIPT)

    @property
    def can_block(self) -> bool:
        """Whether the client may block. The master's client may not: nothing would unblock it."""
        return not self.flags & (DENY_BLOCKING | MASTER)

    @property
    def is_executing(self) -> bool:
        """Whether a command of this client, or a script that it called, is running."""
        return self.execution.is_running(self)

    def push(self, message: Reply) -> None:
        """Queue an out-of-band message; it is sent after the reply of the client's running command."""
        self.push_encoded(encode3(message) if self.resp == 3 else encode2(message))

    def push_encoded(self, data: bytes) -> None:
        """Queue an out-of-band message that is already in the client's protocol."""
        if self.is_executing:
            self.push_after.append(data)
            self.execution.post_execution = True
        else:
            self.write(data)

    def flush_pushes(self) -> None:
        """Queue the messages held back until the reply of a command."""
        for data in self.push_after:
            self.write(data)
        self.push_after = []

    def take_pushes(self) -> list[bytes]:
        """Return and clear the messages held back until the reply of the running command."""
        pushes, self.push_after = self.push_after, []
        return pushes

    def write(self, data: bytes) -> None:
        """Queue bytes that are already in the client's protocol."""
        outbox = self.outbox
        if not self.out:
            outbox.clients.append(self)
        self.out.append(data)
        outbox.replied_bytes += len(data)

    def reply(self, value: Reply) -> None:
        """Queue a reply, unless the client turned replies off."""
        if type(value) is ReplyError and self.flags & (MASTER | REPLICA):
            self.shared.divergence.diverges(self, value)
        if self.flags & (MASTER | REPLY_OFF | REPLY_SKIP):
            return
        data = encode3(value) if self.resp == 3 else encode2(value)
        if data and self.flags & (REPLICA | MONITOR) == REPLICA:
            self.shared.replica_links.refuse_reply(self)
        else:
            self.write(data)

    def end_reply_skip(self) -> None:
        """End a request, whatever its result: CLIENT REPLY SKIP silences only the next request."""
        held = self.flags & (REPLY_SKIP | REPLY_SKIP_NEXT)
        if held and self.blocking is None:
            self.flags &= ~held
            if held & REPLY_SKIP_NEXT:
                self.flags |= REPLY_SKIP
            self.update_checks()

    def close_after_reply(self) -> None:
        """Disconnect after the output queued so far has been sent; reads no more requests."""
        self.flags |= CLOSE_AFTER_REPLY
        self.halted = True
        self.update_checks()
        if self.flags & (MASTER | REPLY_OFF | REPLY_SKIP):
            return  # there is no reply: as in Redis, the client must close the connection
        if self not in self.outbox.clients:
            self.outbox.clients.append(self)

    @property
    def query_bytes(self) -> int:
        """The size in bytes of the client's requests that have not run yet."""
        held = sum(map(canonical_length, self.requests))
        return held + len(self.request.buffer) if self.request is not None else held

    def make_query_room(self, size: int) -> None:
        """Reserve as much as Redis does for a large argument: the buffer is then used for the next requests."""
        self.query_room = usable_bytes(size + 2)
        self.query_peak = size + 2

    def memory(self) -> "ClientMemory":
        """Return the client's memory usage as shown by CLIENT LIST."""
        return ClientMemory(self)

    def update_checks(self) -> None:
        """Recompute `needs_checks` after a change of flags, user or authentication."""
        restricted = not self.authenticated or not self.shared.acl.unrestricted(self.user)
        self.needs_checks = restricted or bool(self.flags & CHECKED)


class ClientMemory:
    """A client's memory usage in bytes (deterministic accounting, not the interpreter's)."""

    __slots__ = (
        "argv",
        "multi",
        "output",
        "output_blocks",
        "output_buffer",
        "query",
        "query_free",
        "reply_buffer",
        "reply_peak",
        "total",
    )

    def __init__(self, client: Client) -> None:
        request = client.request
        self.query = client.query_bytes
        running = client.execution.client is client
        self.argv = sum(map(len, client.execution.argv)) if running else 0
        if running:
            # In a real server, the running request is still in the buffer.
            self.query += canonical_length(client.execution.argv)
        self.query_free = max(0, client.query_room - self.query)
        if request is not None:
            self.argv += request.args_bytes
        self.multi = sum(sum(map(len, argv)) for _, argv in client.queue) if client.queue is not None else 0
        waiting = sum(map(len, client.out)) + client.out_bytes
        self.reply_buffer = client.reply_buffer
        self.reply_peak = client.reply_peak
        self.output_buffer = min(waiting, client.reply_buffer)
        beyond = waiting - self.output_buffer
        self.output_blocks = -(-beyond // REPLY_CHUNK_BYTES)
        self.output = beyond
        names = client.channels, client.patterns, client.shard_channels
        subscriptions = sum(64 + len(name) for held in names for name in held)
        watched = sum(64 + len(key) for _, key in client.watched)
        self.total = 1928 + self.reply_buffer + self.query + self.query_free + self.argv + self.multi
        tracked = client.tracking.prefixes if client.tracking is not None else ()
        prefixes = sum(64 + len(prefix) for prefix in tracked)
        self.total += self.output + subscriptions + watched + prefixes
