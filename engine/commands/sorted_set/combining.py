"""Unions, intersections and differences of sorted sets and sets; members of sets have the score 1.

https://redis.io/docs/latest/commands/?group=sorted-set
"""

from typing import Final

from engine.commands.sorted_set.shared import scored_reply, store
from engine.protocol.errors import SYNTAX, WRONGTYPE, ReplyError
from engine.protocol.resp import Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer, real
from engine.table.declarations import DENYOOM, READONLY, WRITE, command
from engine.values.set import SetValue
from engine.values.zset import ZSetValue

GROUP: Final = "sorted_set"

Source = ZSetValue | SetValue | None


def _find_sources(ctx: Context, argv: Argv, at: int, name: bytes) -> tuple[list[Source], int]:
    """Parse `numkeys key [key …]`. Returns the values, including sets, and the position after the keys."""
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


def _score_in(source: Source, member: bytes) -> float | None:
    if type(source) is ZSetValue:
        return source.score(member)
    return 1.0 if source is not None and member in source else None


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
    # In Redis's order of computation, which affects sums of doubles.
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
            found = score if other is smallest else _score_in(other, member)
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
            for member in other.to_list() if type(other) is SetValue else other.in_order():
                result.pop(member, None)
        else:
            result = {member: score for member, score in result.items() if member not in other}
    return result


def _combined_reply(ctx: Context, scores: dict[bytes, float], with_scores: bool) -> Reply:
    return scored_reply(ctx, sorted([(score, member) for member, score in scores.items()]), with_scores)


def _store_combined(ctx: Context, key: bytes, scores: dict[bytes, float], event: bytes) -> int:
    config = ctx.node.config
    result = ZSetValue.of(scores, config.zset_max_listpack_entries, config.zset_max_listpack_value)
    return store(ctx, key, result, event)


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
def zunion(ctx: Context, argv: Argv) -> Reply:
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
def zinter(ctx: Context, argv: Argv) -> Reply:
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
def zdiff(ctx: Context, argv: Argv) -> Reply:
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
def zintercard(ctx: Context, argv: Argv) -> Reply:
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
    for member in smallest.to_list() if type(smallest) is SetValue else smallest.in_order():
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
def zunionstore(ctx: Context, argv: Argv) -> Reply:
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
def zinterstore(ctx: Context, argv: Argv) -> Reply:
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
def zdiffstore(ctx: Context, argv: Argv) -> Reply:
    sources, end = _find_sources(ctx, argv, 2, b"zdiffstore")
    _Combination(argv, end, len(sources), store=True, weighted=False)
    return _store_combined(ctx, argv[1], _difference(sources), b"zdiffstore")
