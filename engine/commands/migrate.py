"""MIGRATE: moves keys to another server with DUMP here and RESTORE there.

https://redis.io/docs/latest/commands/migrate/
"""

from engine.effects import Exchange
from engine.keyspace.databases import NOTIFY_GENERIC
from engine.persistence.rdb.dump import dump
from engine.protocol.conversation import Conversation, take_line
from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.resp import OK, Argv, Reply, Status
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import WRITE, command
from engine.table.getkeys import migrate_keys

GROUP = "generic"
DEFAULT_TIMEOUT_MS = 1000


class _MigrateOptions:
    __slots__ = ("copy", "credentials", "keys", "replace")

    def __init__(self, ctx: Context, argv: Argv) -> None:
        self.copy = self.replace = False
        self.credentials: list[bytes] = []
        self.keys = [argv[3]]
        i, size = 6, len(argv)
        while i < size:
            option, more = argv[i].lower(), size - 1 - i
            if option == b"copy":
                self.copy = True
            elif option == b"replace":
                self.replace = True
            elif option == b"auth" and more:
                self.credentials = [argv[i + 1]]
                ctx.redact(i + 1)
                i += 1
            elif option == b"auth2" and more >= 2:
                self.credentials = [argv[i + 1], argv[i + 2]]
                ctx.redact(i + 1, i + 2)
                i += 2
            elif option == b"keys":
                if argv[3]:
                    raise ReplyError(
                        b"ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
                    )
                self.keys = argv[i + 1 :]
                return
            else:
                raise ReplyError(SYNTAX)
            i += 1


@command(
    'MIGRATE host port <key | ""> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] [KEYS key [key ...]]',
    WRITE,
    keys=("3 RW access delete", "KEYS@-2..-1 RW access delete incomplete"),
    acl=("dangerous",),
    tips=("nondeterministic_output",),
    get_keys=migrate_keys,
    since="2.6.0",
    complexity="This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target instance. See the pages of these commands for time complexity. Also an O(N) data transfer between the two instances is performed.",
)
def migrate(ctx: Context, argv: Argv) -> Reply:
    options = _MigrateOptions(ctx, argv)
    timeout_ms = integer(argv[5])
    target_db = integer(argv[4])
    timeout_ms = timeout_ms if timeout_ms > 0 else DEFAULT_TIMEOUT_MS
    node, db = ctx.node, ctx.db
    keys = [key for key in options.keys if db.lookup_read(key) is not None]
    if not keys:
        return Status(b"NOKEY")
    conversation = Conversation(take_line)
    if options.credentials:
        conversation.ask("auth", b"AUTH", *options.credentials)
    conversation.ask("select", b"SELECT", b"%d" % target_db)
    name = b"RESTORE-ASKING" if node.conditions.cluster_enabled else b"RESTORE"
    for key in keys:
        until = db.expires.get(key)
        ttl_ms = 0 if until is None else max(1, until - node.clock.now_ms)
        payload = dump(db.held(key), node.config.rdbcompression)
        conversation.ask("restore", name, key, b"%d" % ttl_ms, payload, *([b"REPLACE"] if options.replace else []))
    port = integer(argv[2])
    data, tls = conversation.take_outgoing(), node.config.tls_cluster
    try:
        received = node.output.run_now(
            Exchange(argv[1].decode(), port, data, conversation.is_complete, timeout_ms, tls)
        )
    except OSError:
        raise ReplyError(b"IOERR error or timeout connecting to the client") from None
    conversation.feed(received)
    return _move(ctx, keys, conversation, options.copy)


def _move(ctx: Context, keys: list[bytes], conversation: Conversation[bytes], copy: bool) -> Reply:
    """Delete the keys that arrived at the target; raises the target's error, or the error for a timeout."""
    refused: bytes | None = None
    moved: list[bytes] = []
    waiting = iter(keys)
    while (line := conversation.next_reply()) is not None:
        key = next(waiting) if conversation.awaits == "restore" else None
        conversation.answered()
        if line[:1] == b"-":
            refused = refused or line
        elif key is not None and (refused is None or line[:1] == b"+"):
            moved.append(key)
    if not copy:
        for key in moved:
            ctx.db.delete(key)
            ctx.db.modified(key, NOTIFY_GENERIC, b"del")
        if moved:
            ctx.rewrite([b"DEL", *moved])
    if refused is not None:
        raise ReplyError(b"ERR Target instance replied with error: " + refused[1:])
    if conversation.awaits:
        raise ReplyError(b"IOERR error or timeout reading to target instance")
    return OK
