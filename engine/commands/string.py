"""String commands: bytes, counters, substrings, many keys at once.

https://redis.io/docs/latest/commands/?group=string
"""

from array import array
from typing import Final

from engine.keyspace.databases import NOTIFY_GENERIC, NOTIFY_STRING, string_of
from engine.protocol.errors import NOT_A_FLOAT, NOT_AN_INTEGER, STRING_TOO_LONG, SYNTAX, ReplyError, wrong_arity
from engine.protocol.numbers import INT64_MAX, INT64_MIN, parse_integer, parse_long_double
from engine.protocol.resp import OK, Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import DENYOOM, FAST, READONLY, WRITE, command
from engine.table.getkeys import set_keys
from engine.values.string import as_bytes, length, mutable, native


@command("GET key", READONLY, FAST, keys=("1 RO access",), since="1.0.0", complexity="O(1)")
def get(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.lookup_read(argv[1])
    return value if type(value) is bytes or value is None else as_bytes(string_of(value))


class _SetOptions:
    """The options shared by SET and GETEX."""

    __slots__ = ("absolute", "expire", "get", "keep_ttl", "nx", "persist", "unit", "unit_ms", "xx")

    def __init__(self, argv: Argv, start: int, of_set: bool) -> None:
        self.nx = self.xx = self.get = self.keep_ttl = self.persist = self.absolute = False
        self.expire: bytes | None = None
        self.unit: bytes | None = None
        self.unit_ms = 1
        i, size = start, len(argv)
        while i < size:
            option = argv[i].lower()
            if option == b"nx" and of_set and not self.xx:
                self.nx = True
            elif option == b"xx" and of_set and not self.nx:
                self.xx = True
            elif option == b"get" and of_set:
                self.get = True
            elif option == b"keepttl" and of_set and self.expire is None:
                self.keep_ttl = True
            elif option == b"persist" and not of_set and self.expire is None:
                self.persist = True
            elif option in _UNITS and self._may_follow(option) and i + 1 < size:
                self.unit = option
                self.unit_ms, self.absolute = _UNITS[option]
                i += 1
                self.expire = argv[i]
            else:
                raise ReplyError(SYNTAX)
            i += 1

    def _may_follow(self, unit: bytes) -> bool:
        # The same option may be repeated (the last one counts), a different one is an error.
        return self.unit in (None, unit) and not self.keep_ttl and not self.persist

    def deadline_ms(self, ctx: Context, name: bytes) -> int | None:
        """Return the Unix time in ms set by the options, or None."""
        if self.expire is None:
            return None
        return expire_at(ctx, self.expire, self.unit_ms, self.absolute, name)


_UNITS: Final = {b"ex": (1000, False), b"px": (1, False), b"exat": (1000, True), b"pxat": (1, True)}


def expire_at(ctx: Context, arg: bytes, unit_ms: int, absolute: bool, name: bytes) -> int:
    """Parse a time to live that must be in the future. Returns a Unix time in ms."""
    value = integer(arg)
    when = value * unit_ms
    if not absolute and 0 < when <= INT64_MAX:
        when += ctx.node.clock.now_ms
    if not 0 < when <= INT64_MAX:
        raise ReplyError(b"ERR invalid expire time in '%b' command" % name)
    return when


@command(
    "SET key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
    WRITE,
    DENYOOM,
    keys=("1 RW access update variable_flags -- RW and ACCESS due to the optional `GET` argument",),
    get_keys=set_keys,
    since="1.0.0",
    complexity="O(1)",
)
def set_(ctx: Context, argv: Argv) -> Reply:
    key, value = argv[1], argv[2]
    db = ctx.db
    if len(argv) == 3:
        db.put(key, native(value))
        return OK
    options = _SetOptions(argv, 3, of_set=True)
    when = options.deadline_ms(ctx, b"set")
    reply: Reply = OK
    if options.get:
        old = db.read_string(key)
        reply = None if old is None else as_bytes(old)
    if options.nx or options.xx:
        found = db.lookup_write(key) is not None
        if found is options.nx:
            return reply if options.get else None
    db.set(key, native(value), keep_ttl=options.keep_ttl)
    db.modified(key, NOTIFY_STRING, b"set")
    if when is not None:
        db.set_expire(key, when)
        if options.unit != b"pxat":
            ctx.rewrite([b"SET", key, value, b"PXAT", b"%d" % when])
        db.notify(NOTIFY_GENERIC, b"expire", key)
    elif options.get:
        ctx.rewrite([arg for i, arg in enumerate(argv) if i < 3 or arg.lower() != b"get"])
    return reply


@command("SETNX key value", WRITE, DENYOOM, FAST, keys=("1 OW insert",), since="1.0.0", complexity="O(1)")
def setnx(ctx: Context, argv: Argv) -> Reply:
    if ctx.db.lookup_write(argv[1]) is not None:
        return 0
    ctx.db.set(argv[1], native(argv[2]))
    ctx.db.modified(argv[1], NOTIFY_STRING, b"set")
    return 1


def _set_with_ttl(ctx: Context, argv: Argv, unit_ms: int, name: bytes) -> Reply:
    when = expire_at(ctx, argv[2], unit_ms, False, name)
    key, value = argv[1], argv[3]
    ctx.db.set(key, native(value))
    ctx.db.modified(key, NOTIFY_STRING, b"set")
    ctx.db.set_expire(key, when)
    ctx.rewrite([b"SET", key, value, b"PXAT", b"%d" % when])
    ctx.db.notify(NOTIFY_GENERIC, b"expire", key)
    return OK


@command("SETEX key seconds value", WRITE, DENYOOM, keys=("1 OW update",), since="2.0.0", complexity="O(1)")
def setex(ctx: Context, argv: Argv) -> Reply:
    return _set_with_ttl(ctx, argv, 1000, b"setex")


@command("PSETEX key milliseconds value", WRITE, DENYOOM, keys=("1 OW update",), since="2.6.0", complexity="O(1)")
def psetex(ctx: Context, argv: Argv) -> Reply:
    return _set_with_ttl(ctx, argv, 1, b"psetex")


@command("GETSET key value", WRITE, DENYOOM, FAST, keys=("1 RW access update",), since="1.0.0", complexity="O(1)")
def getset(ctx: Context, argv: Argv) -> Reply:
    old = ctx.db.read_string(argv[1])
    reply = None if old is None else as_bytes(old)
    ctx.db.set(argv[1], native(argv[2]))
    ctx.db.modified(argv[1], NOTIFY_STRING, b"set")
    ctx.rewrite([b"SET", argv[1], argv[2]])
    return reply


@command("GETDEL key", WRITE, FAST, keys=("1 RW access delete",), since="6.2.0", complexity="O(1)")
def getdel(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read_string(argv[1])
    if value is None:
        return None
    reply = as_bytes(value)
    ctx.db.delete(argv[1])
    ctx.db.modified(argv[1], NOTIFY_GENERIC, b"del")
    ctx.rewrite([b"DEL", argv[1]])
    return reply


@command(
    "GETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
    WRITE,
    FAST,
    keys=("1 RW access update -- RW and UPDATE because it changes the TTL",),
    since="6.2.0",
    complexity="O(1)",
)
def getex(ctx: Context, argv: Argv) -> Reply:
    options = _SetOptions(argv, 2, of_set=False)
    key, db = argv[1], ctx.db
    value = db.read_string(key)
    if value is None:
        return None
    when = options.deadline_ms(ctx, b"getex")
    reply = as_bytes(value)
    if when is not None and options.absolute and when <= ctx.node.clock.now_ms:
        db.delete(key)
        ctx.rewrite([ctx.node.config.deletion, key])
        db.modified(key, NOTIFY_GENERIC, b"del")
    elif when is not None:
        db.set_expire(key, when)
        ctx.rewrite([b"PEXPIREAT", key, b"%d" % when])
        db.modified(key, NOTIFY_GENERIC, b"expire")
    elif options.persist and db.remove_expire(key):
        ctx.rewrite([b"PERSIST", key])
        db.modified(key, NOTIFY_GENERIC, b"persist")
    return reply


# --- many keys --------------------------------------------------------------------------------------------------


@command(
    "MGET key [key ...]",
    READONLY,
    FAST,
    keys=("1..-1 RO access",),
    tips=("request_policy:multi_shard",),
    since="1.0.0",
    complexity="O(N) where N is the number of keys to retrieve.",
)
def mget(ctx: Context, argv: Argv) -> Reply:
    lookup = ctx.db.lookup_read
    reply: list[bytes | None] = []
    for key in argv[1:]:
        value = lookup(key)
        if isinstance(value, bytes):
            reply.append(value)
        elif isinstance(value, int | bytearray):
            reply.append(as_bytes(value))
        else:
            reply.append(None)
    return reply


def _set_many(ctx: Context, argv: Argv) -> None:
    put = ctx.db.put
    for i in range(1, len(argv), 2):
        put(argv[i], native(argv[i + 1]))


@command(
    "MSET key value [key value ...]",
    WRITE,
    DENYOOM,
    keys=("1..-1/2 OW update",),
    tips=(
        "request_policy:multi_shard",
        "response_policy:all_succeeded",
    ),
    since="1.0.1",
    complexity="O(N) where N is the number of keys to set.",
)
def mset(ctx: Context, argv: Argv) -> Reply:
    if len(argv) % 2 == 0:
        raise wrong_arity(b"mset")
    _set_many(ctx, argv)
    return OK


@command(
    "MSETNX key value [key value ...]",
    WRITE,
    DENYOOM,
    keys=("1..-1/2 OW insert",),
    since="1.0.1",
    complexity="O(N) where N is the number of keys to set.",
)
def msetnx(ctx: Context, argv: Argv) -> Reply:
    if len(argv) % 2 == 0:
        raise wrong_arity(b"msetnx")
    if any(ctx.db.lookup_write(key) is not None for key in argv[1::2]):
        return 0
    _set_many(ctx, argv)
    return 1


# --- counters ---------------------------------------------------------------------------------------------------


INCREMENT_OVERFLOW: Final = b"ERR increment or decrement would overflow"


def _increment(ctx: Context, key: bytes, by: int) -> int:
    db = ctx.db
    at = db.positions.get(key)
    if at is not None and type(held := db.values[at]) is int and not (db.expires and key in db.expires):
        total: int = held + by
        if not INT64_MIN <= total <= INT64_MAX:
            raise ReplyError(INCREMENT_OVERFLOW)
        db.put(key, total, b"incrby")
        return total
    value = db.write_string(key)
    if type(value) is not int:
        if value is None:
            value = 0
        else:
            number = parse_integer(bytes(value))
            if number is None:
                raise ReplyError(NOT_AN_INTEGER)
            value = number
    result = value + by
    if not INT64_MIN <= result <= INT64_MAX:
        raise ReplyError(INCREMENT_OVERFLOW)
    db.set(key, result, keep_ttl=True)
    db.modified(key, NOTIFY_STRING, b"incrby")
    return result


@command("INCR key", WRITE, DENYOOM, FAST, keys=("1 RW access update",), since="1.0.0", complexity="O(1)")
def incr(ctx: Context, argv: Argv) -> Reply:
    return _increment(ctx, argv[1], 1)


@command("DECR key", WRITE, DENYOOM, FAST, keys=("1 RW access update",), since="1.0.0", complexity="O(1)")
def decr(ctx: Context, argv: Argv) -> Reply:
    return _increment(ctx, argv[1], -1)


@command("INCRBY key increment", WRITE, DENYOOM, FAST, keys=("1 RW access update",), since="1.0.0", complexity="O(1)")
def incrby(ctx: Context, argv: Argv) -> Reply:
    return _increment(ctx, argv[1], integer(argv[2]))


@command("DECRBY key decrement", WRITE, DENYOOM, FAST, keys=("1 RW access update",), since="1.0.0", complexity="O(1)")
def decrby(ctx: Context, argv: Argv) -> Reply:
    by = integer(argv[2])
    if by == INT64_MIN:
        raise ReplyError(b"ERR decrement would overflow")
    return _increment(ctx, argv[1], -by)


@command(
    "INCRBYFLOAT key increment", WRITE, DENYOOM, FAST, keys=("1 RW access update",), since="2.6.0", complexity="O(1)"
)
def incrbyfloat(ctx: Context, argv: Argv) -> Reply:
    key = argv[1]
    held = ctx.db.write_string(key)
    value = parse_long_double(as_bytes(held) if held is not None else b"0")
    by = parse_long_double(argv[2])
    if value is None or by is None:
        raise ReplyError(NOT_A_FLOAT)
    result = value + by
    if not result.finite:
        raise ReplyError(b"ERR increment would produce NaN or Infinity")
    text = result.human()
    ctx.db.set(key, text, keep_ttl=True)
    ctx.db.modified(key, NOTIFY_STRING, b"incrbyfloat")
    # The sum is propagated, because the addition may give a different result elsewhere.
    ctx.rewrite([b"SET", key, text, b"KEEPTTL"])
    return text


# --- parts of strings -------------------------------------------------------------------------------------------


def check_length(ctx: Context, size: int) -> None:
    """Raise an error if a string of that many bytes would be too long."""
    if size > ctx.node.config.proto_max_bulk_len:
        raise ReplyError(STRING_TOO_LONG)


@command(
    "APPEND key value",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW insert",),
    since="2.0.0",
    complexity="O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.",
)
def append(ctx: Context, argv: Argv) -> Reply:
    key, added = argv[1], argv[2]
    db = ctx.db
    value = db.write_string(key)
    if value is None:
        db.add(key, native(added))
        size = len(added)
    else:
        check_length(ctx, length(value) + len(added))
        grown = mutable(value)
        grown += added
        if grown is not value:
            db.set(key, grown, keep_ttl=True)
        size = len(grown)
    db.modified(key, NOTIFY_STRING, b"append")
    return size


@command("STRLEN key", READONLY, FAST, keys=("1 RO",), since="2.2.0", complexity="O(1)")
def strlen(ctx: Context, argv: Argv) -> Reply:
    value = ctx.db.read_string(argv[1])
    return 0 if value is None else length(value)


@command(
    "SETRANGE key offset value",
    WRITE,
    DENYOOM,
    keys=("1 RW update",),
    since="2.2.0",
    complexity="O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.",
)
def setrange(ctx: Context, argv: Argv) -> Reply:
    key, patch = argv[1], argv[3]
    offset = integer(argv[2])
    if offset < 0:
        raise ReplyError(b"ERR offset is out of range")
    db = ctx.db
    value = db.write_string(key)
    if not patch:
        return 0 if value is None else length(value)
    check_length(ctx, offset + len(patch))
    text = bytearray() if value is None else mutable(value)
    if len(text) < offset:
        text.extend(bytes(offset - len(text)))
    text[offset : offset + len(patch)] = patch
    if text is not value:
        db.set(key, text, keep_ttl=True)
    db.modified(key, NOTIFY_STRING, b"setrange")
    return len(text)


def _substring(ctx: Context, argv: Argv) -> bytes:
    start, stop = integer(argv[2]), integer(argv[3])
    held = ctx.db.read_string(argv[1])
    if held is None:
        return b""
    value = b"%d" % held if isinstance(held, int) else held
    size = len(value)
    if start < 0 and stop < 0 and start > stop:
        return b""
    start = max(0, start + size if start < 0 else start)
    stop = max(0, stop + size if stop < 0 else stop)
    return bytes(value[start : stop + 1]) if start <= stop else b""


@command(
    "GETRANGE key start end",
    READONLY,
    keys=("1 RO access",),
    since="2.4.0",
    complexity="O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
)
def getrange(ctx: Context, argv: Argv) -> Reply:
    return _substring(ctx, argv)


@command(
    "SUBSTR key start end",
    READONLY,
    keys=("1 RO access",),
    since="1.0.0",
    complexity="O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
)
def substr(ctx: Context, argv: Argv) -> Reply:
    return _substring(ctx, argv)


# --- LCS --------------------------------------------------------------------------------------------------------


@command(
    "LCS key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    READONLY,
    keys=("1..2 RO access",),
    since="7.0.0",
    complexity="O(N*M) where N and M are the lengths of s1 and s2, respectively",
)
def lcs(ctx: Context, argv: Argv) -> Reply:
    # Both keys are looked up before their types are checked, as for any command with several keys.
    held = [ctx.db.lookup_read(argv[1]), ctx.db.lookup_read(argv[2])]
    if any(value is not None and type(value) not in (int, bytes, bytearray) for value in held):
        raise ReplyError(b"ERR The specified keys must contain string values")
    a, b = [b"" if value is None else as_bytes(value) for value in held]
    want_length = want_index = with_length = False
    least = 0
    i = 3
    while i < len(argv):
        option = argv[i].lower()
        if option == b"idx":
            want_index = True
        elif option == b"len":
            want_length = True
        elif option == b"withmatchlen":
            with_length = True
        elif option == b"minmatchlen" and i + 1 < len(argv):
            i += 1
            least = max(0, integer(argv[i]))
        else:
            raise ReplyError(SYNTAX)
        i += 1
    if want_index and want_length:
        raise ReplyError(b"ERR If you want both the length and indexes, please just use IDX.")
    # Redis counts four bytes for every pair of positions.
    if 4 * (len(a) + 1) * (len(b) + 1) > ctx.node.config.proto_max_bulk_len:
        raise ReplyError(b"ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
    rows = _lcs_table(a, b)
    total = rows[len(a)][len(b)]
    if want_length:
        return total
    common, matches = _lcs_walk(a, b, rows, least, with_length)
    return {b"matches": matches, b"len": total} if want_index else common


def _lcs_table(a: bytes, b: bytes) -> "list[array[int]]":
    """Return the lengths of the longest common subsequences of all pairs of prefixes."""
    previous = [0] * (len(b) + 1)
    rows = [array("I", previous)]
    for x in a:
        row = [0]
        best = 0
        for j, y in enumerate(b):
            if x == y:
                best = previous[j] + 1
            elif previous[j + 1] > best:
                best = previous[j + 1]
            row.append(best)
        rows.append(array("I", row))
        previous = row
    return rows


def _lcs_walk(
    a: bytes, b: bytes, rows: "list[array[int]]", least: int, with_length: bool
) -> tuple[bytes, list[Reply]]:
    """Walk the table backwards. Returns the subsequence and its ranges, the last one first."""
    common = bytearray()
    matches: list[Reply] = []
    i, j = len(a), len(b)
    a_end = b_end = run = 0

    def close() -> None:
        if run and run >= least:
            found: list[Reply] = [[a_end - run + 1, a_end], [b_end - run + 1, b_end]]
            matches.append([*found, run] if with_length else found)

    while i and j:
        if a[i - 1] == b[j - 1]:
            common.append(a[i - 1])
            if run and i - 1 == a_end - run and j - 1 == b_end - run:
                run += 1
            else:
                close()
                a_end, b_end, run = i - 1, j - 1, 1
            i -= 1
            j -= 1
        else:
            if rows[i - 1][j] > rows[i][j - 1]:
                i -= 1
            else:
                j -= 1
    close()
    common.reverse()
    return bytes(common), matches
