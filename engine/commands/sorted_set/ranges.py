"""Ranges by rank, by score and by bytes: reading, storing, counting, removing them.

https://redis.io/docs/latest/commands/?group=sorted-set
"""

from typing import Final

from engine.commands.sorted_set.shared import Pairs, report_removed, scored_reply, store
from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.numbers import strtod
from engine.protocol.resp import Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import DENYOOM, FAST, READONLY, WRITE, command
from engine.values.zset import LISTPACK, SKIPLIST, LexRange, ScoreRange, ZSetValue

GROUP: Final = "sorted_set"

BAD_SCORE_RANGE: Final = b"ERR min or max is not a float"
BAD_LEX_RANGE: Final = b"ERR min or max not valid string range item"


def _score_bound(arg: bytes) -> tuple[float, bool]:
    excluded = arg[:1] == b"("
    value = strtod(arg[1:] if excluded else arg)
    if value is None:
        raise ReplyError(BAD_SCORE_RANGE)
    return value, excluded


def score_range(low: bytes, high: bytes) -> ScoreRange:
    """Parse a range of scores; exclusive ones begin with a parenthesis."""
    first, first_excluded = _score_bound(low)
    last, last_excluded = _score_bound(high)
    return ScoreRange(first, last, first_excluded, last_excluded)


def lex_range(low: bytes, high: bytes) -> LexRange:
    """Parse a range of members: `-`, `+`, or members after a bracket (inclusive) or a parenthesis (exclusive)."""
    for arg in (low, high):
        if arg not in (b"-", b"+") and arg[:1] not in (b"(", b"["):
            raise ReplyError(BAD_LEX_RANGE)
    if low == b"+" or high == b"-":
        return LexRange(None, None, empty=True)
    first = None if low == b"-" else low[1:]
    last = None if high == b"+" else high[1:]
    first_excluded, last_excluded = low[:1] == b"(", high[:1] == b"("
    empty = (
        first is not None
        and last is not None
        and (first > last or (first == last and (first_excluded or last_excluded)))
    )
    return LexRange(first, last, first_excluded, last_excluded, empty)


def _ranks(value: ZSetValue, start: int, stop: int) -> tuple[int, int]:
    """Return the ranks (start, exclusive stop) of a range as given by clients; negative from the end."""
    length = len(value)
    if start < 0:
        start = max(0, start + length)
    if stop < 0:
        stop += length
    stop = min(stop, length - 1)
    return (start, stop + 1) if start <= stop else (0, 0)


class _Range:
    """A range as used by ZRANGE and similar commands. `by` is b"rank", b"score" or b"lex"."""

    __slots__ = ("bounds", "by", "limit", "offset", "reverse", "with_scores")

    def __init__(
        self, argv: Argv, at: int, by: bytes = b"", reverse: bool | None = None, store: bool = False
    ) -> None:
        self.offset, self.limit = 0, -1
        self.with_scores = False
        i, size = at + 2, len(argv)
        while i < size:
            option = argv[i].lower()
            if option == b"withscores" and not store:
                self.with_scores = True
            elif option == b"limit" and i + 2 < size:
                self.offset, self.limit = integer(argv[i + 1]), integer(argv[i + 2])
                i += 2
            elif option == b"rev" and reverse is None:
                reverse = True
            elif option == b"bylex" and not by:
                by = b"lex"
            elif option == b"byscore" and not by:
                by = b"score"
            else:
                raise ReplyError(SYNTAX)
            i += 1
        self.by = by or b"rank"
        self.reverse = bool(reverse)
        if self.by == b"rank" and self.limit != -1:
            raise ReplyError(b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
        if self.by == b"lex" and self.with_scores:
            raise ReplyError(b"ERR syntax error, WITHSCORES not supported in combination with BYLEX")
        low, high = argv[at], argv[at + 1]
        self.bounds: ScoreRange | LexRange | tuple[int, int]
        if self.by == b"rank":
            self.bounds = integer(low), integer(high)
        else:
            if self.reverse:
                low, high = high, low
            self.bounds = score_range(low, high) if self.by == b"score" else lex_range(low, high)

    def pairs(self, value: ZSetValue) -> Pairs:
        """Return the members of the range in its order."""
        bounds = self.bounds
        if isinstance(bounds, ScoreRange):
            start, stop = value.score_range(bounds)
        elif isinstance(bounds, LexRange):
            start, stop = value.lex_range(bounds)
        else:
            start, stop = _ranks(value, *bounds)
            if self.reverse:
                start, stop = len(value) - stop, len(value) - start
            return value.range(start, stop, self.reverse) if start < stop else []
        if self.offset < 0:
            return []
        if self.reverse:
            stop -= self.offset
            if self.limit >= 0:
                start = max(start, stop - self.limit)
        else:
            start += self.offset
            if self.limit >= 0:
                stop = min(stop, start + self.limit)
        return value.range(start, stop, self.reverse) if start < stop else []


def _range(ctx: Context, key: bytes, wanted: _Range) -> Reply:
    value = ctx.db.read(key, ZSetValue)
    return [] if value is None else scored_reply(ctx, wanted.pairs(value), wanted.with_scores)


@command(
    "ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
    READONLY,
    keys=("1 RO access",),
    since="1.2.0",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned."
    ),
)
def zrange(ctx: Context, argv: Argv) -> Reply:
    return _range(ctx, argv[1], _Range(argv, 2))


@command(
    "ZREVRANGE key start stop [WITHSCORES]",
    READONLY,
    keys=("1 RO access",),
    since="1.2.0",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned."
    ),
)
def zrevrange(ctx: Context, argv: Argv) -> Reply:
    return _range(ctx, argv[1], _Range(argv, 2, b"rank", True))


@command(
    "ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]",
    READONLY,
    keys=("1 RO access",),
    since="1.0.5",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being "
        "returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider "
        "it O(log(N))."
    ),
)
def zrangebyscore(ctx: Context, argv: Argv) -> Reply:
    return _range(ctx, argv[1], _Range(argv, 2, b"score", False))


@command(
    "ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]",
    READONLY,
    keys=("1 RO access",),
    since="2.2.0",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being "
        "returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider "
        "it O(log(N))."
    ),
)
def zrevrangebyscore(ctx: Context, argv: Argv) -> Reply:
    return _range(ctx, argv[1], _Range(argv, 2, b"score", True))


@command(
    "ZRANGEBYLEX key min max [LIMIT offset count]",
    READONLY,
    keys=("1 RO access",),
    since="2.8.9",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being "
        "returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider "
        "it O(log(N))."
    ),
)
def zrangebylex(ctx: Context, argv: Argv) -> Reply:
    return _range(ctx, argv[1], _Range(argv, 2, b"lex", False))


@command(
    "ZREVRANGEBYLEX key max min [LIMIT offset count]",
    READONLY,
    keys=("1 RO access",),
    since="2.8.9",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being "
        "returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider "
        "it O(log(N))."
    ),
)
def zrevrangebylex(ctx: Context, argv: Argv) -> Reply:
    return _range(ctx, argv[1], _Range(argv, 2, b"lex", True))


@command(
    "ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
    WRITE,
    DENYOOM,
    keys=("1 OW update", "2 RO access"),
    since="6.2.0",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored "
        "into the destination key."
    ),
)
def zrangestore(ctx: Context, argv: Argv) -> Reply:
    wanted = _Range(argv, 3, store=True)
    value = ctx.db.read(argv[2], ZSetValue)
    pairs = [] if value is None else wanted.pairs(value)
    config = ctx.node.config
    max_entries, max_value = config.zset_max_listpack_entries, config.zset_max_listpack_value
    # Redis knows the number of results in advance only for ranks; otherwise it prepares for many.
    small = wanted.by == b"rank" and len(pairs) <= max_entries
    result = ZSetValue(LISTPACK if small else SKIPLIST)
    for score, member in pairs:
        result.add(member, score, max_entries, max_value)
    return store(ctx, argv[1], result, b"zrangestore")


@command(
    "ZCOUNT key min max",
    READONLY,
    FAST,
    keys=("1 RO access",),
    since="2.0.0",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
)
def zcount(ctx: Context, argv: Argv) -> Reply:
    bounds = score_range(argv[2], argv[3])
    value = ctx.db.read(argv[1], ZSetValue)
    if value is None:
        return 0
    start, stop = value.score_range(bounds)
    return stop - start


@command(
    "ZLEXCOUNT key min max",
    READONLY,
    FAST,
    keys=("1 RO access",),
    since="2.8.9",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
)
def zlexcount(ctx: Context, argv: Argv) -> Reply:
    bounds = lex_range(argv[2], argv[3])
    value = ctx.db.read(argv[1], ZSetValue)
    if value is None:
        return 0
    start, stop = value.lex_range(bounds)
    return stop - start


@command(
    "ZREMRANGEBYRANK key start stop",
    WRITE,
    keys=("1 RW delete",),
    since="2.0.0",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed "
        "by the operation."
    ),
)
def zremrangebyrank(ctx: Context, argv: Argv) -> Reply:
    first, last = integer(argv[2]), integer(argv[3])
    value = ctx.db.write(argv[1], ZSetValue)
    return 0 if value is None else _remove_range(ctx, argv[1], value, _ranks(value, first, last), b"zremrangebyrank")


@command(
    "ZREMRANGEBYSCORE key min max",
    WRITE,
    keys=("1 RW delete",),
    since="1.2.0",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed "
        "by the operation."
    ),
)
def zremrangebyscore(ctx: Context, argv: Argv) -> Reply:
    bounds = score_range(argv[2], argv[3])
    value = ctx.db.write(argv[1], ZSetValue)
    if value is None:
        return 0
    return _remove_range(ctx, argv[1], value, value.score_range(bounds), b"zremrangebyscore")


@command(
    "ZREMRANGEBYLEX key min max",
    WRITE,
    keys=("1 RW delete",),
    since="2.8.9",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed "
        "by the operation."
    ),
)
def zremrangebylex(ctx: Context, argv: Argv) -> Reply:
    bounds = lex_range(argv[2], argv[3])
    value = ctx.db.write(argv[1], ZSetValue)
    return 0 if value is None else _remove_range(ctx, argv[1], value, value.lex_range(bounds), b"zremrangebylex")


def _remove_range(ctx: Context, key: bytes, value: ZSetValue, ranks: tuple[int, int], event: bytes) -> int:
    removed = value.remove_range(*ranks)
    if removed:
        report_removed(ctx, key, value, event, removed)
    return removed
