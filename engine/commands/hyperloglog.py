"""HyperLogLog commands: counting distinct elements with little memory.

The value is a string; `engine.values.hyperloglog` works on its bytes.

https://redis.io/docs/latest/commands/?group=hyperloglog
"""

from math import ceil
from typing import Final

from engine.keyspace.databases import NOTIFY_STRING, STRING_TYPES
from engine.protocol.errors import WRONGTYPE, ReplyError, c_text
from engine.protocol.resp import OK, Argv, Reply, Status
from engine.server.context import Context
from engine.table.declarations import ADMIN, DENYOOM, FAST, MAY_REPLICATE, READONLY, WRITE, command
from engine.values import hyperloglog as hll

_NOT_AN_HLL: Final = b"WRONGTYPE Key is not a valid HyperLogLog string value."
_CORRUPTED: Final = b"INVALIDOBJ Corrupted HLL object detected"


def _checked(value: object) -> bytes | bytearray | None:
    """Return a value with the header of an HLL, or None if there is no key; raises WRONGTYPE for other values."""
    if value is None:
        return None
    if type(value) not in STRING_TYPES:
        raise ReplyError(WRONGTYPE)
    if not isinstance(value, bytes | bytearray) or not hll.is_hll(value):
        raise ReplyError(_NOT_AN_HLL)
    return value


def _read(ctx: Context, key: bytes) -> bytes | bytearray | None:
    return _checked(ctx.db.lookup_read(key))


def _changeable(ctx: Context, key: bytes, value: bytes | bytearray) -> bytearray:
    """Return a value as a `bytearray` that can be changed in place."""
    if type(value) is bytearray:
        return value
    own = bytearray(value)
    ctx.db.replace(key, own)
    return own


@command(
    "PFADD key [element [element ...]]",
    WRITE,
    DENYOOM,
    FAST,
    keys=("1 RW insert",),
    since="2.8.9",
    complexity="O(1) to add every element.",
)
def pfadd(ctx: Context, argv: Argv) -> Reply:
    key = argv[1]
    value = _checked(ctx.db.lookup_write(key))
    changes = 0
    if value is None:
        own = hll.create()
        ctx.db.add(key, own)
        changes = 1
    else:
        own = _changeable(ctx, key, value)
    sparse_max = ctx.node.config.hll_sparse_max_bytes
    try:
        changes += hll.add(own, argv[2:], sparse_max)
    except hll.CorruptedHllError:
        raise ReplyError(_CORRUPTED) from None
    if changes:
        hll.invalidate(own)
        ctx.db.modified(key, NOTIFY_STRING, b"pfadd", changes)
        return 1
    return 0


@command(
    "PFCOUNT key [key ...]",
    READONLY,
    MAY_REPLICATE,
    keys=(
        "1..-1 RW access -- RW because it may change the internal representation of the key, and propagate to "
        "replicas",
    ),
    since="2.8.9",
    complexity="O(1) with a very small average constant time when called with a single key. O(N) with N being "
    "the number of keys, and much bigger constant times, when called with multiple keys.",
)
def pfcount(ctx: Context, argv: Argv) -> Reply:
    try:
        if len(argv) > 2:
            values = _union(ctx, argv[1:])
            return hll.count_registers(values)
        key = argv[1]
        value = _read(ctx, key)
        if value is None:
            return 0
        kept = hll.cached_count(value)
        if kept is not None:
            return kept
        count = hll.count(value)
    except hll.CorruptedHllError:
        raise ReplyError(_CORRUPTED) from None
    # Caching the count changes the value, so it is propagated, although there is no keyspace notification.
    hll.cache_count(_changeable(ctx, key, value), count)
    ctx.db.touched(key)
    ctx.db.space.dirty += 1
    return count


def _union(ctx: Context, keys: list[bytes]) -> bytes:
    values = bytes(hll.REGISTERS)
    for key in keys:
        value = _read(ctx, key)
        if value is not None:
            values = hll.union(values, hll.registers(value))
    return values


@command(
    "PFMERGE destkey [sourcekey [sourcekey ...]]",
    WRITE,
    DENYOOM,
    keys=("1 RW access insert", "2..-1 RO access"),
    since="2.8.9",
    complexity="O(N) to merge N HyperLogLogs, but with high constant times.",
)
def pfmerge(ctx: Context, argv: Argv) -> Reply:
    values = bytes(hll.REGISTERS)
    dense = False
    key = argv[1]
    try:
        for source in argv[1:]:
            value = _read(ctx, source)
            if value is not None:
                dense = dense or value[4] == hll.DENSE
                values = hll.union(values, hll.registers(value))
        value = _checked(ctx.db.lookup_write(key))
        if value is None:
            own = hll.create()
            ctx.db.add(key, own)
        else:
            own = _changeable(ctx, key, value)
        if dense:
            hll.to_dense(own)
        hll.merge_into(own, values, ctx.node.config.hll_sparse_max_bytes)
    except hll.CorruptedHllError:
        raise ReplyError(_CORRUPTED) from None
    ctx.db.modified(key, NOTIFY_STRING, b"pfadd")
    return OK


@command("PFDEBUG subcommand key", WRITE, DENYOOM, ADMIN, keys=("2 RW access",), since="2.8.9", complexity="N/A")
def pfdebug(ctx: Context, argv: Argv) -> Reply:
    word, key = argv[1].lower(), argv[2]
    value = _checked(ctx.db.lookup_write(key))
    if value is None:
        raise ReplyError(b"ERR The specified key does not exist")
    own = _changeable(ctx, key, value)
    if word == b"getreg":
        _force_dense(ctx, key, own)
        return list(hll.registers(own))
    if word == b"decode":
        if own[4] != hll.SPARSE:
            raise ReplyError(b"ERR HLL encoding is not sparse")
        return hll.decode_sparse(own)
    if word == b"encoding":
        return Status(b"sparse" if own[4] == hll.SPARSE else b"dense")
    if word == b"todense":
        return int(_force_dense(ctx, key, own))
    raise ReplyError(b"ERR Unknown PFDEBUG subcommand '%b'" % c_text(argv[1]))


def _force_dense(ctx: Context, key: bytes, own: bytearray) -> bool:
    try:
        converted = hll.to_dense(own)
    except hll.CorruptedHllError:
        raise ReplyError(_CORRUPTED) from None
    if converted:
        ctx.db.modified(key, 0, b"")  # no event or effect on WATCH, but the new encoding is propagated
    return converted


@command("PFSELFTEST", ADMIN, since="2.8.9", complexity="N/A")
def pfselftest(ctx: Context, argv: Argv) -> Reply:
    rng = ctx.node.core.rng
    for _ in range(10):
        values = bytes([rng.below(64) for _ in range(hll.REGISTERS)])
        dense = bytearray(b"HYLL\0" + bytes(11) + hll.pack(values))
        if hll.registers(dense) != values:
            raise ReplyError(b"TESTFAILED Registers do not keep what is put into them")
    dense, sparse = hll.create(), hll.create()
    hll.to_dense(dense)
    sparse_max = ctx.node.config.hll_sparse_max_bytes
    seed = rng.next64()
    checkpoint = 1
    for i in range(1, 100_001):
        element = (i ^ seed).to_bytes(8, "little")
        hll.add(dense, (element,), 0)
        hll.add(sparse, (element,), sparse_max)
        if i != checkpoint:
            continue
        if i < sparse_max // 2 and sparse[4] != hll.SPARSE:
            raise ReplyError(b"TESTFAILED sparse encoding not used")
        count = hll.count(dense)
        if count != hll.count(sparse):
            raise ReplyError(b"TESTFAILED dense/sparse disagree")
        # Six times the standard error; for ten elements a single collision.
        allowed = 1 if i == 10 else ceil(1.04 / 128 * 6 * i)
        if abs(count - i) > allowed:
            raise ReplyError(b"TESTFAILED Too big error. card:%d abserr:%d" % (i, abs(count - i)))
        checkpoint *= 10
    return OK
