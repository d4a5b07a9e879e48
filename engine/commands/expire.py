"""Times to live.

https://redis.io/docs/latest/commands/expire/
"""

from typing import Final

from engine.commands.keys import look
from engine.keyspace.databases import EXPIRE_DELETE, NOTIFY_GENERIC
from engine.protocol.errors import ReplyError, c_text
from engine.protocol.numbers import INT64_MAX
from engine.protocol.resp import Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import FAST, READONLY, WRITE, command

GROUP: Final = "generic"


class _Condition:
    """NX, XX, GT and LT: conditions for setting a new time to live."""

    __slots__ = ("gt", "lt", "nx", "xx")

    def __init__(self, options: Argv) -> None:
        self.nx = self.xx = self.gt = self.lt = False
        for option in options:
            name = option.lower()
            if name == b"nx":
                self.nx = True
            elif name == b"xx":
                self.xx = True
            elif name == b"gt":
                self.gt = True
            elif name == b"lt":
                self.lt = True
            else:
                raise ReplyError(b"ERR Unsupported option %b" % c_text(option))
        if self.nx and (self.xx or self.gt or self.lt):
            raise ReplyError(b"ERR NX and XX, GT or LT options at the same time are not compatible")
        if self.gt and self.lt:
            raise ReplyError(b"ERR GT and LT options at the same time are not compatible")

    def takes(self, now: int | None, when: int) -> bool:
        """Return whether `when` may replace the current expiry time; having none counts as infinitely late."""
        if now is None:
            return not (self.xx or self.gt)
        return not (self.nx or (self.gt and when <= now) or (self.lt and when >= now))


def _expire(ctx: Context, argv: Argv, name: bytes, base_ms: int, unit_ms: int) -> Reply:
    key, db, node = argv[1], ctx.db, ctx.node
    condition = _Condition(argv[3:]) if len(argv) > 3 else None
    when = integer(argv[2])
    when *= unit_ms
    if not -INT64_MAX - 1 <= when <= INT64_MAX or when > INT64_MAX - base_ms:
        raise ReplyError(b"ERR invalid expire time in '%b' command" % name)
    when += base_ms
    if db.lookup_write(key) is None:
        return 0
    if condition is not None and not condition.takes(db.expires.get(key), when):
        return 0
    if when <= node.clock.now_ms and node.space.expire_mode == EXPIRE_DELETE and node.conditions.load is None:
        db.delete(key)
        ctx.rewrite([node.config.deletion, key])
        db.modified(key, NOTIFY_GENERIC, b"del")
        return 1
    db.set_expire(key, when)
    if name != b"pexpireat":
        ctx.rewrite([b"PEXPIREAT", key, b"%d" % when, *argv[3:]])
    db.modified(key, NOTIFY_GENERIC, b"expire")
    return 1


@command(
    "EXPIRE key seconds [NX | XX | GT | LT]", WRITE, FAST, keys=("1 RW update",), since="1.0.0", complexity="O(1)"
)
def expire(ctx: Context, argv: Argv) -> Reply:
    return _expire(ctx, argv, b"expire", ctx.node.clock.now_ms, 1000)


@command(
    "PEXPIRE key milliseconds [NX | XX | GT | LT]",
    WRITE,
    FAST,
    keys=("1 RW update",),
    since="2.6.0",
    complexity="O(1)",
)
def pexpire(ctx: Context, argv: Argv) -> Reply:
    return _expire(ctx, argv, b"pexpire", ctx.node.clock.now_ms, 1)


@command(
    "EXPIREAT key unix-time-seconds [NX | XX | GT | LT]",
    WRITE,
    FAST,
    keys=("1 RW update",),
    since="1.2.0",
    complexity="O(1)",
)
def expireat(ctx: Context, argv: Argv) -> Reply:
    return _expire(ctx, argv, b"expireat", 0, 1000)


@command(
    "PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]",
    WRITE,
    FAST,
    keys=("1 RW update",),
    since="2.6.0",
    complexity="O(1)",
)
def pexpireat(ctx: Context, argv: Argv) -> Reply:
    return _expire(ctx, argv, b"pexpireat", 0, 1)


@command("PERSIST key", WRITE, FAST, keys=("1 RW update",), since="2.2.0", complexity="O(1)")
def persist(ctx: Context, argv: Argv) -> Reply:
    if ctx.db.lookup_write(argv[1]) is None or not ctx.db.remove_expire(argv[1]):
        return 0
    ctx.db.modified(argv[1], NOTIFY_GENERIC, b"persist")
    return 1


def _remaining(ctx: Context, key: bytes, base_ms: int, unit_ms: int) -> int:
    if look(ctx, key) is None:
        return -2
    until = ctx.db.expires.get(key)
    if until is None:
        return -1
    left = max(0, until - base_ms)
    return left if unit_ms == 1 else (left + 500) // 1000


@command(
    "TTL key",
    READONLY,
    FAST,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="1.0.0",
    complexity="O(1)",
)
def ttl(ctx: Context, argv: Argv) -> Reply:
    return _remaining(ctx, argv[1], ctx.node.clock.now_ms, 1000)


@command(
    "PTTL key",
    READONLY,
    FAST,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="2.6.0",
    complexity="O(1)",
)
def pttl(ctx: Context, argv: Argv) -> Reply:
    return _remaining(ctx, argv[1], ctx.node.clock.now_ms, 1)


@command("EXPIRETIME key", READONLY, FAST, keys=("1 RO access",), since="7.0.0", complexity="O(1)")
def expiretime(ctx: Context, argv: Argv) -> Reply:
    return _remaining(ctx, argv[1], 0, 1000)


@command("PEXPIRETIME key", READONLY, FAST, keys=("1 RO access",), since="7.0.0", complexity="O(1)")
def pexpiretime(ctx: Context, argv: Argv) -> Reply:
    return _remaining(ctx, argv[1], 0, 1)
