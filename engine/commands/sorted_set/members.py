"""Adding, removing and looking up members, their scores and ranks.

https://redis.io/docs/latest/commands/?group=sorted-set
"""

from typing import Final

from engine.commands.sorted_set.shared import report_removed
from engine.keyspace.databases import NOTIFY_ZSET
from engine.protocol.errors import SYNTAX, ReplyError, wrong_arity
from engine.protocol.numbers import parse_float
from engine.protocol.resp import NULL_ARRAY, Argv, Reply
from engine.server.context import Context
from engine.table.arguments import real
from engine.table.declarations import DENYOOM, FAST, READONLY, WRITE, command
from engine.values.zset import ZSetValue

GROUP: Final = "sorted_set"

NOT_A_NUMBER: Final = b"ERR resulting score is not a number (NaN)"

_ZADD_OPTIONS: Final = frozenset((b"nx", b"xx", b"ch", b"incr", b"gt", b"lt"))


@command(
    "ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW update",),
    since="1.2.0",
    complexity="O(log(N)) for each item added, where N is the number of elements in the sorted set.",
)
def zadd(ctx: Context, argv: Argv) -> Reply:
    if len(argv) == 4:
        # The common case; an argument that is not a number is an option without score and member.
        score = parse_float(argv[2])
        if score is not None:
            return _zadd_one(ctx, argv[1], score, argv[3])
    options = set()
    start = 2
    while start < len(argv) and (option := argv[start].lower()) in _ZADD_OPTIONS:
        options.add(option)
        start += 1
    return _zadd(ctx, argv, options, start)


@command(
    "ZINCRBY key increment member",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW access update",),
    since="1.2.0",
    complexity="O(log(N)) where N is the number of elements in the sorted set.",
)
def zincrby(ctx: Context, argv: Argv) -> Reply:
    return _zadd(ctx, argv, {b"incr"}, 2)


def _zadd_one(ctx: Context, key: bytes, score: float, member: bytes) -> int:
    db = ctx.db
    value = db.write(key, ZSetValue)
    config = ctx.node.config
    max_entries, max_value = config.zset_max_listpack_entries, config.zset_max_listpack_value
    if value is None:
        value = ZSetValue.fitting(1, len(member), max_entries, max_value)
        db.add(key, value)
    at = value.positions.get(member)
    if at is None:
        value.add(member, score, max_entries, max_value)
    elif score != value.scores[at]:
        value.update(member, score)
    else:
        return 0
    db.modified(key, NOTIFY_ZSET, b"zadd", 1)
    return int(at is None)


def _zadd(ctx: Context, argv: Argv, options: set[bytes], start: int) -> Reply:
    nx, xx, gt, lt = b"nx" in options, b"xx" in options, b"gt" in options, b"lt" in options
    incr = b"incr" in options
    rest = argv[start:]
    if not rest or len(rest) % 2:
        raise ReplyError(SYNTAX)
    if nx and xx:
        raise ReplyError(b"ERR XX and NX options at the same time are not compatible")
    if (gt and nx) or (lt and nx) or (gt and lt):
        raise ReplyError(b"ERR GT, LT, and/or NX options at the same time are not compatible")
    if incr and len(rest) > 2:
        raise ReplyError(b"ERR INCR option supports a single increment-element pair")
    scores = [real(arg) for arg in rest[::2]]
    members = rest[1::2]

    db = ctx.db
    key = argv[1]
    value = db.write(key, ZSetValue)
    config = ctx.node.config
    max_entries, max_value = config.zset_max_listpack_entries, config.zset_max_listpack_value
    if value is None:
        if xx:
            return None if incr else 0
        value = ZSetValue.fitting(len(members), len(members[0]), max_entries, max_value)
        db.add(key, value)
    else:
        value.expect(len(members), max_entries)
    added = updated = 0
    result: float | None = None
    for score, member in zip(scores, members):
        old = value.score(member)
        if old is None:
            if not xx:
                value.add(member, score, max_entries, max_value)
                added += 1
                result = score
        elif not nx:
            if incr:
                score += old
                if score != score:
                    raise ReplyError(NOT_A_NUMBER)
            if (lt and score >= old) or (gt and score <= old):
                continue
            if score != old:
                value.update(member, score)
                updated += 1
            result = score
    if added or updated:
        db.modified(key, NOTIFY_ZSET, b"zincr" if incr else b"zadd", added + updated)
    else:
        db.resized(key)
    if incr:
        return result
    return added + updated if b"ch" in options else added


@command(
    "ZREM key member [member ...]",
    WRITE,
    FAST,
    keys=("1 RW delete",),
    since="1.2.0",
    complexity=(
        "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be "
        "removed."
    ),
)
def zrem(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.write(argv[1], ZSetValue)
    if value is None:
        return 0
    removed = 0
    for member in argv[2:]:
        removed += value.remove(member)
    if removed:
        report_removed(ctx, argv[1], value, b"zrem", removed)
    return removed


@command("ZCARD key", READONLY, FAST, keys=("1 RO",), since="1.2.0", complexity="O(1)")
def zcard(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ZSetValue)
    return 0 if value is None else len(value)


@command("ZSCORE key member", READONLY, FAST, keys=("1 RO access",), since="1.2.0", complexity="O(1)")
def zscore(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ZSetValue)
    return None if value is None else value.score(argv[2])


@command(
    "ZMSCORE key member [member ...]",
    READONLY,
    FAST,
    keys=("1 RO access",),
    since="6.2.0",
    complexity="O(N) where N is the number of members being requested.",
)
def zmscore(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ZSetValue)
    return [None if value is None else value.score(member) for member in argv[2:]]


@command("ZRANK key member [WITHSCORE]", READONLY, FAST, keys=("1 RO access",), since="2.0.0", complexity="O(log(N))")
def zrank(ctx: Context, argv: Argv) -> Reply:
    return _rank(ctx, argv, b"zrank", False)


@command(
    "ZREVRANK key member [WITHSCORE]",
    READONLY,
    FAST,
    keys=("1 RO access",),
    since="2.0.0",
    complexity="O(log(N))",
)
def zrevrank(ctx: Context, argv: Argv) -> Reply:
    return _rank(ctx, argv, b"zrevrank", True)


def _rank(ctx: Context, argv: Argv, name: bytes, reverse: bool) -> Reply:
    if len(argv) > 4:
        raise wrong_arity(name)
    with_score = len(argv) == 4
    if with_score and argv[3].lower() != b"withscore":
        raise ReplyError(SYNTAX)
    value = ctx.db.read(argv[1], ZSetValue)
    rank = None if value is None else value.rank(argv[2])
    if value is None or rank is None:
        return NULL_ARRAY if with_score else None
    if reverse:
        rank = len(value) - 1 - rank
    return [rank, value.score(argv[2])] if with_score else rank
