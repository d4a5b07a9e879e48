"""Lengths, strings and numbers in RDB files.

A length takes 1, 2, 5 or 9 bytes, big-endian, according to the top two bits of the first byte. The bits `11` mean
that a string in a special encoding follows instead: an integer of 1, 2 or 4 bytes (little-endian), or LZF.

    00xxxxxx              6 bits            11000000 + 1 byte     integer
    01xxxxxx xxxxxxxx     14 bits           11000001 + 2 bytes    integer
    10000000 + 4 bytes    32 bits           11000010 + 4 bytes    integer
    10000001 + 8 bytes    64 bits           11000011 packed-length length packed

Readers take bytes and a position, and return the result and the position after it; they raise
`TruncatedRdbError` if the bytes end too early.
"""

import re
from math import inf
from struct import Struct

from engine.persistence.rdb.compression import compress, decompress
from engine.persistence.rdb.errors import CorruptRdbError, TruncatedRdbError
from engine.protocol.numbers import parse_integer

DOUBLE = Struct("<d")
MILLISECONDS = Struct("<q")
_U32 = Struct(">BI")
_U64 = Struct(">BQ")

_INTEGER_WIDTHS = {0xC0: 1, 0xC1: 2, 0xC2: 4}
LZF = 0xC3


def length(n: int) -> bytes:
    """Encode a length."""
    if n < 64:
        return bytes((n,))
    if n < 16384:
        return bytes((0x40 | n >> 8, n & 255))
    return _U32.pack(0x80, n) if n < 1 << 32 else _U64.pack(0x81, n)


def integer_string(value: int) -> bytes | None:
    """Encode a string that is the text of an integer; None if the integer is too large for the short form."""
    if -128 <= value <= 127:
        return b"\xc0%c" % (value & 255)
    if -32768 <= value <= 32767:
        return b"\xc1%c%c" % (value & 255, value >> 8 & 255)
    if -(1 << 31) <= value < 1 << 31:
        return b"\xc2" + value.to_bytes(4, "little", signed=True)
    return None


def string(data: bytes | int, compressed: bool = True) -> bytes:
    """Encode a string: as an integer, compressed (if `compressed` and it saves space), or unchanged."""
    if type(data) is int:
        short = integer_string(data)
        if short is not None:
            return short
        data = b"%d" % data
        return bytes((len(data),)) + data
    assert not isinstance(data, int)
    size = len(data)
    if size <= 11:
        value = parse_integer(data)
        if value is not None:
            short = integer_string(value)
            if short is not None:
                return short
        return b"%c%b" % (size, data)
    if compressed and size > 20:
        packed = compress(data)
        if packed is not None:
            return b"\xc3%b%b%b" % (length(len(packed)), length(size), packed)
    return length(size) + data


def read_byte(data: bytes, p: int) -> tuple[int, int]:
    """Read a byte."""
    try:
        return data[p], p + 1
    except IndexError:
        raise TruncatedRdbError("Unexpected EOF reading RDB file", p) from None


def read_raw(data: bytes, p: int, size: int) -> tuple[bytes, int]:
    """Read `size` bytes."""
    end = p + size
    if end > len(data):
        raise TruncatedRdbError("Unexpected EOF reading RDB file", p)
    return data[p:end], end


def read_length(data: bytes, p: int) -> tuple[int, int]:
    """Read a length."""
    try:
        first = data[p]
        if first < 0x40:
            return first, p + 1
        if first < 0x80:
            return (first & 63) << 8 | data[p + 1], p + 2
    except IndexError:
        raise TruncatedRdbError("Unexpected EOF reading RDB file", p) from None
    if first == 0x80:
        raw, end = read_raw(data, p + 1, 4)
    elif first == 0x81:
        raw, end = read_raw(data, p + 1, 8)
    elif first >= 0xC0:
        return first & 63, p + 1  # marks an encoded string; where none is allowed, Redis reads a 6-bit length
    else:
        raise CorruptRdbError(f"Unknown length encoding {first >> 6} in rdbLoadLen()", p)
    return int.from_bytes(raw, "big"), end


def read_string(data: bytes, p: int) -> tuple[bytes, int]:
    """Read a string in any encoding."""
    try:
        first = data[p]
    except IndexError:
        raise TruncatedRdbError("Unexpected EOF reading RDB file", p) from None
    if first < 0x40:
        end = p + 1 + first
        if end > len(data):
            raise TruncatedRdbError("Unexpected EOF reading RDB file", p)
        return data[p + 1 : end], end
    if first < 0xC0:
        size, p = read_length(data, p)
        return read_raw(data, p, size)
    width = _INTEGER_WIDTHS.get(first)
    if width is not None:
        raw, end = read_raw(data, p + 1, width)
        return b"%d" % int.from_bytes(raw, "little", signed=True), end
    if first != LZF:
        raise CorruptRdbError(f"Unknown RDB string encoding type {first & 63}", p)
    packed_size, start = read_length(data, p + 1)
    size, start = read_length(data, start)
    packed, end = read_raw(data, start, packed_size)
    try:
        return decompress(packed, size), end
    except CorruptRdbError as error:
        raise CorruptRdbError(error.reason, p) from None


def read_double(data: bytes, p: int) -> tuple[float, int]:
    """Read a binary double."""
    raw, end = read_raw(data, p, 8)
    value: float = DOUBLE.unpack(raw)[0]
    return value, end


def read_milliseconds(data: bytes, p: int) -> tuple[int, int]:
    """Read a time in ms."""
    raw, end = read_raw(data, p, 8)
    value: int = MILLISECONDS.unpack(raw)[0]
    return value, end


_TEXT_DOUBLES = {255: float("-inf"), 254: float("inf"), 253: float("nan")}


def read_text_double(data: bytes, p: int) -> tuple[float, int]:
    """Read a double in text form, the format of scores before version 8."""
    size, start = read_byte(data, p)
    if size in _TEXT_DOUBLES:
        return _TEXT_DOUBLES[size], start
    raw, end = read_raw(data, start, size)
    value = leading_float(raw)
    if value is None:
        raise CorruptRdbError("Unexpected EOF reading RDB file", p)  # Redis has only this message for it
    return value, end


_LEADING_FLOAT = re.compile(
    rb"\s*([-+]?(?:inf(?:inity)?|nan|0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[-+]?\d+)?"
    rb"|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?))",
    re.IGNORECASE,
)


def leading_float(text: bytes) -> float | None:
    """Return the number at the start of a text, as C's strtod does; None if there is none."""
    found = _LEADING_FLOAT.match(text)
    if found is None:
        return None
    number = found[1].lower()
    if b"x" not in number:
        return float(number)
    try:
        return float.fromhex(number.decode())
    except OverflowError:
        return -inf if number[:1] == b"-" else inf
