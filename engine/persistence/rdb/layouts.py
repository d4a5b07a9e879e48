"""Small collections in one block of bytes: listpack, and its predecessors in older files.

Redis has these blocks in memory and writes each as one string. Here they are only a file format: elements
are passed in and returned as a list of `bytes` (an integer as its text).

    listpack  total:u32 count:u16 entry… FF       entry: type and length, data, length of both (read backwards)
    ziplist   total:u32 tail:u32 count:u16 entry… FF     entry: length of the one before, type and length, data
    zipmap    count:u8 (length key length free:u8 value)… FF
    intset    width:u32 count:u32 integer…        sorted, 2, 4 or 8 bytes each

Integers are little-endian, except lengths in the string headers of a ziplist, which are big-endian. Every function
performs all the checks of Redis's "deep" sanitization, and raises `CorruptRdbError`.

https://github.com/antirez/listpack/blob/master/listpack.md
"""

from collections.abc import Iterable
from itertools import pairwise
from struct import Struct

from engine.persistence.rdb.errors import CorruptRdbError
from engine.protocol.numbers import parse_integer

_LISTPACK_HEADER = Struct("<IH")
_ZIPLIST_HEADER = Struct("<IIH")
_INTSET_HEADER = Struct("<II")
_U32 = Struct("<I")
_END = b"\xff"
_COUNT_UNKNOWN = 65535

# --- listpack ---------------------------------------------------------------------------------------------------


def listpack_back(size: int) -> bytes:
    """Encode an entry's length for backward iteration: seven bits per byte, all but the first byte marked."""
    if size <= 127:
        return bytes((size,))
    if size < 16383:
        return bytes((size >> 7, size & 127 | 128))
    if size < 2097151:
        return bytes((size >> 14, size >> 7 & 127 | 128, size & 127 | 128))
    if size < 268435455:
        return bytes((size >> 21, size >> 14 & 127 | 128, size >> 7 & 127 | 128, size & 127 | 128))
    return bytes((size >> 28, *(size >> shift & 127 | 128 for shift in (21, 14, 7, 0))))


def _length_before(data: bytes, p: int) -> int:
    """Return the length that ends at `p`, reading backwards as Redis does; -1 if it is too long.

    It may extend into the preceding element if its continuation bits say so.
    """
    if p > len(data):
        return -1
    value = 0
    for shift in range(0, 35, 7):
        p -= 1
        value |= (data[p] & 127) << shift
        if not data[p] & 128:
            return value
    return -1


def _integer_entry(value: int) -> bytes:
    if 0 <= value <= 127:
        return bytes((value, 1))
    if -4096 <= value <= 4095:
        return bytes((0xC0 | (value & 0x1FFF) >> 8, value & 255, 2))
    for tag, width in ((0xF1, 2), (0xF2, 3), (0xF3, 4)):
        if -(1 << 8 * width - 1) <= value < 1 << 8 * width - 1:
            return b"%c%b%c" % (tag, value.to_bytes(width, "little", signed=True), width + 1)
    return b"\xf4%b\x09" % value.to_bytes(8, "little", signed=True)


def listpack_entry(item: bytes | int) -> bytes:
    """Encode an element of a listpack; the text of an integer is stored as an integer."""
    if type(item) is int:
        return _integer_entry(item)
    assert isinstance(item, bytes)
    size = len(item)
    if size < 21:
        value = parse_integer(item)
        if value is not None:
            return _integer_entry(value)
    if size < 64:
        return b"%c%b%c" % (0x80 | size, item, size + 1)
    if size < 4096:
        return b"%c%c%b%b" % (0xE0 | size >> 8, size & 255, item, listpack_back(size + 2))
    return b"\xf0%b%b%b" % (_U32.pack(size), item, listpack_back(size + 5))


def write_listpack(items: Iterable[bytes | int]) -> bytes:
    """Return a listpack of these elements."""
    entries = [listpack_entry(item) for item in items]
    body = b"".join(entries)
    return b"%b%b\xff" % (_LISTPACK_HEADER.pack(len(body) + 7, min(len(entries), _COUNT_UNKNOWN)), body)


def read_listpack(data: bytes, counted: bool = True) -> list[bytes]:
    """Return the elements of a listpack; with `counted`, the count in its header must be correct."""
    return [data[start:end] if end else b"%d" % start for start, end in scan_listpack(data, counted=counted)]


def claimed_count(data: bytes) -> int:
    """Return the element count in the header of a listpack; -1 if it is unknown."""
    count = int.from_bytes(data[4:6], "little")
    return -1 if count == _COUNT_UNKNOWN else count


def salvage_listpack(data: bytes, counted: bool = True) -> list[bytes]:
    """Return the elements of a listpack before the first damaged one; its length and end marker must be valid.

    With `counted`, a listpack whose header states a count of 0 has no elements.
    """
    found: list[tuple[int, int]] = []
    if counted and data[4:6] == b"\0\0" and data[:4] == _U32.pack(len(data)) and data[-1] == 255:
        return []
    try:
        scan_listpack(data, None, found)
    except CorruptRdbError:
        if not found and (len(data) < 7 or data[-1] != 255 or data[:4] != _U32.pack(len(data))):
            raise
        last = len(data) - 1
        if found and found[-1][1] >= last:
            found.pop()
    return [data[start:end] if end else b"%d" % start for start, end in found]


def scan_listpack(
    data: bytes,
    offsets: list[int] | None = None,
    found: list[tuple[int, int]] | None = None,
    counted: bool = True,
) -> list[tuple[int, int]]:
    """Return the elements of a listpack: the start and end of a string, or an integer and 0.

    `offsets` is filled with the offsets of the entries, `found` with the elements as they are found.
    """
    size = len(data)
    if size < 7:
        raise CorruptRdbError("Listpack integrity check failed: too short")
    total, count = _LISTPACK_HEADER.unpack_from(data)
    if total != size or data[-1] != 255:
        raise CorruptRdbError("Listpack integrity check failed: length or end mark")
    if found is None:
        found = []
    add = found.append
    p = 6
    last = size - 1
    try:
        while p < last:
            if offsets is not None:
                offsets.append(p)
            first = data[p]
            if first < 0x80:
                add((first, 0))
                length = 1
            elif first < 0xC0:
                length = (first & 63) + 1
                add((p + 1, p + length))
            elif first < 0xE0:
                value = (first & 31) << 8 | data[p + 1]
                add((value - 8192 if value >= 4096 else value, 0))
                length = 2
            elif first < 0xF0:
                length = ((first & 15) << 8 | data[p + 1]) + 2
                add((p + 2, p + length))
            elif first == 0xF0:
                length = int.from_bytes(data[p + 1 : p + 5], "little") + 5
                add((p + 5, p + length))
            elif first <= 0xF3:
                length = first - 0xEE
                add((int.from_bytes(data[p + 1 : p + length], "little", signed=True), 0))
            elif first == 0xF4:
                length = 9
                add((int.from_bytes(data[p + 1 : p + 9], "little", signed=True), 0))
            else:
                raise CorruptRdbError("Listpack integrity check failed: unknown element", p)
            p += length
            if length < 128:
                if data[p] != length and _length_before(data, p + 1) != length:
                    raise CorruptRdbError("Listpack integrity check failed: length behind an element", p)
                p += 1
            else:
                back = listpack_back(length)
                if data[p : p + len(back)] != back and _length_before(data, p + len(back)) != length:
                    raise CorruptRdbError("Listpack integrity check failed: length behind an element", p)
                p += len(back)
    except IndexError:
        p = size
    if p != last or (counted and count not in (len(found), _COUNT_UNKNOWN)):
        raise CorruptRdbError("Listpack integrity check failed: count or end", min(p, last))
    return found


# --- ziplist ----------------------------------------------------------------------------------------------------

_ZIPLIST_INTEGERS = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}


def read_ziplist(data: bytes, offsets: list[int] | None = None) -> list[bytes]:
    """Return the elements of a ziplist (Redis before 7.0). `offsets` is filled with the offsets of the entries."""
    size = len(data)
    if size < 11:
        raise CorruptRdbError("Ziplist integrity check failed: too short")
    total, tail, count = _ZIPLIST_HEADER.unpack_from(data)
    if total != size or data[-1] != 255 or tail > size - 1:
        raise CorruptRdbError("Ziplist integrity check failed: length, tail or end mark")
    items: list[bytes] = []
    p = 10
    last = size - 1
    previous = 0  # size of the previous entry
    start = 10
    try:
        while p < last:
            start = p
            if offsets is not None:
                offsets.append(p)
            before = data[p]
            p += 1
            if before == 254:
                before = int.from_bytes(data[p : p + 4], "little")
                p += 4
            elif before == 255:
                raise CorruptRdbError("Ziplist integrity check failed: end mark", start)
            if before != previous:
                raise CorruptRdbError("Ziplist integrity check failed: length of the element before", start)
            first = data[p]
            if first < 0xC0:
                if first < 0x40:
                    length = first & 63
                    p += 1
                elif first < 0x80:
                    length = (first & 63) << 8 | data[p + 1]
                    p += 2
                else:
                    length = int.from_bytes(data[p + 1 : p + 5], "big")
                    p += 5
                items.append(data[p : p + length])
                p += length
            elif 0xF1 <= first <= 0xFD:
                items.append(b"%d" % ((first & 15) - 1))
                p += 1
            else:
                width = _ZIPLIST_INTEGERS.get(first)
                if width is None:
                    raise CorruptRdbError("Ziplist integrity check failed: unknown element", p)
                p += 1
                items.append(b"%d" % int.from_bytes(data[p : p + width], "little", signed=True))
                p += width
            previous = p - start
    except IndexError:
        p = size
    if p != last or (items and tail != start) or count not in (len(items), _COUNT_UNKNOWN):
        raise CorruptRdbError("Ziplist integrity check failed: count, tail or end", min(p, last))
    return items


def write_ziplist(items: Iterable[bytes]) -> bytes:
    """Return a ziplist of strings (for tests, and for creating files of old servers)."""
    parts: list[bytes] = []
    previous = 0
    tail = p = 10
    for item in items:
        before = bytes((previous,)) if previous < 254 else b"\xfe" + _U32.pack(previous)
        value = parse_integer(item) if len(item) < 21 else None
        size = len(item)
        if value is not None:
            if 0 <= value <= 12:
                body = bytes((0xF1 + value,))
            else:
                for tag, width in ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8)):
                    if -(1 << 8 * width - 1) <= value < 1 << 8 * width - 1:
                        body = bytes((tag,)) + value.to_bytes(width, "little", signed=True)
                        break
        elif size < 64:
            body = bytes((size,)) + item
        elif size < 16384:
            body = bytes((0x40 | size >> 8, size & 255)) + item
        else:
            body = b"\x80" + size.to_bytes(4, "big") + item
        entry = before + body
        parts.append(entry)
        previous = len(entry)
        tail = p
        p += previous
    return _ZIPLIST_HEADER.pack(p + 1, tail, min(len(parts), _COUNT_UNKNOWN)) + b"".join(parts) + _END


# --- zipmap -----------------------------------------------------------------------------------------------------


def read_zipmap(data: bytes) -> list[bytes]:
    """Return alternating fields and values of a zipmap (hashes before Redis 2.6)."""
    size = len(data)
    if size < 2 or data[-1] != 255:
        raise CorruptRdbError("Zipmap integrity check failed: too short or no end mark")
    items: list[bytes] = []
    p = 1
    last = size - 1
    while data[p] != 255:  # bytes after an end mark are ignored
        for is_value in (False, True):
            if p >= last:
                raise CorruptRdbError("Zipmap integrity check failed: field without value", p)
            length = data[p]
            p += 1
            if length >= 254:
                length = int.from_bytes(data[p : p + 4], "little")
                p += 4
            spare = 0
            if is_value:
                spare = data[p] if p < last else size
                p += 1
            if p + length + spare > last:
                raise CorruptRdbError("Zipmap integrity check failed: length", p)
            items.append(data[p : p + length])
            p += length + spare
    if not items or data[0] not in (len(items) // 2, 254):
        raise CorruptRdbError("Zipmap integrity check failed: count", p)
    return items


# --- intset -----------------------------------------------------------------------------------------------------

_WIDTHS = (2, 4, 8)


def read_intset(data: bytes, lenient: bool = False) -> tuple[list[int], int]:
    """Return the sorted integers of an intset, and its width in bytes; with `lenient` the order is not checked."""
    if len(data) < 8:
        raise CorruptRdbError("Intset integrity check failed: too short")
    width, count = _INTSET_HEADER.unpack_from(data)
    if width not in _WIDTHS or len(data) != 8 + width * count or not count:
        raise CorruptRdbError("Intset integrity check failed: width or count")
    values = [int.from_bytes(data[i : i + width], "little", signed=True) for i in range(8, len(data), width)]
    if any(a >= b for a, b in pairwise(values)):
        if not lenient:
            raise CorruptRdbError("Intset integrity check failed: order")
        values = sorted(dict.fromkeys(values))
    return values, width


def write_intset(values: list[int], width: int) -> bytes:
    """Return an intset of integers, given in ascending order, with `width` bytes each."""
    return _INTSET_HEADER.pack(width, len(values)) + b"".join(
        [value.to_bytes(width, "little", signed=True) for value in values]
    )
