"""Sorted set commands: scores and ranks, ranges by either or by bytes, unions and the like, waiting for a member.

https://redis.io/docs/latest/commands/?group=sorted-set
"""

from engine.arguments import INT64_MAX, integer, parse_float, real, strtod, timeout
from engine.client import BLOCKED_ZSET, Client
from engine.errors import SYNTAX, WRONGTYPE, ReplyError, wrong_arity
from engine.keyspace import NOTIFY_GENERIC, NOTIFY_ZSET
from engine.resp import NULL_ARRAY, Argv, Reply, format_double
from engine.sampling import pairs_reply, random_arguments
from engine.scanning import scan_cursor, scan_options
from engine.table import BLOCKING, DENYOOM, FAST, READONLY, WRITE, command
from engine.values.set import SetValue
from engine.values.zset import LISTPACK, SKIPLIST, LexRange, ScoreRange, ZSetValue

Pairs = list[tuple[float, bytes]]

NOT_A_NUMBER = b"ERR resulting score is not a number (NaN)"
NOT_POSITIVE = b"ERR value is out of range, must be positive"
BAD_SCORE_RANGE = b"ERR min or max is not a float"
BAD_LEX_RANGE = b"ERR min or max not valid string range item"

_ZADD_OPTIONS = frozenset((b"nx", b"xx", b"ch", b"incr", b"gt", b"lt"))


@command(
    "ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW update",),
    since="1.2.0",
    complexity="O(log(N)) for each item added, where N is the number of elements in the sorted set.",
)
def zadd(ctx: Client, argv: Argv) -> Reply:
    if len(argv) == 4:
        # The common case; what is no number here is an option without score and member.
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
def zincrby(ctx: Client, argv: Argv) -> Reply:
    return _zadd(ctx, argv, {b"incr"}, 2)


def _zadd_one(ctx: Client, key: bytes, score: float, member: bytes) -> int:
    db = ctx.db
    value = db.write(key, ZSetValue)
    config = ctx.node.config
    max_entries, max_value = config.zset_max_listpack_entries, config.zset_max_listpack_value
    if value is None:
        value = ZSetValue.fitting(1, len(member), max_entries, max_value)
        db.add(key, value)
    at = value.index.get(member)
    if at is None:
        value.add(member, score, max_entries, max_value)
    elif score != value.scores[at]:
        value.update(member, score)
    else:
        return 0
    db.modified(key, NOTIFY_ZSET, b"zadd", 1)
    return int(at is None)


def _zadd(ctx: Client, argv: Argv, options: set[bytes], start: int) -> Reply:
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
def zrem(ctx: Client, argv: Argv) -> Reply:
    value = ctx.db.write(argv[1], ZSetValue)
    if value is None:
        return 0
    removed = 0
    for member in argv[2:]:
        removed += value.remove(member)
    if removed:
        _removed(ctx, argv[1], value, b"zrem", removed)
    return removed


def _removed(ctx: Client, key: bytes, value: ZSetValue, event: bytes, count: int) -> None:
    """Report members that were removed; an empty sorted set is removed itself."""
    db = ctx.db
    if value.members:
        db.modified(key, NOTIFY_ZSET, event, count)
    else:
        db.delete(key)
        db.modified(key, NOTIFY_ZSET, event, count)
        db.notify(NOTIFY_GENERIC, b"del", key)


@command("ZCARD key", READONLY, FAST, keys=("1 RO",), since="1.2.0", complexity="O(1)")
def zcard(ctx: Client, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ZSetValue)
    return 0 if value is None else len(value)


@command("ZSCORE key member", READONLY, FAST, keys=("1 RO access",), since="1.2.0", complexity="O(1)")
def zscore(ctx: Client, argv: Argv) -> Reply:
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
def zmscore(ctx: Client, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ZSetValue)
    return [None if value is None else value.score(member) for member in argv[2:]]


@command("ZRANK key member [WITHSCORE]", READONLY, FAST, keys=("1 RO access",), since="2.0.0", complexity="O(log(N))")
def zrank(ctx: Client, argv: Argv) -> Reply:
    return _rank(ctx, argv, b"zrank", False)


@command(
    "ZREVRANK key member [WITHSCORE]",
    READONLY,
    FAST,
    keys=("1 RO access",),
    since="2.0.0",
    complexity="O(log(N))",
)
def zrevrank(ctx: Client, argv: Argv) -> Reply:
    return _rank(ctx, argv, b"zrevrank", True)


def _rank(ctx: Client, argv: Argv, name: bytes, reverse: bool) -> Reply:
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


# --- ranges -----------------------------------------------------------------------------------------------------


def _score_bound(arg: bytes) -> tuple[float, bool]:
    excluded = arg[:1] == b"("
    value = strtod(arg[1:] if excluded else arg)
    if value is None:
        raise ReplyError(BAD_SCORE_RANGE)
    return value, excluded


def score_range(low: bytes, high: bytes) -> ScoreRange:
    """Read a range of scores: numbers, excluded ones with a parenthesis before them."""
    first, first_excluded = _score_bound(low)
    last, last_excluded = _score_bound(high)
    return ScoreRange(first, last, first_excluded, last_excluded)


def lex_range(low: bytes, high: bytes) -> LexRange:
    """Read a range of members: `-`, `+`, or members with a bracket, or with a parenthesis if excluded."""
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
    """Return the ranks (from, up to but not including) of a range given as clients do, negative from the end."""
    length = len(value)
    if start < 0:
        start = max(0, start + length)
    if stop < 0:
        stop += length
    stop = min(stop, length - 1)
    return (start, stop + 1) if start <= stop else (0, 0)


class _Range:
    """A range as ZRANGE and its relatives take it. `by` is b"rank", b"score" or b"lex"."""

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
        """Return what is in the range, in its order."""
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


def _reply(ctx: Client, pairs: Pairs, with_scores: bool) -> Reply:
    """Return members, or members with scores: as pairs for RESP3, in one flat list for RESP2."""
    if not with_scores:
        return [member for _, member in pairs]
    if ctx.resp == 3:
        return [[member, score] for score, member in pairs]
    flat: list[Reply] = []
    for score, member in pairs:
        flat.append(member)
        flat.append(score)
    return flat


def _range(ctx: Client, key: bytes, wanted: _Range) -> Reply:
    value = ctx.db.read(key, ZSetValue)
    return [] if value is None else _reply(ctx, wanted.pairs(value), wanted.with_scores)


@command(
    "ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
    READONLY,
    keys=("1 RO access",),
    since="1.2.0",
    complexity=(
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned."
    ),
)
def zrange(ctx: Client, argv: Argv) -> Reply:
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
def zrevrange(ctx: Client, argv: Argv) -> Reply:
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
def zrangebyscore(ctx: Client, argv: Argv) -> Reply:
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
def zrevrangebyscore(ctx: Client, argv: Argv) -> Reply:
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
def zrangebylex(ctx: Client, argv: Argv) -> Reply:
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
def zrevrangebylex(ctx: Client, argv: Argv) -> Reply:
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
def zrangestore(ctx: Client, argv: Argv) -> Reply:
    wanted = _Range(argv, 3, store=True)
    value = ctx.db.read(argv[2], ZSetValue)
    pairs = [] if value is None else wanted.pairs(value)
    config = ctx.node.config
    max_entries, max_value = config.zset_max_listpack_entries, config.zset_max_listpack_value
    # Redis knows how many there will be only for ranks; for others it is prepared for many.
    small = wanted.by == b"rank" and len(pairs) <= max_entries
    result = ZSetValue(LISTPACK if small else SKIPLIST)
    for score, member in pairs:
        result.add(member, score, max_entries, max_value)
    return _store(ctx, argv[1], result, b"zrangestore")


def _store(ctx: Client, key: bytes, result: ZSetValue, event: bytes) -> int:
    """Set a key to a result; an empty one removes the key."""
    db = ctx.db
    if len(result):
        db.set(key, result)
        db.modified(key, NOTIFY_ZSET, event)
    elif db.delete(key):
        db.modified(key, NOTIFY_GENERIC, b"del")
    return len(result)


@command(
    "ZCOUNT key min max",
    READONLY,
    FAST,
    keys=("1 RO access",),
    since="2.0.0",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
)
def zcount(ctx: Client, argv: Argv) -> Reply:
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
def zlexcount(ctx: Client, argv: Argv) -> Reply:
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
def zremrangebyrank(ctx: Client, argv: Argv) -> Reply:
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
def zremrangebyscore(ctx: Client, argv: Argv) -> Reply:
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
def zremrangebylex(ctx: Client, argv: Argv) -> Reply:
    bounds = lex_range(argv[2], argv[3])
    value = ctx.db.write(argv[1], ZSetValue)
    return 0 if value is None else _remove_range(ctx, argv[1], value, value.lex_range(bounds), b"zremrangebylex")


def _remove_range(ctx: Client, key: bytes, value: ZSetValue, ranks: tuple[int, int], event: bytes) -> int:
    removed = value.remove_range(*ranks)
    if removed:
        _removed(ctx, key, value, event, removed)
    return removed


# --- several sorted sets ----------------------------------------------------------------------------------------

Source = ZSetValue | SetValue | None


def _find_sources(ctx: Client, argv: Argv, at: int, name: bytes) -> tuple[list[Source], int]:
    """Read `numkeys key [key …]`; returns the values, sets among them, and the position behind the keys."""
    numkeys = integer(argv[at])
    if numkeys < 1:
        raise ReplyError(b"ERR at least 1 input key is needed for '%b' command" % name)
    end = at + 1 + numkeys
    if end > len(argv):
        raise ReplyError(SYNTAX)
    sources: list[Source] = []
    for key in argv[at + 1 : end]:
        value = ctx.db.lookup_read(key)
        if value is not None and type(value) is not ZSetValue and type(value) is not SetValue:
            raise ReplyError(WRONGTYPE)
        sources.append(value)
    return sources, end


def _scores_of(source: Source) -> dict[bytes, float]:
    if source is None:
        return {}
    if type(source) is SetValue:
        return dict.fromkeys(source.to_list(), 1.0)
    assert type(source) is ZSetValue
    return dict(source.items())


def _score_in(source: ZSetValue | SetValue, member: bytes) -> float | None:
    if type(source) is ZSetValue:
        return source.score(member)
    return 1.0 if member in source else None


def _aggregated(first: float, second: float, how: bytes) -> float:
    if how == b"min":
        return second if second < first else first
    if how == b"max":
        return second if second > first else first
    total = first + second
    return total if total == total else 0.0  # +inf and -inf


def _weighted(score: float, weight: float) -> float:
    product = score * weight
    return product if product == product else 0.0  # 0 times infinity


class _Combination:
    """The options of ZUNION and ZINTER: weights, aggregate, WITHSCORES."""

    __slots__ = ("how", "weights", "with_scores")

    def __init__(self, argv: Argv, i: int, count: int, store: bool, weighted: bool = True) -> None:
        self.weights = [1.0] * count
        self.how = b"sum"
        self.with_scores = False
        size = len(argv)
        while i < size:
            option = argv[i].lower()
            left = size - i
            if weighted and option == b"weights" and left >= count + 1:
                self.weights = [real(arg, b"ERR weight value is not a float") for arg in argv[i + 1 : i + 1 + count]]
                i += count
            elif weighted and option == b"aggregate" and left >= 2:
                self.how = argv[i + 1].lower()
                if self.how not in (b"sum", b"min", b"max"):
                    raise ReplyError(SYNTAX)
                i += 1
            elif option == b"withscores" and not store:
                self.with_scores = True
            else:
                raise ReplyError(SYNTAX)
            i += 1


def _by_size(sources: list[Source], weights: list[float]) -> list[tuple[Source, float]]:
    # In Redis's order of computing: sums of doubles depend on it.
    return sorted(zip(sources, weights), key=lambda pair: 0 if pair[0] is None else len(pair[0]))


def _union(sources: list[Source], options: _Combination) -> dict[bytes, float]:
    result: dict[bytes, float] = {}
    how = options.how
    for source, weight in _by_size(sources, options.weights):
        for member, score in _scores_of(source).items():
            score = _weighted(score, weight)
            old = result.get(member)
            result[member] = score if old is None else _aggregated(old, score, how)
    return result


def _intersection(sources: list[Source], options: _Combination) -> dict[bytes, float]:
    ordered = _by_size(sources, options.weights)
    smallest, weight = ordered[0]
    result: dict[bytes, float] = {}
    for member, score in _scores_of(smallest).items():
        total = _weighted(score, weight)
        for other, other_weight in ordered[1:]:
            found = score if other is smallest else _score_in(other, member)  # type: ignore[arg-type]
            if found is None:
                break
            total = _aggregated(total, found * other_weight, options.how)
        else:
            result[member] = total
    return result


def _difference(sources: list[Source]) -> dict[bytes, float]:
    first, others = sources[0], [source for source in sources[1:] if source is not None]
    if first is None or any(other is first for other in others):
        return {}
    result = _scores_of(first)
    for other in others:
        if len(other) <= len(result):
            for member in other.to_list() if type(other) is SetValue else other.members:
                result.pop(member, None)
        else:
            result = {member: score for member, score in result.items() if member not in other}
    return result


def _combined_reply(ctx: Client, scores: dict[bytes, float], with_scores: bool) -> Reply:
    return _reply(ctx, sorted([(score, member) for member, score in scores.items()]), with_scores)


def _store_combined(ctx: Client, key: bytes, scores: dict[bytes, float], event: bytes) -> int:
    config = ctx.node.config
    result = ZSetValue.of(scores, config.zset_max_listpack_entries, config.zset_max_listpack_value)
    return _store(ctx, key, result, event)


@command(
    "ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
    READONLY,
    keys=("1# RO access",),
    since="6.2.0",
    complexity=(
        "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of "
        "elements in the resulting sorted set."
    ),
)
def zunion(ctx: Client, argv: Argv) -> Reply:
    sources, end = _find_sources(ctx, argv, 1, b"zunion")
    options = _Combination(argv, end, len(sources), store=False)
    return _combined_reply(ctx, _union(sources, options), options.with_scores)


@command(
    "ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
    READONLY,
    keys=("1# RO access",),
    since="6.2.0",
    complexity=(
        "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input "
        "sorted sets and M being the number of elements in the resulting sorted set."
    ),
)
def zinter(ctx: Client, argv: Argv) -> Reply:
    sources, end = _find_sources(ctx, argv, 1, b"zinter")
    options = _Combination(argv, end, len(sources), store=False)
    return _combined_reply(ctx, _intersection(sources, options), options.with_scores)


@command(
    "ZDIFF numkeys key [key ...] [WITHSCORES]",
    READONLY,
    keys=("1# RO access",),
    since="6.2.0",
    complexity=(
        "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of "
        "the first set, and K is the size of the result set."
    ),
)
def zdiff(ctx: Client, argv: Argv) -> Reply:
    sources, end = _find_sources(ctx, argv, 1, b"zdiff")
    options = _Combination(argv, end, len(sources), store=False, weighted=False)
    return _combined_reply(ctx, _difference(sources), options.with_scores)


@command(
    "ZINTERCARD numkeys key [key ...] [LIMIT limit]",
    READONLY,
    keys=("1# RO access",),
    since="7.0.0",
    complexity=(
        "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets."
    ),
)
def zintercard(ctx: Client, argv: Argv) -> Reply:
    sources, end = _find_sources(ctx, argv, 1, b"zintercard")
    limit = 0
    for i in range(end, len(argv), 2):
        if argv[i].lower() != b"limit" or i + 1 == len(argv):
            raise ReplyError(SYNTAX)
        limit = integer(argv[i + 1], b"ERR LIMIT can't be negative", 0)
    present = sorted([source for source in sources if source is not None], key=len)
    if len(present) < len(sources):
        return 0
    smallest = present[0]
    others = [source for source in present[1:] if source is not smallest]
    found = 0
    for member in smallest.to_list() if type(smallest) is SetValue else smallest.members:
        if all(member in other for other in others):
            found += 1
            if found == limit:
                break
    return found


@command(
    "ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
    WRITE,
    DENYOOM,
    keys=("1 OW update", "2# RO access"),
    since="2.0.0",
    complexity=(
        "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of "
        "elements in the resulting sorted set."
    ),
)
def zunionstore(ctx: Client, argv: Argv) -> Reply:
    sources, end = _find_sources(ctx, argv, 2, b"zunionstore")
    options = _Combination(argv, end, len(sources), store=True)
    return _store_combined(ctx, argv[1], _union(sources, options), b"zunionstore")


@command(
    "ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
    WRITE,
    DENYOOM,
    keys=("1 OW update", "2# RO access"),
    since="2.0.0",
    complexity=(
        "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input "
        "sorted sets and M being the number of elements in the resulting sorted set."
    ),
)
def zinterstore(ctx: Client, argv: Argv) -> Reply:
    sources, end = _find_sources(ctx, argv, 2, b"zinterstore")
    options = _Combination(argv, end, len(sources), store=True)
    return _store_combined(ctx, argv[1], _intersection(sources, options), b"zinterstore")


@command(
    "ZDIFFSTORE destination numkeys key [key ...]",
    WRITE,
    DENYOOM,
    keys=("1 OW update", "2# RO access"),
    since="6.2.0",
    complexity=(
        "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of "
        "the first set, and K is the size of the result set."
    ),
)
def zdiffstore(ctx: Client, argv: Argv) -> Reply:
    sources, end = _find_sources(ctx, argv, 2, b"zdiffstore")
    _Combination(argv, end, len(sources), store=True, weighted=False)
    return _store_combined(ctx, argv[1], _difference(sources), b"zdiffstore")


# --- popping, random members, scanning --------------------------------------------------------------------------


def _pop(ctx: Client, key: bytes, value: ZSetValue, last: bool, count: int) -> Pairs:
    """Remove up to `count` (at least 1) members from an end and return them in the order of popping."""
    if count == 1:
        pairs = [value.pop(last)]
    else:
        count = min(count, len(value))
        start = len(value) - count if last else 0
        pairs = value.range(start, start + count, last)
        value.remove_range(start, start + count)
    _removed(ctx, key, value, b"zpopmax" if last else b"zpopmin", count)
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
def zpopmin(ctx: Client, argv: Argv) -> Reply:
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
def zpopmax(ctx: Client, argv: Argv) -> Reply:
    return _zpop(ctx, argv, True)


def _zpop(ctx: Client, argv: Argv, last: bool) -> Reply:
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
    return _reply(ctx, pairs, True)


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
def zmpop(ctx: Client, argv: Argv) -> Reply:
    keys, last, count = _zmpop_arguments(argv, 1)
    for key in keys:
        value = ctx.db.write(key, ZSetValue)
        if value is not None:
            return _mpop(ctx, key, value, last, count)
    return NULL_ARRAY


def _zmpop_arguments(argv: Argv, at: int) -> tuple[list[bytes], bool, int]:
    """Read `numkeys key [key …] <MIN | MAX> [COUNT count]` from position `at` on."""
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


def _mpop(ctx: Client, key: bytes, value: ZSetValue, last: bool, count: int) -> Reply:
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
def bzpopmin(ctx: Client, argv: Argv) -> Reply:
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
def bzpopmax(ctx: Client, argv: Argv) -> Reply:
    return _blocking_pop(ctx, argv, True)


def _blocking_pop(ctx: Client, argv: Argv, last: bool) -> Reply:
    until_ms = timeout(ctx, argv[-1])
    keys = argv[1:-1]
    for key in keys:
        value = ctx.db.write(key, ZSetValue)
        if value is not None:
            score, member = _pop(ctx, key, value, last, 1)[0]
            ctx.rewrite([_pop_command(last), key])
            return [key, member, score]
    return ctx.block(BLOCKED_ZSET, keys, until_ms) if ctx.can_block else NULL_ARRAY


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
def bzmpop(ctx: Client, argv: Argv) -> Reply:
    keys, last, count = _zmpop_arguments(argv, 2)
    until_ms = timeout(ctx, argv[1])
    for key in keys:
        value = ctx.db.write(key, ZSetValue)
        if value is not None:
            return _mpop(ctx, key, value, last, count)
    return ctx.block(BLOCKED_ZSET, keys, until_ms) if ctx.can_block else NULL_ARRAY


@command(
    "ZRANDMEMBER key [count [WITHSCORES]]",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="6.2.0",
    complexity="O(N) where N is the number of members returned",
)
def zrandmember(ctx: Client, argv: Argv) -> Reply:
    if len(argv) == 2:
        value = ctx.db.read(argv[1], ZSetValue)
        return None if value is None else value.random(ctx.node.rng)[0]
    count, with_scores = random_arguments(argv, b"withscores")
    value = ctx.db.read(argv[1], ZSetValue)
    if value is None or not count:
        return []
    if count < 0:
        pairs = [value.random(ctx.node.rng) for _ in range(-count)]
    elif count >= len(value):
        pairs = [(member, score) for score, member in reversed(value.ordered)]
    else:
        pairs = value.sample(ctx.node.rng, count)
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
def zscan(ctx: Client, argv: Argv) -> Reply:
    cursor = scan_cursor(argv[2])
    value = ctx.db.read(argv[1], ZSetValue)
    if value is None:
        return [b"0", []]
    options = scan_options(argv, 3)
    after, pairs = value.scan(cursor, options.step)
    match = options.pattern.match if options.pattern else None
    # The two encodings spell scores differently, in Redis too.
    spell = format_double if value.encoding == LISTPACK else _all_digits
    found: list[bytes] = []
    for member, score in pairs:
        if match is None or match(member):
            found.append(member)
            found.append(spell(score))
    return [b"%d" % after, found]


def _all_digits(score: float) -> bytes:
    return b"%.17g" % score
