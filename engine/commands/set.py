"""Set commands: membership, random members, intersections, unions, differences.

https://redis.io/docs/latest/commands/?group=set
"""

from functools import partial
from typing import Final

from engine.commands.sampling import draw, random_count
from engine.commands.scanning import scan_cursor, scan_options
from engine.keyspace.databases import NOTIFY_GENERIC, NOTIFY_SET
from engine.protocol.errors import SYNTAX, ReplyError
from engine.protocol.resp import Argv, Reply, SetReply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import DENYOOM, FAST, READONLY, WRITE, command
from engine.values.set import HASHTABLE, INTSET, LISTPACK, SetLimits, SetValue

# The maximum number of members of an SREM that replaces an SPOP in propagation.
_PROPAGATED_AT_ONCE: Final = 1024

# SPOP moves the remaining members to a new set if it pops at least this many for each of them.
_MOVE_STRATEGY: Final = 5


def set_limits(ctx: Context) -> SetLimits:
    """Return the limits of small encodings."""
    config = ctx.node.config
    return SetLimits(config.set_max_intset_entries, config.set_max_listpack_entries, config.set_max_listpack_value)


_ANY: Final = SetLimits(0, 0, 0)  # for hash tables, which have no limits


@command(
    "SADD key member [member ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW insert",),
    since="1.0.0",
    complexity=(
        "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments."
    ),
)
def sadd(ctx: Context, argv: Argv) -> Reply:
    db = ctx.db
    key = argv[1]
    value = db.write(key, SetValue)
    limits = _ANY
    if value is None:
        limits = set_limits(ctx)
        value = SetValue.fitting(argv[2], len(argv) - 2, limits)
        db.add(key, value)
    elif len(argv) == 3 and argv[2] in value.positions:
        return 0
    elif value.encoding != HASHTABLE:
        limits = set_limits(ctx)
        value.expect(len(argv) - 2, limits)
    added = 0
    for member in argv[2:]:
        added += value.add(member, limits)
    if added:
        db.modified(key, NOTIFY_SET, b"sadd", added)
    elif limits is not _ANY:
        db.resized(key)
    return added


@command(
    "SREM key member [member ...]",
    WRITE,
    FAST,
    keys=("1 RW delete",),
    since="1.0.0",
    complexity="O(N) where N is the number of members to be removed.",
)
def srem(ctx: Context, argv: Argv) -> Reply:
    key = argv[1]
    value = ctx.db.write(key, SetValue)
    if value is None:
        return 0
    removed = 0
    for member in argv[2:]:
        removed += value.remove(member)
    if removed:
        _removed(ctx, key, value, b"srem", removed)
    return removed


def _removed(ctx: Context, key: bytes, value: SetValue, event: bytes, count: int) -> None:
    """Report that members were removed; an empty set is removed itself."""
    db = ctx.db
    if len(value):
        db.modified(key, NOTIFY_SET, event, count)
    else:
        db.delete(key)
        db.modified(key, NOTIFY_SET, event, count)
        db.notify(NOTIFY_GENERIC, b"del", key)


@command(
    "SMOVE source destination member",
    WRITE,
    FAST,
    keys=("1 RW access delete", "2 RW insert"),
    since="1.0.0",
    complexity="O(1)",
)
def smove(ctx: Context, argv: Argv) -> Reply:
    db = ctx.db
    _, source_key, destination_key, member = argv
    source = db.write(source_key, SetValue)
    if source is None:
        return 0
    destination = db.write(destination_key, SetValue)
    if destination is source:
        return int(member in source)
    if not source.remove(member):
        return 0
    _removed(ctx, source_key, source, b"srem", 1)
    limits = set_limits(ctx)
    if destination is None:
        destination = SetValue.fitting(member, 1, limits)
        db.add(destination_key, destination)
    if destination.add(member, limits):
        db.modified(destination_key, NOTIFY_SET, b"sadd")
    return 1


@command("SISMEMBER key member", READONLY, FAST, keys=("1 RO",), since="1.0.0", complexity="O(1)")
def sismember(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], SetValue)
    return 0 if value is None else int(argv[2] in value)


@command(
    "SMISMEMBER key member [member ...]",
    READONLY,
    FAST,
    keys=("1 RO access",),
    since="6.2.0",
    complexity="O(N) where N is the number of elements being checked for membership",
)
def smismember(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], SetValue)
    if value is None:
        return [0] * (len(argv) - 2)
    return [int(member in value) for member in argv[2:]]


@command("SCARD key", READONLY, FAST, keys=("1 RO",), since="1.0.0", complexity="O(1)")
def scard(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], SetValue)
    return 0 if value is None else len(value)


@command(
    "SMEMBERS key",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output_order",),
    since="1.0.0",
    complexity="O(N) where N is the set cardinality.",
)
def smembers(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], SetValue)
    return SetReply() if value is None else SetReply(value.to_list())


# --- random members ---------------------------------------------------------------------------------------------


@command(
    "SPOP key [count]",
    WRITE,
    FAST,
    keys=("1 RW access delete",),
    tips=("nondeterministic_output",),
    since="1.0.0",
    complexity="Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
)
def spop(ctx: Context, argv: Argv) -> Reply:
    key = argv[1]
    if len(argv) == 3:
        return _spop_many(ctx, key, argv[2])
    if len(argv) > 3:
        raise ReplyError(SYNTAX)
    value = ctx.db.write(key, SetValue)
    if value is None:
        return None
    member = value.pop(ctx.node.core.rng)
    _removed(ctx, key, value, b"spop", 1)
    ctx.rewrite([b"SREM", key, member])
    return member


def _spop_many(ctx: Context, key: bytes, arg: bytes) -> Reply:
    count = integer(arg, b"ERR value is out of range, must be positive", 0)
    db = ctx.db
    value = db.write(key, SetValue)
    if value is None or not count:
        return SetReply()
    size = len(value)
    if count >= size:
        popped = value.to_list()
        db.delete(key)
        db.modified(key, NOTIFY_SET, b"spop", size)
        db.notify(NOTIFY_GENERIC, b"del", key)
        ctx.rewrite([b"UNLINK" if ctx.node.config.lazyfree_lazy_server_del else b"DEL", key])
        return SetReply(popped)
    rng = ctx.node.core.rng
    if (size - count) * _MOVE_STRATEGY > count:
        popped = [value.pop(rng) for _ in range(count)]
    else:
        # Nearly all members are removed: the rest is moved to a new set, which has a small encoding again.
        remaining = SetValue(INTSET if value.encoding == INTSET else LISTPACK)
        limits = set_limits(ctx)
        for _ in range(size - count):
            remaining.add(value.pop(rng), limits)
        popped = value.to_list()
        db.set(key, remaining, keep_ttl=True)
    db.modified(key, NOTIFY_SET, b"spop", count)
    batches = range(0, count, _PROPAGATED_AT_ONCE)
    ctx.rewrite(*[[b"SREM", key, *popped[i : i + _PROPAGATED_AT_ONCE]] for i in batches])
    return SetReply(popped)


@command(
    "SRANDMEMBER key [count]",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="1.0.0",
    complexity="Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
)
def srandmember(ctx: Context, argv: Argv) -> Reply:
    if len(argv) > 3:
        raise ReplyError(SYNTAX)
    if len(argv) == 2:
        value = ctx.db.read(argv[1], SetValue)
        return None if value is None else value.random(ctx.node.core.rng)
    count = random_count(argv[2])
    value = ctx.db.read(argv[1], SetValue)
    if value is None or not count:
        return []
    if count < 0:
        return draw(ctx, partial(value.random, ctx.node.core.rng), -count)
    if count >= len(value):
        return value.to_list()
    return value.sample(ctx.node.core.rng, count)


# --- several sets -----------------------------------------------------------------------------------------------


def _find_all(ctx: Context, keys: list[bytes]) -> list[SetValue | None]:
    return [ctx.db.read(key, SetValue) for key in keys]


def _intersection(sets: list[SetValue | None], limit: int = 0) -> tuple[SetValue | None, list[bytes]]:
    """Return the smallest set, and the members that are in all sets, in its order; up to `limit` (0: all)."""
    present = [value for value in sets if value is not None]
    if len(present) < len(sets):
        return None, []
    present.sort(key=len)
    smallest = present[0]
    others = [value for value in present[1:] if value is not smallest]
    members = smallest.to_list()
    if not others:
        return smallest, members[:limit] if limit else members
    if not limit:
        for other in others:
            if other.encoding == INTSET:
                members = [member for member in members if member in other]
            else:
                positions = other.positions
                members = [member for member in members if member in positions]
        return smallest, members
    found: list[bytes] = []
    for member in members:
        if all(member in other for other in others):
            found.append(member)
            if len(found) == limit:
                break
    return smallest, found


def _union(sets: list[SetValue | None], limits: SetLimits) -> SetValue:
    result = SetValue()
    for value in sets:
        if value is not None:
            for member in value.to_list():
                result.add(member, limits)
    return result


def _difference(sets: list[SetValue | None], limits: SetLimits) -> SetValue:
    """Return the members of the first set that are in none of the others.

    Like Redis, it selects the cheaper of two algorithms, because the encoding of the result depends on the algorithm.
    """
    result = SetValue()
    first = sets[0]
    if first is None or any(value is first for value in sets[1:]):
        return result
    others = [value for value in sets[1:] if value is not None]
    if len(first) * (len(others) + 1) // 2 <= len(first) + sum(map(len, others)):
        others.sort(key=len, reverse=True)
        for member in first.to_list():
            if not any(member in other for other in others):
                result.add(member, limits)
    else:
        for member in first.to_list():
            result.add(member, limits)
        for other in others:
            for member in other.to_list():
                result.remove(member)
            if not len(result):
                break
    return result


def _store(ctx: Context, key: bytes, result: SetValue, event: bytes) -> int:
    """Store a result in a key; an empty result removes the key."""
    db = ctx.db
    if len(result):
        db.set(key, result)
        db.modified(key, NOTIFY_SET, event)
    elif db.delete(key):
        db.modified(key, NOTIFY_GENERIC, b"del")
    return len(result)


@command(
    "SINTER key [key ...]",
    READONLY,
    keys=("1..-1 RO access",),
    tips=("nondeterministic_output_order",),
    since="1.0.0",
    complexity="O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
)
def sinter(ctx: Context, argv: Argv) -> Reply:
    return SetReply(_intersection(_find_all(ctx, argv[1:]))[1])


@command(
    "SINTERCARD numkeys key [key ...] [LIMIT limit]",
    READONLY,
    keys=("1# RO access",),
    since="7.0.0",
    complexity="O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
)
def sintercard(ctx: Context, argv: Argv) -> Reply:
    numkeys = integer(argv[1], b"ERR numkeys should be greater than 0", 1)
    if numkeys > len(argv) - 2:
        raise ReplyError(b"ERR Number of keys can't be greater than number of args")
    limit = 0
    for i in range(2 + numkeys, len(argv), 2):
        if argv[i].lower() != b"limit" or i + 1 == len(argv):
            raise ReplyError(SYNTAX)
        limit = integer(argv[i + 1], b"ERR LIMIT can't be negative", 0)
    return len(_intersection(_find_all(ctx, argv[2 : 2 + numkeys]), limit)[1])


@command(
    "SINTERSTORE destination key [key ...]",
    WRITE,
    DENYOOM,
    keys=("1 RW update", "2..-1 RO access"),
    since="1.0.0",
    complexity="O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
)
def sinterstore(ctx: Context, argv: Argv) -> Reply:
    smallest, members = _intersection(_find_all(ctx, argv[2:]))
    limits = set_limits(ctx)
    result = SetValue(INTSET if smallest is not None and smallest.encoding == INTSET else LISTPACK)
    for member in members:
        result.add(member, limits)
    if members:
        result.to_intset(limits)
    return _store(ctx, argv[1], result, b"sinterstore")


@command(
    "SUNION key [key ...]",
    READONLY,
    keys=("1..-1 RO access",),
    tips=("nondeterministic_output_order",),
    since="1.0.0",
    complexity="O(N) where N is the total number of elements in all given sets.",
)
def sunion(ctx: Context, argv: Argv) -> Reply:
    return SetReply(_union(_find_all(ctx, argv[1:]), set_limits(ctx)).to_list())


@command(
    "SUNIONSTORE destination key [key ...]",
    WRITE,
    DENYOOM,
    keys=("1 OW update", "2..-1 RO access"),
    since="1.0.0",
    complexity="O(N) where N is the total number of elements in all given sets.",
)
def sunionstore(ctx: Context, argv: Argv) -> Reply:
    return _store(ctx, argv[1], _union(_find_all(ctx, argv[2:]), set_limits(ctx)), b"sunionstore")


@command(
    "SDIFF key [key ...]",
    READONLY,
    keys=("1..-1 RO access",),
    tips=("nondeterministic_output_order",),
    since="1.0.0",
    complexity="O(N) where N is the total number of elements in all given sets.",
)
def sdiff(ctx: Context, argv: Argv) -> Reply:
    return SetReply(_difference(_find_all(ctx, argv[1:]), set_limits(ctx)).to_list())


@command(
    "SDIFFSTORE destination key [key ...]",
    WRITE,
    DENYOOM,
    keys=("1 OW update", "2..-1 RO access"),
    since="1.0.0",
    complexity="O(N) where N is the total number of elements in all given sets.",
)
def sdiffstore(ctx: Context, argv: Argv) -> Reply:
    return _store(ctx, argv[1], _difference(_find_all(ctx, argv[2:]), set_limits(ctx)), b"sdiffstore")


@command(
    "SSCAN key cursor [MATCH pattern] [COUNT count]",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="2.8.0",
    complexity=(
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
        "return back to 0. N is the number of elements inside the collection."
    ),
)
def sscan(ctx: Context, argv: Argv) -> Reply:
    cursor = scan_cursor(argv[2])
    value = ctx.db.read(argv[1], SetValue)
    if value is None:
        return [b"0", []]
    options = scan_options(argv, 3)
    after, members = value.scan(cursor, options.step)
    if options.pattern is not None:
        match = options.pattern.match
        members = [member for member in members if match(member)]
    return [b"%d" % after, members]
