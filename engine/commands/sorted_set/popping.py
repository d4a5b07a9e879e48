"""Popping members from both ends, blocking for members, random members, scanning.

https://redis.io/docs/latest/commands/?group=sorted-set
"""

from functools import partial
from typing import Final

from engine.clients.client import BLOCKED_ZSET
from engine.commands.sampling import draw, pairs_reply, random_arguments
from engine.commands.scanning import scan_cursor, scan_options
from engine.commands.sorted_set.shared import Pairs, report_removed, scored_reply
from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.numbers import INT64_MAX
from engine.protocol.resp import NULL_ARRAY, Argv, Reply, format_double
from engine.server.context import Context
from engine.table.arguments import integer, timeout
from engine.table.declarations import BLOCKING, FAST, READONLY, WRITE, command
from engine.values.zset import LISTPACK, ZSetValue

GROUP: Final = "sorted_set"

NOT_POSITIVE: Final = b"ERR value is out of range, must be positive"


def _pop(ctx: Context, key: bytes, value: ZSetValue, last: bool, count: int) -> Pairs:
    """Remove up to `count` (at least 1) members from an end. Returns them in the order of popping."""
    if count == 1:
        pairs = [value.pop(last)]
    else:
        count = min(count, len(value))
        start = len(value) - count if last else 0
        pairs = value.range(start, start + count, last)
        value.remove_range(start, start + count)
    report_removed(ctx, key, value, b"zpopmax" if last else b"zpopmin", count)
    return pairs


def _pop_command(last: bool) -> bytes:
    return b"ZPOPMAX" if last else b"ZPOPMIN"


@command(
    "ZPOPMIN key [count]",
    WRITE,
    FAST,
    keys=("1 RW access delete",),
    since="5.0.0",
    complexity=(
        "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements "
        "popped."
    ),
)
def zpopmin(ctx: Context, argv: Argv) -> Reply:
    return _zpop(ctx, argv, False)


@command(
    "ZPOPMAX key [count]",
    WRITE,
    FAST,
    keys=("1 RW access delete",),
    since="5.0.0",
    complexity=(
        "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements "
        "popped."
    ),
)
def zpopmax(ctx: Context, argv: Argv) -> Reply:
    return _zpop(ctx, argv, True)


def _zpop(ctx: Context, argv: Argv, last: bool) -> Reply:
    if len(argv) > 3:
        raise ReplyError(SYNTAX)
    count = integer(argv[2], NOT_POSITIVE, 0, INT64_MAX) if len(argv) == 3 else 1
    value = ctx.db.write(argv[1], ZSetValue)
    if value is None or not count:
        return []
    pairs = _pop(ctx, argv[1], value, last, count)
    if len(argv) == 2:
        score, member = pairs[0]
        return [member, score]
    return scored_reply(ctx, pairs, True)


@command(
    "ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]",
    WRITE,
    keys=("1# RW access delete",),
    since="7.0.0",
    complexity=(
        "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted "
        "set, and M being the number of elements popped."
    ),
)
def zmpop(ctx: Context, argv: Argv) -> Reply:
    keys, last, count = _zmpop_arguments(argv, 1)
    for key in keys:
        value = ctx.db.write(key, ZSetValue)
        if value is not None:
            return _mpop(ctx, key, value, last, count)
    return NULL_ARRAY


def _zmpop_arguments(argv: Argv, at: int) -> tuple[list[bytes], bool, int]:
    """Parse `numkeys key [key …] <MIN | MAX> [COUNT count]` from position `at` on."""
    numkeys = integer(argv[at], b"ERR numkeys should be greater than 0", 1)
    where = at + numkeys + 1
    if where >= len(argv):
        raise ReplyError(SYNTAX)
    end = argv[where].lower()
    if end not in (b"min", b"max"):
        raise ReplyError(SYNTAX)
    count = 1
    if len(argv) > where + 1:
        if argv[where + 1].lower() != b"count" or len(argv) == where + 2:
            raise ReplyError(SYNTAX)
        count = integer(argv[where + 2], b"ERR count should be greater than 0", 1)
        if len(argv) > where + 3:
            raise ReplyError(SYNTAX)
    return argv[at + 1 : where], end == b"max", count


def _mpop(ctx: Context, key: bytes, value: ZSetValue, last: bool, count: int) -> Reply:
    pairs = _pop(ctx, key, value, last, count)
    ctx.rewrite([_pop_command(last), key, b"%d" % len(pairs)])
    return [key, [[member, score] for score, member in pairs]]


@command(
    "BZPOPMIN key [key ...] timeout",
    WRITE,
    FAST,
    BLOCKING,
    keys=("1..-2 RW access delete",),
    since="5.0.0",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
)
def bzpopmin(ctx: Context, argv: Argv) -> Reply:
    return _blocking_pop(ctx, argv, False)


@command(
    "BZPOPMAX key [key ...] timeout",
    WRITE,
    FAST,
    BLOCKING,
    keys=("1..-2 RW access delete",),
    since="5.0.0",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
)
def bzpopmax(ctx: Context, argv: Argv) -> Reply:
    return _blocking_pop(ctx, argv, True)


def _blocking_pop(ctx: Context, argv: Argv, last: bool) -> Reply:
    until_us = timeout(ctx.node.clock, argv[-1])
    keys = argv[1:-1]
    for key in keys:
        value = ctx.db.write(key, ZSetValue)
        if value is not None:
            score, member = _pop(ctx, key, value, last, 1)[0]
            ctx.rewrite([_pop_command(last), key])
            return [key, member, score]
    return ctx.block(BLOCKED_ZSET, keys, until_us) if ctx.can_block else NULL_ARRAY


@command(
    "BZMPOP timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
    WRITE,
    BLOCKING,
    keys=("2# RW access delete",),
    since="7.0.0",
    complexity=(
        "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted "
        "set, and M being the number of elements popped."
    ),
)
def bzmpop(ctx: Context, argv: Argv) -> Reply:
    keys, last, count = _zmpop_arguments(argv, 2)
    until_us = timeout(ctx.node.clock, argv[1])
    for key in keys:
        value = ctx.db.write(key, ZSetValue)
        if value is not None:
            return _mpop(ctx, key, value, last, count)
    return ctx.block(BLOCKED_ZSET, keys, until_us) if ctx.can_block else NULL_ARRAY


@command(
    "ZRANDMEMBER key [count [WITHSCORES]]",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="6.2.0",
    complexity="O(N) where N is the number of members returned",
)
def zrandmember(ctx: Context, argv: Argv) -> Reply:
    if len(argv) == 2:
        value = ctx.db.read(argv[1], ZSetValue)
        return None if value is None else value.random(ctx.node.core.rng)[0]
    count, with_scores = random_arguments(argv, b"withscores")
    value = ctx.db.read(argv[1], ZSetValue)
    if value is None or not count:
        return []
    if count < 0:
        pairs = draw(ctx, partial(value.random, ctx.node.core.rng), -count)
    elif count >= len(value):
        pairs = [(member, score) for score, member in reversed(value.ordered)]
    else:
        pairs = value.sample(ctx.node.core.rng, count)
    return pairs_reply(ctx, pairs, with_scores)


@command(
    "ZSCAN key cursor [MATCH pattern] [COUNT count]",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="2.8.0",
    complexity=(
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
        "return back to 0. N is the number of elements inside the collection."
    ),
)
def zscan(ctx: Context, argv: Argv) -> Reply:
    cursor = scan_cursor(argv[2])
    value = ctx.db.read(argv[1], ZSetValue)
    if value is None:
        return [b"0", []]
    options = scan_options(argv, 3)
    after, pairs = value.scan(cursor, options.step)
    match = options.pattern.match if options.pattern else None
    # The two encodings format scores differently, as in Redis.
    spell = format_double if value.encoding == LISTPACK else _all_digits
    found: list[bytes] = []
    for member, score in pairs:
        if match is None or match(member):
            found.append(member)
            found.append(spell(score))
    return [b"%d" % after, found]


def _all_digits(score: float) -> bytes:
    return b"%.17g" % score
