"""MIGRATE: move keys to another server, by DUMP here and RESTORE there.

https://redis.io/docs/latest/commands/migrate/
"""

from engine.arguments import integer
from engine.client import Client
from engine.effects import Exchange
from engine.errors import SYNTAX, ReplyError
from engine.keyspace import NOTIFY_GENERIC
from engine.movable import migrate_keys
from engine.rdb.dump import dump
from engine.resp import OK, Argv, Reply, Status, encode_command
from engine.table import WRITE, command

GROUP = "generic"
DEFAULT_TIMEOUT_MS = 1000


class _Options:
    __slots__ = ("copy", "credentials", "keys", "replace")

    def __init__(self, ctx: Client, argv: Argv) -> None:
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
def migrate(ctx: Client, argv: Argv) -> Reply:
    options = _Options(ctx, argv)
    timeout_ms = integer(argv[5])
    target_db = integer(argv[4])
    timeout_ms = timeout_ms if timeout_ms > 0 else DEFAULT_TIMEOUT_MS
    node, db = ctx.node, ctx.db
    keys = [key for key in options.keys if db.lookup_read(key) is not None]
    if not keys:
        return Status(b"NOKEY")
    requests = [[b"AUTH", *options.credentials]] if options.credentials else []
    requests.append([b"SELECT", b"%d" % target_db])
    greeting = len(requests)
    name = b"RESTORE-ASKING" if node.cluster_enabled else b"RESTORE"
    for key in keys:
        entry = db.entries[key]
        ttl_ms = 0 if entry.expire is None else max(1, entry.expire - node.now_ms)
        payload = dump(entry.value, node.config.rdbcompression)
        requests.append([name, key, b"%d" % ttl_ms, payload, *([b"REPLACE"] if options.replace else [])])
    port = integer(argv[2])
    data = b"".join([encode_command(request) for request in requests])
    try:
        lines = node.perform(
            Exchange(argv[1].decode(), port, data, len(requests), timeout_ms, node.config.tls_cluster)
        )
    except OSError:
        raise ReplyError(b"IOERR error or timeout connecting to the client") from None
    return _settle(ctx, keys, lines, greeting, options.copy)


def _settle(ctx: Client, keys: list[bytes], lines: list[bytes], greeting: int, copy: bool) -> Reply:
    """Delete here what arrived there; raises what the other server refused, or that it fell silent."""
    refused = next((line for line in lines[:greeting] if line[:1] == b"-"), None)
    moved: list[bytes] = []
    for key, line in zip(keys, lines[greeting:]):
        if line[:1] == b"-":
            refused = refused or line
        elif refused is None or line[:1] == b"+":
            moved.append(key)
    if not copy:
        for key in moved:
            ctx.db.delete(key)
            ctx.db.modified(key, NOTIFY_GENERIC, b"del")
        if moved:
            ctx.rewrite([b"DEL", *moved])
    if refused is not None:
        raise ReplyError(b"ERR Target instance replied with error: " + refused[1:])
    if len(lines) < greeting + len(keys):
        raise ReplyError(b"IOERR error or timeout reading to target instance")
    return OK
