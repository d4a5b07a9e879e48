"""Bitmaps: strings as sequences of bits, and integers of any width within them.

Bit 0 is the most significant bit of the first byte. Whole strings are processed as one large integer, so that the
loops over bytes run in the interpreter's C code.

https://redis.io/docs/latest/commands/?group=bitmap
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.keyspace.databases import NOTIFY_GENERIC, NOTIFY_STRING
from engine.protocol.errors import NOT_AN_INTEGER, SYNTAX, ReplyError
from engine.protocol.numbers import INT64_MAX, parse_integer
from engine.protocol.resp import Argv, Reply
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import DENYOOM, FAST, READONLY, WRITE, command
from engine.table.getkeys import bitfield_keys
from engine.values.string import mutable

NOT_A_BIT_OFFSET: Final = b"ERR bit offset is not an integer or out of range"
NOT_A_BIT: Final = b"ERR bit is not an integer or out of range"


def _bit_offset(ctx: Context, arg: bytes, width: int = 0) -> int:
    """Parse a bit offset; with a width, `#3` counts integers of that width."""
    counted = width and arg[:1] == b"#"
    value = parse_integer(arg[1:] if counted else arg)
    if value is None:
        raise ReplyError(NOT_A_BIT_OFFSET)
    if counted:
        value *= width
    if value < 0 or value >> 3 >= ctx.node.config.proto_max_bulk_len:
        raise ReplyError(NOT_A_BIT_OFFSET)
    return value


def _writable(ctx: Context, key: bytes, bits: int) -> tuple[bytearray, bool]:
    """Return a key's string, extended to hold that many bits, and whether it was too short or missing."""
    value = ctx.db.write_string(key)
    text = bytearray() if value is None else mutable(value)
    size = (bits + 7) >> 3
    grown = len(text) < size
    if grown:
        text.extend(bytes(size - len(text)))
    if text is not value:
        ctx.db.set(key, text, keep_ttl=True)
    return text, grown


@command("SETBIT key offset value", WRITE, DENYOOM, keys=("1 RW access update",), since="2.2.0", complexity="O(1)")
def setbit(ctx: Context, argv: Argv) -> Reply:
    offset = _bit_offset(ctx, argv[2])
    bit = parse_integer(argv[3])
    if bit not in (0, 1):
        raise ReplyError(NOT_A_BIT)
    key, db = argv[1], ctx.db
    text, grown = _writable(ctx, key, offset + 1)
    mask = 0x80 >> (offset & 7)
    old = int(bool(text[offset >> 3] & mask))
    if old != bit or grown:
        if bit:
            text[offset >> 3] |= mask
        else:
            text[offset >> 3] &= ~mask
        db.modified(key, NOTIFY_STRING, b"setbit")
    else:
        db.resized(key)  # an integer has become a string
    return old


def _read(ctx: Context, key: bytes) -> bytes | bytearray | None:
    value = ctx.db.read_string(key)
    return b"%d" % value if isinstance(value, int) else value


@command("GETBIT key offset", READONLY, FAST, keys=("1 RO access",), since="2.2.0", complexity="O(1)")
def getbit(ctx: Context, argv: Argv) -> Reply:
    offset = _bit_offset(ctx, argv[2])
    text = _read(ctx, argv[1])
    if text is None or offset >> 3 >= len(text):
        return 0
    return text[offset >> 3] >> (7 - (offset & 7)) & 1


class _BitRange(NamedTuple):
    """A range of bytes, with masks for the first and the last one."""

    start: int
    stop: int  # inclusive
    first_mask: int
    last_mask: int

    @property
    def empty(self) -> bool:
        return self.start > self.stop


def _range(size: int, start: int, stop: int, in_bits: bool) -> _BitRange:
    """Convert a range of bytes or bits to a range of a string of `size` bytes."""
    total = size * 8 if in_bits else size
    start = max(0, start + total if start < 0 else start)
    stop = max(0, stop + total if stop < 0 else stop)
    stop = min(stop, total - 1)
    if start > stop:
        return _BitRange(1, 0, 255, 255)
    if not in_bits:
        return _BitRange(start, stop, 255, 255)
    return _BitRange(start >> 3, stop >> 3, 255 >> (start & 7), 0xFF00 >> ((stop & 7) + 1) & 255)


def _in_bits(arg: bytes) -> bool:
    unit = arg.lower()
    if unit not in (b"bit", b"byte"):
        raise ReplyError(SYNTAX)
    return unit == b"bit"


def _masked(text: bytes | bytearray, part: _BitRange, fill: int = 0) -> bytearray:
    """Return the bytes of a range; bits outside it are zero, or one with `fill`."""
    cut = bytearray(text[part.start : part.stop + 1])
    if fill:
        cut[0] |= ~part.first_mask & 255
        cut[-1] |= ~part.last_mask & 255
    else:
        cut[0] &= part.first_mask
        cut[-1] &= part.last_mask
    return cut


@command("BITCOUNT key [start end [BYTE | BIT]]", READONLY, keys=("1 RO access",), since="2.6.0", complexity="O(N)")
def bitcount(ctx: Context, argv: Argv) -> Reply:
    # Redis accesses the key before it parses the other arguments, here and in BITPOS.
    text = _read(ctx, argv[1])
    if text is None:
        return 0
    start, stop, in_bits = 0, -1, False
    if len(argv) in (4, 5):
        start, stop = integer(argv[2]), integer(argv[3])
        if start < 0 and stop < 0 and start > stop:
            return 0
        if len(argv) == 5:
            in_bits = _in_bits(argv[4])
    elif len(argv) != 2:
        raise ReplyError(SYNTAX)
    part = _range(len(text), start, stop, in_bits)
    return 0 if part.empty else int.from_bytes(_masked(text, part), "big").bit_count()


@command(
    "BITPOS key bit [start [end [BYTE | BIT]]]", READONLY, keys=("1 RO access",), since="2.8.7", complexity="O(N)"
)
def bitpos(ctx: Context, argv: Argv) -> Reply:
    bit = parse_integer(argv[2])
    if bit is None:
        raise ReplyError(NOT_AN_INTEGER)
    if bit not in (0, 1):
        raise ReplyError(b"ERR The bit argument must be 1 or 0.")
    text = _read(ctx, argv[1])
    if text is None:
        return -1 if bit else 0
    if len(argv) > 6:
        raise ReplyError(SYNTAX)
    start, stop, in_bits = 0, -1, False
    if len(argv) > 3:
        start = integer(argv[3])
    if len(argv) == 6:
        in_bits = _in_bits(argv[5])
    if len(argv) > 4:
        stop = integer(argv[4])
    part = _range(len(text), start, stop, in_bits)
    if part.empty:
        return -1
    cut = _masked(text, part, fill=not bit)
    passed = b"\x00" if bit else b"\xff"
    skipped = len(cut) - len(cut.lstrip(passed))
    if skipped < len(cut):
        byte = cut[skipped] if bit else ~cut[skipped] & 255
        return (part.start + skipped) * 8 + 8 - byte.bit_length()
    # A string is followed by infinitely many zeros, unless the request specifies the end.
    return -1 if bit or len(argv) > 4 else len(text) * 8


_OPERATIONS: dict[bytes, Callable[[int, int], int]] = {
    b"and": lambda a, b: a & b,
    b"or": lambda a, b: a | b,
    b"xor": lambda a, b: a ^ b,
}


@command(
    "BITOP <AND | OR | XOR | NOT> destkey key [key ...]",
    WRITE,
    DENYOOM,
    keys=("2 OW update", "3..-1 RO access"),
    since="2.6.0",
    complexity="O(N)",
)
def bitop(ctx: Context, argv: Argv) -> Reply:
    name = argv[1].lower()
    if name not in _OPERATIONS and name != b"not":
        raise ReplyError(SYNTAX)
    if name == b"not" and len(argv) != 4:
        raise ReplyError(b"ERR BITOP NOT must be called with a single source key.")
    target, db = argv[2], ctx.db
    sources = [_read(ctx, key) or b"" for key in argv[3:]]
    size = max(map(len, sources))
    # Shorter strings are padded with zeros, so all are read from their first byte.
    numbers = [int.from_bytes(source, "big") << 8 * (size - len(source)) for source in sources]
    result = numbers[0]
    if name == b"not":
        result ^= (1 << 8 * size) - 1
    else:
        operation = _OPERATIONS[name]
        for number in numbers[1:]:
            result = operation(result, number)
    if size:
        db.set(target, bytearray(result.to_bytes(size, "big")))
        db.modified(target, NOTIFY_STRING, b"set")
    elif db.exists(target) and db.delete(target):
        db.modified(target, NOTIFY_GENERIC, b"del")
    return size


# --- bit fields -------------------------------------------------------------------------------------------------

BAD_TYPE: Final = b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."


class _Step:
    """One operation of BITFIELD."""

    __slots__ = ("name", "offset", "overflow", "signed", "value", "width")

    def __init__(self, name: bytes, offset: int, width: int, signed: bool, value: int, overflow: bytes) -> None:
        self.name = name
        self.offset = offset
        self.width = width
        self.signed = signed
        self.value = value
        self.overflow = overflow


_OPERANDS: Final = {b"get": 2, b"set": 3, b"incrby": 3}


def _field_type(arg: bytes) -> tuple[bool, int]:
    width = parse_integer(arg[1:])
    signed = arg[:1] == b"i"
    if arg[:1] not in (b"i", b"u") or width is None or not 1 <= width <= (64 if signed else 63):
        raise ReplyError(BAD_TYPE)
    return signed, width


def _steps(ctx: Context, argv: Argv, read_only: bool) -> list[_Step]:
    steps: list[_Step] = []
    overflow = b"wrap"
    i, size = 2, len(argv)
    while i < size:
        name, more = argv[i].lower(), size - 1 - i
        if name == b"overflow" and more:
            overflow = argv[i + 1].lower()
            if overflow not in (b"wrap", b"sat", b"fail"):
                raise ReplyError(b"ERR Invalid OVERFLOW type specified")
            i += 2
            continue
        operands = _OPERANDS.get(name, 99)
        if more < operands:
            raise ReplyError(SYNTAX)
        signed, width = _field_type(argv[i + 1])
        offset = _bit_offset(ctx, argv[i + 2], width)
        value = 0
        if name != b"get":
            value = integer(argv[i + 3])
        steps.append(_Step(name, offset, width, signed, value, overflow))
        i += operands + 1
    if read_only and any(step.name != b"get" for step in steps):
        raise ReplyError(b"ERR BITFIELD_RO only supports the GET subcommand")
    return steps


def _get_field(text: bytes | bytearray, step: _Step) -> int:
    end = step.offset + step.width
    stop = (end + 7) >> 3
    window = text[step.offset >> 3 : stop]
    value = int.from_bytes(window, "big")
    if stop > len(text):
        value <<= 8 * (stop - (step.offset >> 3) - len(window))  # zeros follow the string
    value = value >> (stop * 8 - end) & (1 << step.width) - 1
    if step.signed and value >> (step.width - 1):
        value -= 1 << step.width
    return value


def _put_field(text: bytearray, step: _Step, value: int) -> None:
    first, last = step.offset >> 3, (step.offset + step.width - 1) >> 3
    shift = (last + 1) * 8 - step.offset - step.width
    mask = (1 << step.width) - 1
    window = int.from_bytes(text[first : last + 1], "big")
    window = window & ~(mask << shift) | (value & mask) << shift
    text[first : last + 1] = window.to_bytes(last - first + 1, "big")


def _fit(step: _Step, value: int) -> int | None:
    """Return a value adjusted to its field according to the overflow mode; None if that fails."""
    low, high = (-(1 << step.width - 1), (1 << step.width - 1) - 1) if step.signed else (0, (1 << step.width) - 1)
    if low <= value <= high:
        return value
    if step.overflow == b"fail":
        return None
    if step.overflow == b"sat":
        # For a SET near the smallest integer, Redis's own check wraps around and treats the value as too large.
        return high if value > high or (step.name == b"set" and high - value > INT64_MAX) else low
    value &= (1 << step.width) - 1
    return value - (1 << step.width) if step.signed and value >> (step.width - 1) else value


def _unsigned_64(step: _Step) -> int:
    """Return the value of a SET as stored in its field: a negative value becomes large in an unsigned field."""
    return step.value if step.signed or step.value >= 0 else step.value + (1 << 64)


def _bitfield(ctx: Context, argv: Argv, read_only: bool) -> Reply:
    steps = _steps(ctx, argv, read_only)
    key, db = argv[1], ctx.db
    ends = [step.offset + step.width for step in steps if step.name != b"get"]
    if not ends:
        text: bytes | bytearray = _read(ctx, key) or b""
        return [_get_field(text, step) for step in steps]
    target, grown = _writable(ctx, key, max(ends))
    replies: list[int | None] = []
    changes = 0
    for step in steps:
        old = _get_field(target, step)
        if step.name == b"get":
            replies.append(old)
            continue
        wanted = _unsigned_64(step) if step.name == b"set" else old + step.value
        new = _fit(step, wanted)
        if new is None:
            replies.append(None)
            continue
        replies.append(old if step.name == b"set" else new)
        if new != old:
            _put_field(target, step, new)
        changes += grown or new != old
    if changes:
        db.modified(key, NOTIFY_STRING, b"setbit", dirty=changes)
    else:
        db.resized(key)
    return replies


@command(
    "BITFIELD key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment>> [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment>> ...]]",
    WRITE,
    DENYOOM,
    keys=("1 RW update access variable_flags -- This command allows both access and modification of the key",),
    get_keys=bitfield_keys,
    since="3.2.0",
    complexity="O(1) for each subcommand specified",
)
def bitfield(ctx: Context, argv: Argv) -> Reply:
    return _bitfield(ctx, argv, read_only=False)


@command(
    "BITFIELD_RO key [GET encoding offset [GET encoding offset ...]]",
    READONLY,
    FAST,
    keys=("1 RO access",),
    since="6.0.0",
    complexity="O(1) for each subcommand specified",
)
def bitfield_ro(ctx: Context, argv: Argv) -> Reply:
    return _bitfield(ctx, argv, read_only=True)
