"""A client of the node: one connection's state, and what a handler may reach.

Handlers get it as `ctx`. Everything in it is plain data: it is copied with the node by checkpoints. A client without
a link (`link == 0`) stands for the node itself: scripts, the append-only file being loaded, the master's stream.
"""

from collections import deque
from typing import TYPE_CHECKING

from engine.errors import ReplyError
from engine.resp import NO_REPLY, Argv, Reply, Request, canonical_length, encode2, encode3

if TYPE_CHECKING:
    from engine.keyspace import Database
    from engine.node import Node
    from engine.table import Command

# Client flags, with the letters that CLIENT LIST shows.
MASTER = 1 << 0  # M: the node is this client's replica
REPLICA = 1 << 1  # S
MONITOR = 1 << 2  # O
MULTI = 1 << 3  # x
BLOCKED = 1 << 4  # b
DIRTY_CAS = 1 << 5  # d: a watched key changed
DIRTY_EXEC = 1 << 6  # a command could not be queued
CLOSE_AFTER_REPLY = 1 << 7  # c
CLOSE_ASAP = 1 << 8  # A
UNBLOCKED = 1 << 9  # u
PUBSUB = 1 << 10  # P
DENY_BLOCKING = 1 << 11  # inside EXEC or a script: blocking commands answer at once
REPLY_OFF = 1 << 12
REPLY_SKIP_NEXT = 1 << 13
REPLY_SKIP = 1 << 14
TRACKING = 1 << 15  # t
TRACKING_BROKEN_REDIR = 1 << 16  # R
TRACKING_BCAST = 1 << 17  # B
TRACKING_OPTIN = 1 << 18
TRACKING_OPTOUT = 1 << 19
TRACKING_CACHING = 1 << 20
TRACKING_NOLOOP = 1 << 21
NO_EVICT = 1 << 22  # e
NO_TOUCH = 1 << 23  # T
READONLY = 1 << 24  # r: cluster replica reads
UNIX_SOCKET = 1 << 25  # U
SCRIPT = 1 << 26  # the client that a script's redis.call runs as
REEXECUTING = 1 << 27  # a blocked command is being tried again
PROTECTED = 1 << 28  # must not be freed now: used by a running command
PAUSED = 1 << 29  # postponed by CLIENT PAUSE
INTERNAL = 1 << 30  # not a connection: AOF loading, peek
ASKING = 1 << 31
PUSHING = 1 << 32  # replies stand inside a push
LUA_DEBUG = 1 << 33  # scripts of this client run in the debugger
LUA_DEBUG_SYNC = 1 << 34  # ... in this process, and what they change stays

# Flags that a command has to pass the gates for; without any of them and of the node's own, gates are skipped.
GATED = (
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

REPLY_CHUNK_BYTES = 16 * 1024  # a reply buffer of a real server, to which sizes in CLIENT LIST are related

# Who is told of a change.
PROPAGATE_AOF = 1
PROPAGATE_REPLICAS = 2
PROPAGATE_ALL = PROPAGATE_AOF | PROPAGATE_REPLICAS

# What a client may be blocked on.
BLOCKED_LIST = "list"
BLOCKED_ZSET = "zset"
BLOCKED_STREAM = "stream"
BLOCKED_WAIT = "wait"
BLOCKED_WAITAOF = "waitaof"
BLOCKED_POSTPONE = "postpone"
BLOCKED_SHUTDOWN = "shutdown"


class Blocking:
    """Why and until when a client is blocked; the command is run again when a key becomes ready."""

    __slots__ = ("argv", "command", "data", "db", "keys", "kind", "on_nokey", "since_us", "spent_us", "until_ms")

    def __init__(self, kind: str, db: int, keys: list[bytes], until_ms: int | None) -> None:
        self.kind = kind
        self.db = db
        self.keys = keys
        self.until_ms = until_ms  # None: for ever
        self.on_nokey = False  # also wake when a key is deleted or changes its type (XREADGROUP)
        self.argv: Argv = []
        self.command: Command | None = None
        self.data: object = None  # what the kind needs besides: WAIT's offset and count …
        self.since_us = 0
        self.spent_us = 0  # in the handler


class Client:
    """One connection (or a stand-in for one), as handlers see it."""

    __slots__ = (
        "authenticated",
        "blocking",
        "channels",
        "created_us",
        "current",
        "db",
        "extra",
        "flags",
        "gated",
        "halted",
        "id",
        "kind",
        "last_us",
        "lib_name",
        "lib_ver",
        "link",
        "local",
        "name",
        "node",
        "out",
        "out_bytes",
        "patterns",
        "peer",
        "push_after",
        "query_room",
        "queue",
        "reply_buffer",
        "reply_peak",
        "reply_peak_since_us",
        "request",
        "requests",
        "resp",
        "shard_channels",
        "tracking",
        "unread_bytes",
        "user",
        "watched",
        "written_offset",
    )

    def __init__(self, node: "Node", client_id: int, link: int, peer: str = "", local: str = "") -> None:
        self.node = node
        self.id = client_id
        self.link = link
        self.peer = peer  # "127.0.0.1:50000", or the path of the unix socket with ":0"
        self.local = local
        self.kind = "tcp"
        self.db: Database = node.space.databases[0]
        self.resp = 2
        self.flags = 0
        self.gated = False  # True when some gate may apply to this client: see `update_gated`
        self.halted = False  # True while requests must wait: blocked, paused, about to be closed
        self.authenticated = True
        self.user: bytes | None = None  # name of the ACL user; None is an unauthenticated stranger
        self.name = b""
        self.lib_name = b""
        self.lib_ver = b""
        self.created_us = node.now_us
        self.last_us = node.now_us
        self.out: list[bytes] = []  # replies of this round, encoded, not yet sent
        self.push_after: list[bytes] = []  # pushes that must follow the reply of the running command
        self.out_bytes = 0  # handed to the world and not yet drained
        self.reply_buffer = REPLY_CHUNK_BYTES  # what a real server would hold ready for replies (CLIENT LIST rbs)
        self.reply_peak = REPLY_CHUNK_BYTES  # the most of it that was used of late (rbp)
        self.reply_peak_since_us = node.now_us
        self.query_room = 0  # bytes that a real server would have reserved for reading, for CLIENT LIST
        self.request: Request | None = None  # an incomplete request
        self.unread_bytes = 0  # that it takes
        self.requests: deque[Argv] = deque()  # complete requests that wait (blocked, paused, held)
        self.queue: list[tuple[Command, Argv]] | None = None  # MULTI
        self.watched: dict[tuple[int, bytes], bool] = {}  # WATCH: (db, key) -> was already expired then
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.shard_channels: dict[bytes, None] = {}
        self.blocking: Blocking | None = None
        self.current: Command | None = None  # the last command, for CLIENT LIST
        self.tracking: object = None
        self.written_offset = 0  # of the stream, after the client's last change (WAIT)
        self.extra: object = None  # a replica's or the master's side of replication

    # --- what handlers use --------------------------------------------------------------------------------------

    def rewrite(self, *commands: Argv) -> None:
        """Say what is propagated in place of the running command (several are wrapped in MULTI/EXEC)."""
        self.node.instead = list(commands)

    def also_propagate(self, *argv: bytes) -> None:
        """Propagate a command besides (before) the running one."""
        self.node.also_propagate(self.db.index, list(argv))

    def no_propagate(self) -> None:
        """Propagate nothing for the running command, changes or not."""
        self.node.instead = []

    def force_propagate(self, to_aof: bool = True) -> None:
        """Propagate the running command even if it changed no key (SCRIPT FLUSH …; PUBLISH to replicas only)."""
        self.node.force_propagation = True
        if not to_aof:
            self.node.propagation_targets = PROPAGATE_REPLICAS

    def redact(self, *positions: int) -> None:
        """Keep arguments of the running command (secrets) out of the slow log and MONITOR."""
        self.node.redacted = (self.node.executing_argv, positions)

    def block(
        self,
        kind: str,
        keys: list[bytes],
        until_ms: int | None,
        on_nokey: bool = False,
        data: object = None,
        argv: Argv | None = None,
    ) -> Reply:
        """Block on keys until one is ready (the command then runs again) or time is up (until_ms; None: never).

        It runs with `argv`, where that differs from the request: an argument that meant the time of the request.
        The handler returns what this returns. Check `can_block` first: inside EXEC and scripts blocking commands
        answer at once as if their time were up.
        """
        blocking = Blocking(kind, self.db.index, list(dict.fromkeys(keys)), until_ms)
        blocking.on_nokey = on_nokey
        blocking.data = data
        blocking.argv = self.node.executing_argv if argv is None else argv
        self.node.block_client(self, blocking)
        return NO_REPLY

    @property
    def in_script(self) -> bool:
        """Whether a script runs the command."""
        return bool(self.flags & SCRIPT)

    @property
    def can_block(self) -> bool:
        """False where a blocking command must answer at once."""
        return not self.flags & DENY_BLOCKING

    def push(self, message: Reply) -> None:
        """Queue an out-of-band message; it follows the reply of the command that runs for this client now."""
        self.push_encoded(encode3(message) if self.resp == 3 else encode2(message))

    def push_encoded(self, data: bytes) -> None:
        """Queue an out-of-band message that is already in the client's protocol."""
        if self.node.executing is self or self.node.script_caller is self:
            self.push_after.append(data)
            self.node.aftermath = True
        else:
            self.write(data)

    def flush_pushes(self) -> None:
        """Queue the messages that had to wait for the reply of a command."""
        for data in self.push_after:
            self.write(data)
        self.push_after = []

    def take_pushes(self) -> list[bytes]:
        """Return, and forget, the messages that wait for the reply of the running command."""
        pushes, self.push_after = self.push_after, []
        return pushes

    def write(self, data: bytes) -> None:
        """Queue bytes that are already in the client's protocol."""
        node = self.node
        if not self.out:
            node.pending_out.append(self)
        self.out.append(data)
        node.replied_bytes += len(data)

    def reply(self, value: Reply) -> None:
        """Queue a reply, unless the client asked for none."""
        if type(value) is ReplyError and self.flags & (MASTER | REPLICA):
            self.node.replication.diverges(self, value)
        if self.flags & (REPLY_OFF | REPLY_SKIP):
            return
        data = encode3(value) if self.resp == 3 else encode2(value)
        if data and self.flags & (REPLICA | MONITOR) == REPLICA:
            self.node.master.refuse_reply(self)
        else:
            self.write(data)

    def may_be_sent(self, size_bytes: int) -> bool:
        """Tell whether a reply of so many bytes is within the client's output limits; it is hung up on if not."""
        return not self.link or self.node.limits.allow_output(self, self.out_bytes + size_bytes)

    def memory(self) -> "Memory":
        """Return what the client takes, as CLIENT LIST tells it."""
        return Memory(self)

    def update_gated(self) -> None:
        """Recompute `gated` after flags, user or authentication changed."""
        self.gated = bool(self.flags & GATED) or not self.authenticated or not self.node.acl.unrestricted(self.user)


class Memory:
    """The memory that a client is counted with, in bytes (deterministic accounting, not the interpreter's)."""

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
        self.query = len(request.buffer) if request is not None else 0
        running = client.node.executing is client
        self.argv = sum(map(len, client.node.executing_argv)) if running else 0
        if running:
            # The request that runs still stands in a real server's buffer.
            self.query += canonical_length(client.node.executing_argv)
        self.query_free = max(0, client.query_room - self.query)
        if request is not None:
            self.argv += sum(map(len, request.args))
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
        prefixes = sum(64 + len(prefix) for prefix in client.node.tracking.prefixes_of(client))
        self.total += self.output + subscriptions + watched + prefixes
