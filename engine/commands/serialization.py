"""DUMP and RESTORE: converting one value to a string and back.

https://redis.io/docs/latest/commands/dump/
"""

from engine.clients import client as flags
from engine.keyspace.databases import EXPIRE_DELETE, NOTIFY_GENERIC, TOUCH_LFU
from engine.persistence.rdb.dump import WrongPayloadError, dump, restore, verify
from engine.persistence.rdb.errors import CorruptRdbError
from engine.persistence.rdb.objects import RdbLimits
from engine.protocol.errors import BUSY_KEY, NOT_AN_INTEGER, ReplyError
from engine.protocol.resp import OK, Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer, syntax_error
from engine.table.declarations import ASKING, DENYOOM, READONLY, WRITE, command


@command(
    "DUMP key",
    READONLY,
    group="generic",
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="2.6.0",
    complexity="O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis "
    "objects composing the value and M their average size. For small string values the time "
    "complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
)
def dump_(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.lookup_read(argv[1])
    return None if value is None else dump(value, ctx.node.config.rdbcompression)


class _RestoreOptions:
    __slots__ = ("absolute", "frequency", "idle", "replace")

    def __init__(self, argv: Argv) -> None:
        self.replace = self.absolute = False
        self.idle = self.frequency = -1
        at = 4
        while at < len(argv):
            word = argv[at].lower()
            left = len(argv) - at - 1
            if word == b"replace":
                self.replace = True
            elif word == b"absttl":
                self.absolute = True
            elif word == b"idletime" and left and self.frequency < 0:
                at += 1
                self.idle = integer(argv[at])
                if self.idle < 0:
                    raise ReplyError(b"ERR Invalid IDLETIME value, must be >= 0")
            elif word == b"freq" and left and self.idle < 0:
                at += 1
                self.frequency = integer(argv[at])
                if not 0 <= self.frequency <= 255:
                    raise ReplyError(b"ERR Invalid FREQ value, must be >= 0 and <= 255")
            else:
                raise syntax_error()
            at += 1


def _trusted(ctx: Context) -> bool:
    """Return whether a client's payloads are trusted: the master's, and of users with skip-sanitize-payload."""
    caller = ctx.node.execution.script_caller or ctx
    user = ctx.node.acl.users.get(caller.user) if caller.user is not None else None
    return bool(caller.flags & (flags.MASTER | flags.INTERNAL)) or (user is not None and not user.sanitize)


@command(
    "RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
    WRITE,
    DENYOOM,
    group="generic",
    keys=("1 OW update",),
    acl=("dangerous",),
    since="2.6.0",
    complexity="O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N "
    "is the number of Redis objects composing the value and M their average size. For small string "
    "values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for "
    "sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is "
    "O(log(N)).",
)
def restore_(ctx: Context, argv: Argv) -> Reply:
    options = _RestoreOptions(argv)
    key, payload = argv[1], argv[3]
    db, node = ctx.db, ctx.node
    if not options.replace and db.lookup_write(key) is not None:
        raise ReplyError(BUSY_KEY)
    ttl = integer(argv[2], NOT_AN_INTEGER)
    if ttl < 0:
        raise ReplyError(b"ERR Invalid TTL value, must be >= 0")
    try:
        verify(payload, checksum=not node.persistence.skip_checksum_validation)
    except WrongPayloadError:
        raise ReplyError(b"ERR DUMP payload version or checksum are wrong") from None
    try:
        value = restore(payload, RdbLimits.of(node.config, trusted=_trusted(ctx)))
    except CorruptRdbError as error:
        node.output.log("-", f"Internal error in RDB reading offset {max(0, error.offset)} -> {error.reason}")
        raise ReplyError(b"ERR Bad data format") from None

    deleted = db.delete(key)  # also a key that a replica hides because it has expired
    until = ttl if options.absolute or not ttl else ttl + node.clock.now_ms
    if until >= 1 << 63:
        until -= 1 << 64  # Redis adds in 64 bits: a huge time to live expires immediately
    if ttl and until <= node.clock.now_ms and db.space.expire_mode == EXPIRE_DELETE:
        if deleted:
            ctx.rewrite([b"UNLINK" if node.config.lazyfree_lazy_server_del else b"DEL", key])
            db.modified(key, NOTIFY_GENERIC, b"del")
        return OK
    db.add(key, value)
    if ttl:
        db.set_expire(key, until)
        if not options.absolute:
            ctx.rewrite([*argv[:2], b"%d" % until, *argv[3:], b"ABSTTL"])
    if db.space.touch == TOUCH_LFU:
        if options.frequency >= 0:
            db.set_access(key, (node.clock.now_ms // 60000 & 0xFFFF) << 8 | options.frequency)
    elif options.idle >= 0:
        db.set_access(key, db.space.lru_clock - options.idle)
    db.modified(key, NOTIFY_GENERIC, b"restore")
    return OK


@command(
    "RESTORE-ASKING key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
    WRITE,
    DENYOOM,
    ASKING,
    group="server",
    keys=("1 OW update",),
    acl=(
        "keyspace",
        "dangerous",
    ),
    since="3.0.0",
    complexity="O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N "
    "is the number of Redis objects composing the value and M their average size. For small string "
    "values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for "
    "sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is "
    "O(log(N)).",
)
def restore_asking(ctx: Context, argv: Argv) -> Reply:
    return restore_(ctx, argv)
