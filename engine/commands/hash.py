"""Hash commands: fields and values of a key.

https://redis.io/docs/latest/commands/?group=hash
"""

from functools import partial

from engine.commands.sampling import draw, pairs_reply, random_arguments
from engine.commands.scanning import scan_cursor, scan_options
from engine.keyspace.databases import NOTIFY_GENERIC, NOTIFY_HASH
from engine.protocol.errors import NOT_A_FLOAT, ReplyError, wrong_arity
from engine.protocol.numbers import INT64_MAX, INT64_MIN, LongDouble, parse_integer, parse_long_double
from engine.protocol.resp import OK, Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import DENYOOM, FAST, READONLY, WRITE, command
from engine.values.hash import LISTPACK, HashValue


def _find_or_create(ctx: Context, key: bytes) -> HashValue:
    value = ctx.db.write(key, HashValue)
    if value is None:
        value = HashValue()
        ctx.db.add(key, value)
    return value


@command(
    "HSET key field value [field value ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW update",),
    since="2.0.0",
    complexity=(
        "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with"
        " multiple field/value pairs."
    ),
)
def hset(ctx: Context, argv: Argv) -> Reply:
    if len(argv) & 1:
        raise wrong_arity(b"hset")
    return _set(ctx, argv)


@command(
    "HMSET key field value [field value ...]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW update",),
    since="2.0.0",
    complexity="O(N) where N is the number of fields being set.",
)
def hmset(ctx: Context, argv: Argv) -> Reply:
    if len(argv) & 1:
        raise wrong_arity(b"hmset")
    _set(ctx, argv)
    return OK


def _set(ctx: Context, argv: Argv) -> int:
    db = ctx.db
    key = argv[1]
    value = db.write(key, HashValue)
    if value is None:
        value = HashValue()
        db.add(key, value)
    config = ctx.node.config
    max_entries, max_value = config.hash_max_listpack_entries, config.hash_max_listpack_value
    if len(argv) == 4:
        created = int(value.set(argv[2], argv[3], max_entries, max_value))
        db.modified(key, NOTIFY_HASH, b"hset", 1)
        return created
    pairs = (len(argv) - 2) // 2
    if value.encoding == LISTPACK:
        value.expect(argv[2:], pairs, max_entries, max_value)
    created = 0
    for i in range(2, len(argv), 2):
        created += value.set(argv[i], argv[i + 1], max_entries, max_value)
    db.modified(key, NOTIFY_HASH, b"hset", pairs)
    return created


@command("HSETNX key field value", WRITE, DENYOOM, FAST, keys=("1 RW insert",), since="2.0.0", complexity="O(1)")
def hsetnx(ctx: Context, argv: Argv) -> Reply:
    value = _find_or_create(ctx, argv[1])
    if argv[2] in value:
        return 0
    config = ctx.node.config
    value.set(argv[2], argv[3], config.hash_max_listpack_entries, config.hash_max_listpack_value)
    ctx.db.modified(argv[1], NOTIFY_HASH, b"hset")
    return 1


@command(
    "HINCRBY key field increment",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW access update",),
    since="2.0.0",
    complexity="O(1)",
)
def hincrby(ctx: Context, argv: Argv) -> Reply:
    increment = integer(argv[3])
    value = ctx.db.write(argv[1], HashValue)
    old = value.get(argv[2]) if value is not None else None
    number = 0
    if old is not None:
        parsed = parse_integer(old)
        if parsed is None:
            raise ReplyError(b"ERR hash value is not an integer")
        number = parsed
    number += increment
    if not INT64_MIN <= number <= INT64_MAX:
        raise ReplyError(b"ERR increment or decrement would overflow")
    _store(ctx, argv, value, b"%d" % number, b"hincrby")
    return number


@command(
    "HINCRBYFLOAT key field increment",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW access update",),
    since="2.6.0",
    complexity="O(1)",
)
def hincrbyfloat(ctx: Context, argv: Argv) -> Reply:
    increment = parse_long_double(argv[3])
    if increment is None:
        raise ReplyError(NOT_A_FLOAT)
    if not increment.finite:
        raise ReplyError(b"ERR value is NaN or Infinity")
    value = ctx.db.write(argv[1], HashValue)
    old = value.get(argv[2]) if value is not None else None
    number: LongDouble | None = LongDouble(0)
    if old is not None:
        number = parse_long_double(old)
        if number is None:
            raise ReplyError(b"ERR hash value is not a float")
    assert number is not None
    number += increment
    if not number.finite:
        raise ReplyError(b"ERR increment would produce NaN or Infinity")
    text = number.human()
    _store(ctx, argv, value, text, b"hincrbyfloat")
    # The sum is propagated, because another machine's long double might give a different one.
    ctx.rewrite([b"HSET", argv[1], argv[2], text])
    return text


def _store(ctx: Context, argv: Argv, value: HashValue | None, number: bytes, event: bytes) -> None:
    if value is None:
        value = HashValue()
        ctx.db.add(argv[1], value)
    config = ctx.node.config
    value.set(argv[2], number, config.hash_max_listpack_entries, config.hash_max_listpack_value)
    ctx.db.modified(argv[1], NOTIFY_HASH, event)


@command("HGET key field", READONLY, FAST, keys=("1 RO access",), since="2.0.0", complexity="O(1)")
def hget(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], HashValue)
    return None if value is None else value.get(argv[2])


@command(
    "HMGET key field [field ...]",
    READONLY,
    FAST,
    keys=("1 RO access",),
    since="2.0.0",
    complexity="O(N) where N is the number of fields being requested.",
)
def hmget(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], HashValue)
    if value is None:
        return [None] * (len(argv) - 2)
    return [value.get(field) for field in argv[2:]]


@command(
    "HDEL key field [field ...]",
    WRITE,
    FAST,
    keys=("1 RW delete",),
    since="2.0.0",
    complexity="O(N) where N is the number of fields to be removed.",
)
def hdel(ctx: Context, argv: Argv) -> Reply:
    db = ctx.db
    key = argv[1]
    value = db.write(key, HashValue)
    if value is None:
        return 0
    removed = 0
    for field in argv[2:]:
        removed += value.remove(field)
    if removed:
        if value.positions:
            db.modified(key, NOTIFY_HASH, b"hdel", removed)
        else:
            db.delete(key)
            db.modified(key, NOTIFY_HASH, b"hdel", removed)
            db.notify(NOTIFY_GENERIC, b"del", key)
    return removed


@command("HLEN key", READONLY, FAST, keys=("1 RO",), since="2.0.0", complexity="O(1)")
def hlen(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], HashValue)
    return 0 if value is None else len(value)


@command("HSTRLEN key field", READONLY, FAST, keys=("1 RO",), since="3.2.0", complexity="O(1)")
def hstrlen(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], HashValue)
    return 0 if value is None else len(value.get(argv[2]) or b"")


@command("HEXISTS key field", READONLY, FAST, keys=("1 RO",), since="2.0.0", complexity="O(1)")
def hexists(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], HashValue)
    return 0 if value is None else int(argv[2] in value)


@command(
    "HKEYS key",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output_order",),
    since="2.0.0",
    complexity="O(N) where N is the size of the hash.",
)
def hkeys(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], HashValue)
    return [] if value is None else value.in_order()


@command(
    "HVALS key",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output_order",),
    since="2.0.0",
    complexity="O(N) where N is the size of the hash.",
)
def hvals(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], HashValue)
    return [] if value is None else [held for _, held in value.items()]


@command(
    "HGETALL key",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output_order",),
    since="2.0.0",
    complexity="O(N) where N is the size of the hash.",
)
def hgetall(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read(argv[1], HashValue)
    return {} if value is None else dict(value.items())


@command(
    "HRANDFIELD key [count [WITHVALUES]]",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="6.2.0",
    complexity="O(N) where N is the number of fields returned",
)
def hrandfield(ctx: Context, argv: Argv) -> Reply:
    if len(argv) == 2:
        value = ctx.db.read(argv[1], HashValue)
        return None if value is None else value.random(ctx.node.core.rng)[0]
    count, with_values = random_arguments(argv, b"withvalues")
    value = ctx.db.read(argv[1], HashValue)
    if value is None or not count:
        return []
    if count < 0:
        pairs = draw(ctx, partial(value.random, ctx.node.core.rng), -count)
    elif count >= len(value):
        pairs = list(value.items())
    else:
        pairs = value.sample(ctx.node.core.rng, count)
    return pairs_reply(ctx, pairs, with_values)


@command(
    "HSCAN key cursor [MATCH pattern] [COUNT count]",
    READONLY,
    keys=("1 RO access",),
    tips=("nondeterministic_output",),
    since="2.8.0",
    complexity=(
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
        "return back to 0. N is the number of elements inside the collection."
    ),
)
def hscan(ctx: Context, argv: Argv) -> Reply:
    cursor = scan_cursor(argv[2])
    value = ctx.db.read(argv[1], HashValue)
    if value is None:
        return [b"0", []]
    options = scan_options(argv, 3)
    after, pairs = value.scan(cursor, options.step)
    match = options.pattern.match if options.pattern else None
    return [b"%d" % after, [item for pair in pairs if match is None or match(pair[0]) for item in pair]]
