"""List commands: both ends, ranges, and blocking until an element arrives.

https://redis.io/docs/latest/commands/?group=list
"""

from typing import Final

from engine.clients.client import BLOCKED_LIST
from engine.keyspace.databases import NOTIFY_GENERIC, NOTIFY_LIST
from engine.protocol.errors import NO_SUCH_KEY, NOT_AN_INTEGER, OUT_OF_RANGE, SYNTAX, ReplyError, wrong_arity
from engine.protocol.numbers import INT64_MAX, as_int, parse_integer
from engine.protocol.resp import NULL_ARRAY, OK, Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer, timeout
from engine.table.declarations import BLOCKING, DENYOOM, FAST, READONLY, WRITE, command
from engine.values.list import LISTPACK, QUICKLIST, ListValue

HEAD, TAIL = True, False

NOT_POSITIVE: Final = b"ERR value is out of range, must be positive"


@command(
    "LPUSH key element [element ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW insert",),
    since="1.0.0",
    complexity=(
        "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments."
    ),
)
def lpush(ctx: Context, argv: Argv) -> Reply:
    return _push(ctx, argv, HEAD, ctx.db.write(argv[1], ListValue))


@command(
    "RPUSH key element [element ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW insert",),
    since="1.0.0",
    complexity=(
        "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments."
    ),
)
def rpush(ctx: Context, argv: Argv) -> Reply:
    return _push(ctx, argv, TAIL, ctx.db.write(argv[1], ListValue))


@command(
    "LPUSHX key element [element ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW insert",),
    since="2.2.0",
    complexity=(
        "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments."
    ),
)
def lpushx(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.write(argv[1], ListValue)
    return 0 if value is None else _push(ctx, argv, HEAD, value)


@command(
    "RPUSHX key element [element ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW insert",),
    since="2.2.0",
    complexity=(
        "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments."
    ),
)
def rpushx(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.write(argv[1], ListValue)
    return 0 if value is None else _push(ctx, argv, TAIL, value)


def _push(ctx: Context, argv: Argv, head: bool, value: ListValue | None) -> Reply:
    db = ctx.db
    key = argv[1]
    if value is None:
        value = ListValue()
        db.add(key, value)
    count = len(argv) - 2
    if count == 1:
        item = argv[2]
        if value.encoding == LISTPACK:
            value.grow(len(item), 1, ctx.node.config.list_max_listpack_size)
        value.push(item, head)
    else:
        items = argv[2:]
        value.grow(sum(map(len, items)), count, ctx.node.config.list_max_listpack_size)
        for item in items:
            value.push(item, head)
    db.modified(key, NOTIFY_LIST, b"lpush" if head else b"rpush", count)
    return value.length


@command(
    "LPOP key [count]",
    WRITE,
    FAST,
    keys=("1 RW access delete",),
    since="1.0.0",
    complexity="O(N) where N is the number of elements returned",
)
def lpop(ctx: Context, argv: Argv) -> Reply:
    return _pop(ctx, argv, HEAD)


@command(
    "RPOP key [count]",
    WRITE,
    FAST,
    keys=("1 RW access delete",),
    since="1.0.0",
    complexity="O(N) where N is the number of elements returned",
)
def rpop(ctx: Context, argv: Argv) -> Reply:
    return _pop(ctx, argv, TAIL)


def _pop(ctx: Context, argv: Argv, head: bool) -> Reply:
    key = argv[1]
    if len(argv) == 2:
        value = ctx.db.write(key, ListValue)
        if value is None:
            return None
        item = value.pop(head)
        _popped(ctx, key, value, head, 1)
        return item
    if len(argv) > 3:
        raise wrong_arity(b"lpop" if head else b"rpop")
    count = integer(argv[2], NOT_POSITIVE, 0, INT64_MAX)
    value = ctx.db.write(key, ListValue)
    if value is None:
        return NULL_ARRAY
    return _pop_range(ctx, key, value, head, count) if count else []


def _pop_range(ctx: Context, key: bytes, value: ListValue, head: bool, count: int) -> list[bytes]:
    """Pop up to `count` (at least 1) elements. Returns them in the order of popping."""
    count = min(count, value.length)
    if head:
        items = value.range(0, count - 1)
    else:
        items = value.range(value.length - count, value.length - 1)
        items.reverse()
    value.trim(count, head)
    _popped(ctx, key, value, head, count)
    return items


def _popped(ctx: Context, key: bytes, value: ListValue, head: bool, count: int) -> None:
    """Report that elements were popped; an empty list is removed."""
    db = ctx.db
    event = b"lpop" if head else b"rpop"
    if value.length:
        if value.encoding == QUICKLIST and len(value.nodes) == 1:
            value.shrink(ctx.node.config.list_max_listpack_size)
        db.modified(key, NOTIFY_LIST, event, count)
    else:
        db.delete(key)
        db.modified(key, NOTIFY_LIST, event, count)
        db.notify(NOTIFY_GENERIC, b"del", key)


@command("LLEN key", READONLY, FAST, keys=("1 RO",), since="1.0.0", complexity="O(1)")
def llen(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ListValue)
    return 0 if value is None else value.length


@command(
    "LINDEX key index",
    READONLY,
    keys=("1 RO access",),
    since="1.0.0",
    complexity=(
        "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for"
        " the first or the last element of the list O(1)."
    ),
)
def lindex(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], ListValue)
    if value is None:
        return None
    index = integer(argv[2])
    if index < 0:
        index += value.length
    return value.get(index) if 0 <= index < value.length else None


@command(
    "LRANGE key start stop",
    READONLY,
    keys=("1 RO access",),
    since="1.0.0",
    complexity=(
        "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or "
        "TAIL) for large lists; and N is the number of elements in the specified range."
    ),
)
def lrange(ctx: Context, argv: Argv) -> Reply:
    start, stop = integer(argv[2]), integer(argv[3])
    value = ctx.db.read(argv[1], ListValue)
    if value is None:
        return []
    length = value.length
    if start < 0:
        start = max(0, start + length)
    if stop < 0:
        stop += length
    elif stop >= length:
        stop = length - 1
    return value.range(start, stop) if start <= stop else []


@command(
    "LSET key index element",
    WRITE,
    DENYOOM,
    keys=("1 RW update",),
    since="1.0.0",
    complexity=(
        "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1)."
    ),
)
def lset(ctx: Context, argv: Argv) -> Reply:
    key = argv[1]
    value = ctx.db.write(key, ListValue)
    if value is None:
        raise ReplyError(NO_SUCH_KEY)
    index = as_int(integer(argv[2]))  # Redis passes it as a C int
    item = argv[3]
    fill = ctx.node.config.list_max_listpack_size
    value.grow(len(item), 1, fill)
    if index < 0:
        index += value.length
    if not 0 <= index < value.length:
        raise ReplyError(OUT_OF_RANGE)
    value.replace(index, item)
    value.shrink(fill)
    ctx.db.modified(key, NOTIFY_LIST, b"lset")
    return OK


@command(
    "LINSERT key <BEFORE | AFTER> pivot element",
    WRITE,
    DENYOOM,
    keys=("1 RW insert",),
    since="2.2.0",
    complexity=(
        "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that "
        "inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on"
        " the right end (tail) is O(N)."
    ),
)
def linsert(ctx: Context, argv: Argv) -> Reply:
    where = argv[2].lower()
    if where not in (b"before", b"after"):
        raise ReplyError(SYNTAX)
    key = argv[1]
    value = ctx.db.write(key, ListValue)
    if value is None:
        return 0
    # Redis makes room before it knows whether the pivot exists.
    value.grow(len(argv[4]), 1, ctx.node.config.list_max_listpack_size)
    place = value.find(argv[3])
    if place is None:
        return -1
    value.insert(place, argv[4], where == b"after")
    ctx.db.modified(key, NOTIFY_LIST, b"linsert")
    return value.length


@command(
    "LREM key count element",
    WRITE,
    keys=("1 RW delete",),
    since="1.0.0",
    complexity="O(N+M) where N is the length of the list and M is the number of elements removed.",
)
def lrem(ctx: Context, argv: Argv) -> Reply:
    key = argv[1]
    count = integer(argv[2])
    value = ctx.db.write(key, ListValue)
    if value is None:
        return 0
    removed = value.remove(argv[3], count)
    if removed:
        if value.length:
            value.shrink(ctx.node.config.list_max_listpack_size)
            ctx.db.modified(key, NOTIFY_LIST, b"lrem", removed)
        else:
            ctx.db.delete(key)
            ctx.db.modified(key, NOTIFY_LIST, b"lrem", removed)
            ctx.db.notify(NOTIFY_GENERIC, b"del", key)
    return removed


@command(
    "LTRIM key start stop",
    WRITE,
    keys=("1 RW delete",),
    since="1.0.0",
    complexity="O(N) where N is the number of elements to be removed by the operation.",
)
def ltrim(ctx: Context, argv: Argv) -> Reply:
    key = argv[1]
    start, stop = integer(argv[2]), integer(argv[3])
    value = ctx.db.write(key, ListValue)
    if value is None:
        return OK
    length = value.length
    if start < 0:
        start = max(0, start + length)
    if stop < 0:
        stop += length
    if start > stop or start >= length:
        from_head, from_tail = length, 0
    else:
        from_head, from_tail = start, max(0, length - 1 - stop)
    value.trim(from_head, HEAD)
    value.trim(from_tail, TAIL)
    if value.length:
        value.shrink(ctx.node.config.list_max_listpack_size)
        ctx.db.modified(key, NOTIFY_LIST, b"ltrim", from_head + from_tail)
    else:
        ctx.db.delete(key)
        ctx.db.modified(key, NOTIFY_LIST, b"ltrim", from_head + from_tail)
        ctx.db.notify(NOTIFY_GENERIC, b"del", key)
    return OK


@command(
    "LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
    READONLY,
    keys=("1 RO access",),
    since="6.0.6",
    complexity=(
        "O(N) where N is the number of elements in the list, for the average case. When searching for elements "
        "near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in "
        "constant time."
    ),
)
def lpos(ctx: Context, argv: Argv) -> Reply:
    rank = 1
    count = -1
    maxlen = 0
    i, size = 3, len(argv)
    while i < size:
        option = argv[i].lower()
        if i + 1 == size:
            raise ReplyError(SYNTAX)
        if option == b"rank":
            rank = integer(argv[i + 1], NOT_AN_INTEGER)
            if rank == -INT64_MAX - 1:
                raise ReplyError(b"ERR value is out of range, value must between %d and %d" % (-INT64_MAX, INT64_MAX))
            if rank == 0:
                raise ReplyError(
                    b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
                    b"negative to start from the end of the list"
                )
        elif option == b"count":
            count = integer(argv[i + 1], b"ERR COUNT can't be negative", 0)
        elif option == b"maxlen":
            maxlen = integer(argv[i + 1], b"ERR MAXLEN can't be negative", 0)
        else:
            raise ReplyError(SYNTAX)
        i += 2
    value = ctx.db.read(argv[1], ListValue)
    if value is None:
        return None if count < 0 else []
    found = value.positions(argv[2], rank, 1 if count < 0 else count, maxlen)
    if count >= 0:
        return found
    return found[0] if found else None


# --- moving -----------------------------------------------------------------------------------------------------


def _end(arg: bytes) -> bool:
    side = arg.lower()
    if side == b"left":
        return HEAD
    if side == b"right":
        return TAIL
    raise ReplyError(SYNTAX)


@command(
    "LMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT>",
    WRITE,
    DENYOOM,
    keys=("1 RW access delete", "2 RW insert"),
    since="6.2.0",
    complexity="O(1)",
)
def lmove(ctx: Context, argv: Argv) -> Reply:
    return _move(ctx, argv[1], argv[2], _end(argv[3]), _end(argv[4]))


@command(
    "RPOPLPUSH source destination",
    WRITE,
    DENYOOM,
    keys=("1 RW access delete", "2 RW insert"),
    since="1.2.0",
    complexity="O(1)",
)
def rpoplpush(ctx: Context, argv: Argv) -> Reply:
    return _move(ctx, argv[1], argv[2], TAIL, HEAD)


def _move(ctx: Context, source_key: bytes, destination_key: bytes, source_end: bool, end: bool) -> Reply:
    db = ctx.db
    source = db.write(source_key, ListValue)
    if source is None:
        return None
    destination = db.write(destination_key, ListValue)
    item = source.pop(source_end)
    # An integer popped from a quicklist counts as size 0 when Redis estimates the room in a listpack.
    size = len(item)
    if source.encoding == QUICKLIST and size < 21 and parse_integer(item) is not None:
        size = 0
    if destination is None:
        destination = ListValue()
        db.add(destination_key, destination)
    destination.grow(size, 1, ctx.node.config.list_max_listpack_size)
    destination.push(item, end)
    db.modified(destination_key, NOTIFY_LIST, b"lpush" if end else b"rpush", 0)
    _popped(ctx, source_key, source, source_end, 1)
    return item


@command(
    "LMPOP numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
    WRITE,
    keys=("1# RW access delete",),
    since="7.0.0",
    complexity="O(N+M) where N is the number of provided keys and M is the number of elements returned.",
)
def lmpop(ctx: Context, argv: Argv) -> Reply:
    keys, head, count = _lmpop_arguments(argv, 1)
    for key in keys:
        value = ctx.db.write(key, ListValue)
        if value is not None:
            return _mpop(ctx, key, value, head, count)
    return NULL_ARRAY


def _lmpop_arguments(argv: Argv, at: int) -> tuple[list[bytes], bool, int]:
    """Parse `numkeys key [key …] <LEFT | RIGHT> [COUNT count]` from position `at` on."""
    numkeys = integer(argv[at], b"ERR numkeys should be greater than 0", 1)
    where = at + numkeys + 1
    if where >= len(argv):
        raise ReplyError(SYNTAX)
    head = _end(argv[where])
    count = 1
    if len(argv) > where + 1:
        if argv[where + 1].lower() != b"count" or len(argv) == where + 2:
            raise ReplyError(SYNTAX)
        count = integer(argv[where + 2], b"ERR count should be greater than 0", 1)
        if len(argv) > where + 3:
            raise ReplyError(SYNTAX)
    return argv[at + 1 : where], head, count


def _mpop(ctx: Context, key: bytes, value: ListValue, head: bool, count: int) -> Reply:
    items = _pop_range(ctx, key, value, head, count)
    ctx.rewrite([b"LPOP" if head else b"RPOP", key, b"%d" % len(items)])
    return [key, items]


# --- blocking ---------------------------------------------------------------------------------------------------


@command(
    "BLPOP key [key ...] timeout",
    WRITE,
    BLOCKING,
    keys=("1..-2 RW access delete",),
    since="2.0.0",
    complexity="O(N) where N is the number of provided keys.",
)
def blpop(ctx: Context, argv: Argv) -> Reply:
    return _blocking_pop(ctx, argv, HEAD)


@command(
    "BRPOP key [key ...] timeout",
    WRITE,
    BLOCKING,
    keys=("1..-2 RW access delete",),
    since="2.0.0",
    complexity="O(N) where N is the number of provided keys.",
)
def brpop(ctx: Context, argv: Argv) -> Reply:
    return _blocking_pop(ctx, argv, TAIL)


def _blocking_pop(ctx: Context, argv: Argv, head: bool) -> Reply:
    until_us = timeout(ctx.node.clock, argv[-1])
    keys = argv[1:-1]
    for key in keys:
        value = ctx.db.write(key, ListValue)
        if value is not None:
            item = value.pop(head)
            _popped(ctx, key, value, head, 1)
            ctx.rewrite([b"LPOP" if head else b"RPOP", key])
            return [key, item]
    return ctx.block(BLOCKED_LIST, keys, until_us) if ctx.can_block else NULL_ARRAY


@command(
    "BLMPOP timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
    WRITE,
    BLOCKING,
    keys=("2# RW access delete",),
    since="7.0.0",
    complexity="O(N+M) where N is the number of provided keys and M is the number of elements returned.",
)
def blmpop(ctx: Context, argv: Argv) -> Reply:
    keys, head, count = _lmpop_arguments(argv, 2)
    until_us = timeout(ctx.node.clock, argv[1])
    for key in keys:
        value = ctx.db.write(key, ListValue)
        if value is not None:
            return _mpop(ctx, key, value, head, count)
    return ctx.block(BLOCKED_LIST, keys, until_us) if ctx.can_block else NULL_ARRAY


@command(
    "BLMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
    WRITE,
    DENYOOM,
    BLOCKING,
    keys=("1 RW access delete", "2 RW insert"),
    since="6.2.0",
    complexity="O(1)",
)
def blmove(ctx: Context, argv: Argv) -> Reply:
    source_end, end = _end(argv[3]), _end(argv[4])
    return _blocking_move(ctx, argv, source_end, end, timeout(ctx.node.clock, argv[5]), b"LMOVE", argv[3:5])


@command(
    "BRPOPLPUSH source destination timeout",
    WRITE,
    DENYOOM,
    BLOCKING,
    keys=("1 RW access delete", "2 RW insert"),
    since="2.2.0",
    complexity="O(1)",
)
def brpoplpush(ctx: Context, argv: Argv) -> Reply:
    return _blocking_move(ctx, argv, TAIL, HEAD, timeout(ctx.node.clock, argv[3]), b"RPOPLPUSH", [])


def _blocking_move(
    ctx: Context, argv: Argv, source_end: bool, end: bool, until_us: int | None, name: bytes, ends: Argv
) -> Reply:
    if ctx.db.write(argv[1], ListValue) is None:
        return ctx.block(BLOCKED_LIST, [argv[1]], until_us) if ctx.can_block else None
    item = _move(ctx, argv[1], argv[2], source_end, end)
    ctx.rewrite([name, argv[1], argv[2], *ends])
    return item
