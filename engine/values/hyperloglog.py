"""HyperLogLog: estimates how many distinct elements were added, within 0.81 %, in at most 12 kB.

An HLL is not a type of its own: it is a string, and everything here works on its bytes (a `bytearray` when it
changes). The bytes are Redis's, so an HLL can be read with GET, restored with SET and exchanged with real servers.

    offset  0    4  5      8           16
           | HYLL | E | 0 0 0 | cached count | registers …

`E` is 0 for dense and 1 for sparse. The count is little-endian; the top bit of its last byte marks it as stale.

The low 14 bits of an element's 64-bit hash select one of 16384 registers; the register stores the longest run of
zeros, plus one, seen in the other 50 bits. Dense: 6 bits per register, starting with the least significant bit.
Sparse, while few registers are set: a sequence of run lengths:

    00xxxxxx             ZERO   x + 1 registers are 0
    01xxxxxx yyyyyyyy    XZERO  xy + 1 registers are 0
    1vvvvvxx             VAL    x + 1 registers are v + 1

A sparse HLL becomes dense permanently when it would outgrow hll-sparse-max-bytes or a register exceeds 32.

Speed, without loops over registers: base64 also works on groups of six bits, so a dense HLL is reversed and then
unpacked by the base64 encoder in C, and packed by its decoder; the maximum of two sets of registers is computed on
two integers of 16384 bytes.

Guarantees: the same bytes and the same estimates as Redis after any sequence of additions and merges; damaged input
raises `CorruptedHllError`, and its cost is bounded by its length.

https://redis.io/docs/latest/develop/data-types/probabilistic/hyperloglogs/
"""

import re
from binascii import a2b_base64, b2a_base64
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from math import inf, sqrt
from typing import ClassVar, Final

from engine.protocol.caches import clears_when_idle

REGISTERS: Final = 16384
HEADER_BYTES: Final = 16
DENSE_BYTES: Final = HEADER_BYTES + REGISTERS * 6 // 8
DENSE, SPARSE = 0, 1
REGISTER_BITS: Final = 14
MAX_COUNT: Final = 64 - REGISTER_BITS + 1  # the longest run of zeros that the hash can show, plus one

_SPARSE_VAL_MAX: Final = 32
_ALPHA_INF: Final = 0.721347520444481703680  # 0.5 / ln 2
_SEED: Final = 0xADC83B19
_M: Final = 0xC6A4A7935BD1E995
_MASK64: Final = 2**64 - 1


class CorruptedHllError(Exception):
    """The sparse runs do not add up to 16384 registers."""


def murmur64a(data: bytes, seed: int = _SEED) -> int:
    """Return the 64-bit MurmurHash2 (variant A) of some bytes, as on a little-endian machine."""
    length = len(data)
    h = seed ^ (length * _M & _MASK64)
    whole = length & ~7
    for i in range(0, whole, 8):
        k = int.from_bytes(data[i : i + 8], "little") * _M & _MASK64
        k = (k ^ (k >> 47)) * _M & _MASK64
        h = (h ^ k) * _M & _MASK64
    if whole != length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK64
    h = (h ^ (h >> 47)) * _M & _MASK64
    return h ^ (h >> 47)


def place(element: bytes) -> tuple[int, int]:
    """Return the register that an element selects, and the value for it (1 to 51)."""
    h = murmur64a(element)
    rest = h >> REGISTER_BITS | 1 << (64 - REGISTER_BITS)
    return h & (REGISTERS - 1), (rest & -rest).bit_length()


# --- the string -------------------------------------------------------------------------------------------------


def create() -> bytearray:
    """Return an empty HLL (sparse)."""
    return bytearray(b"HYLL\x01" + bytes(11) + b"\x7f\xff")


def is_hll(value: bytes | bytearray) -> bool:
    """Return whether a string has the header of an HLL and, if it is dense, the right length."""
    return (
        len(value) >= HEADER_BYTES
        and value[:4] == b"HYLL"
        and (value[4] == SPARSE or (value[4] == DENSE and len(value) == DENSE_BYTES))
    )


def cached_count(hll: bytes | bytearray) -> int | None:
    """Return the count cached in the header; None if registers changed since it was computed."""
    return None if hll[15] & 0x80 else int.from_bytes(hll[8:16], "little")


def cache_count(hll: bytearray, count: int) -> None:
    """Store a count in the header."""
    hll[8:16] = count.to_bytes(8, "little")


def invalidate(hll: bytearray) -> None:
    """Mark the cached count as stale."""
    hll[15] |= 0x80


# --- adding -----------------------------------------------------------------------------------------------------


def add(hll: bytearray, elements: Iterable[bytes], sparse_max_bytes: int) -> int:
    """Add elements. Returns how many times a register changed. May convert a sparse HLL to a dense one in place.

    Raises CorruptedHllError; elements added before the damage was found stay.
    """
    if hll[4] == DENSE:
        changes = 0
        for element in elements:
            index, count = place(element)
            changes += _dense_set(hll, index, count)
        return changes
    return _raise(hll, list(map(place, elements)), sparse_max_bytes)


def _dense_set(hll: bytearray, index: int, count: int) -> bool:
    bit = index * 6
    at = HEADER_BYTES + (bit >> 3)
    shift = bit & 7
    if shift <= 2:
        byte = hll[at]
        if (byte >> shift) & 63 >= count:
            return False
        hll[at] = byte & ~(63 << shift) | count << shift
        return True
    pair = hll[at] | hll[at + 1] << 8
    if (pair >> shift) & 63 >= count:
        return False
    pair = pair & ~(63 << shift) | count << shift
    hll[at] = pair & 255
    hll[at + 1] = pair >> 8
    return True


# Registers that a one-byte opcode covers; 0 for the first byte of an XZERO.
_SPAN: Final = bytes([op + 1 if op < 64 else 0 if op < 128 else (op & 3) + 1 for op in range(256)])
_CODES: Final = [bytes((op,)) for op in range(256)]
_RECENT_MAX: Final = 16  # parsed HLLs to cache
_JOINED: Final = 5  # opcodes checked for neighbors to merge after a change: no more can be affected


_OPCODE: Final = re.compile(rb"[\x40-\x7f].|[^\x40-\x7f]", re.DOTALL)


class _Spans(dict[bytes, int]):
    """How many registers each opcode covers; two-byte opcodes are added on first use."""

    def __missing__(self, code: bytes) -> int:
        span = self[code] = ((code[0] & 63) << 8 | code[1]) + 1
        return span


_SPANS: Final = _Spans({code: span for code, span in zip(_CODES, _SPAN, strict=True) if span})


def _val(count: int, length: int) -> bytes:
    return _CODES[0x80 | (count - 1) << 2 | length - 1]


def _zeros(count: int, length: int) -> bytes:
    if length > 64:
        return bytes((0x40 | (length - 1) >> 8, (length - 1) & 255))
    return _CODES[length - 1]


class _Runs:
    """The parsed opcodes of a sparse HLL, in which a register is found by bisection."""

    __slots__ = ("codes", "end", "firsts", "size", "torn")

    recent: ClassVar[dict[bytes, "_Runs"]] = {}  # by the bytes that they were parsed from

    def __init__(self, body: bytes) -> None:
        self.codes: list[bytes] = _OPCODE.findall(body)
        # The first register of each opcode.
        self.firsts = list(accumulate(map(_SPANS.__getitem__, self.codes), initial=0))
        self.end = self.firsts.pop()  # the first register beyond `codes`
        whole = sum(map(len, self.codes))
        self.torn = body[whole:]  # half an opcode, if the HLL is damaged: an access to its registers raises
        self.size = HEADER_BYTES + len(body)

    @classmethod
    def of(cls, hll: bytearray) -> "_Runs":
        """Parse an HLL, or reuse the cached result of its last addition: most additions go to few HLLs."""
        body = bytes(memoryview(hll)[HEADER_BYTES:])
        return cls.recent.pop(body, None) or cls(body)

    def put_back(self, hll: bytearray, changed: bool) -> None:
        """Write the opcodes back, and cache them for the next addition to the same HLL."""
        if changed:
            hll[HEADER_BYTES:] = b"".join(self.codes) + self.torn
        recent = self.recent
        recent[bytes(memoryview(hll)[HEADER_BYTES:])] = self
        if len(recent) > _RECENT_MAX:
            del recent[next(iter(recent))]

    def set(self, index: int, count: int, size_max: int) -> bool | None:
        """Raise a register to `count`; False if it is at least that, None if only a dense HLL can hold it."""
        if index >= self.end:
            raise CorruptedHllError
        codes, firsts = self.codes, self.firsts
        at = bisect_right(firsts, index) - 1
        code, first = codes[at], firsts[at]
        op = code[0]
        span = _SPANS[code]
        left = index - first
        right = span - 1 - left
        if op & 0x80:
            old = (op >> 2 & 31) + 1
            if old >= count:
                return False
            run, value = _val, old
        else:
            run, value = _zeros, 0
        parts, begins = [_val(count, 1)], [index]
        if left:
            parts.insert(0, run(value, left))
            begins.insert(0, first)
        if right:
            parts.append(run(value, right))
            begins.append(index + 1)
        size = self.size + sum(map(len, parts)) - len(code)
        if size > max(self.size, size_max):
            return None
        self.size = size
        codes[at : at + 1] = parts
        firsts[at : at + 1] = begins
        self._join(max(at - 1, 0))
        return True

    def _join(self, at: int) -> None:
        """Merge adjacent VAL opcodes of equal value, starting at the opcode `at`."""
        codes = self.codes
        for _ in range(_JOINED):
            if at + 1 >= len(codes):
                return
            op, following = codes[at][0], codes[at + 1][0]
            if op & 0x80 and following & 0xFC == op & 0xFC:  # also a VAL, with the same value
                length = (op & 3) + (following & 3) + 2
                if length <= 4:
                    codes[at : at + 2] = (_CODES[op & 0xFC | length - 1],)
                    del self.firsts[at + 1]
                    self.size -= 1
                    continue  # the merged run may merge with the next one, too
            at += 1


def _raise(hll: bytearray, places: list[tuple[int, int]], sparse_max_bytes: int) -> int:
    """Raise registers to values, in order. Returns how many changed. A sparse HLL becomes dense if necessary."""
    changes = done = 0
    if hll[4] == SPARSE and places:
        runs = _Runs.of(hll)
        try:
            for index, count in places:
                changed = runs.set(index, count, sparse_max_bytes) if count <= _SPARSE_VAL_MAX else None
                if changed is None:
                    break
                changes += changed
                done += 1
        finally:
            runs.put_back(hll, changed=bool(changes))
            if changes:
                invalidate(hll)
        if done < len(places):
            to_dense(hll)
    return changes + sum([_dense_set(hll, index, count) for index, count in places[done:]])


# --- registers --------------------------------------------------------------------------------------------------

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_FROM_BASE64: Final = bytes(_BASE64.find(c) & 255 for c in range(256))
_TO_BASE64: Final = bytes(_BASE64[i & 63] for i in range(256))


@clears_when_idle
def _forget_recent() -> None:
    _Runs.recent.clear()
    for code in [code for code in _SPANS if len(code) > 1]:
        del _SPANS[code]


def _dense_letters(hll: bytes | bytearray) -> bytes:
    """Return the registers of a dense HLL, last one first, as base64 letters."""
    return b2a_base64(hll[: HEADER_BYTES - 1 : -1], newline=False)


_RUNS: Final = [bytes(op + 1) if op < 64 else bytes([(op >> 2 & 31) + 1]) * ((op & 3) + 1) for op in range(256)]


def registers(hll: bytes | bytearray) -> bytes:
    """Return the 16384 registers, one byte each."""
    if hll[4] == DENSE:
        return _dense_letters(hll)[::-1].translate(_FROM_BASE64)
    runs: list[bytes] = []
    index = 0
    p, end = HEADER_BYTES, len(hll)
    while p < end:
        op = hll[p]
        if 64 <= op < 128:
            if p + 1 == end:
                raise CorruptedHllError
            run = bytes(((op & 63) << 8 | hll[p + 1]) + 1)
            p += 2
        else:
            run = _RUNS[op]
            if op & 0x80 and index + len(run) > REGISTERS:
                break  # as in Redis, bytes after a complete set of registers are not damage
            p += 1
        runs.append(run)
        index += len(run)
        if index > REGISTERS:
            raise CorruptedHllError
    if index != REGISTERS:
        raise CorruptedHllError
    return b"".join(runs)


def pack(values: bytes) -> bytes:
    """Return 16384 registers in the dense format, without a header."""
    return a2b_base64(values.translate(_TO_BASE64)[::-1])[::-1]


def to_dense(hll: bytearray) -> bool:
    """Convert a sparse HLL to a dense one in place, keeping its cached count. Returns False if it was dense."""
    if hll[4] == DENSE:
        return False
    packed = pack(registers(hll))
    hll[4] = DENSE
    hll[HEADER_BYTES:] = packed
    return True


_HIGH: Final = int.from_bytes(b"\x80" * REGISTERS, "little")


def union(one: bytes, other: bytes) -> bytes:
    """Return the maximum of each pair of registers."""
    a = int.from_bytes(one, "little")
    b = int.from_bytes(other, "little")
    # In every byte the top bit survives the subtraction where a >= b (values are below 128: no borrow crosses).
    ge = ((a | _HIGH) - b) & _HIGH
    return (b ^ ((a ^ b) & (ge - (ge >> 7)))).to_bytes(REGISTERS, "little")


def merge_into(hll: bytearray, values: bytes, sparse_max_bytes: int) -> None:
    """Raise an HLL's registers to `values`, in ascending order (the order determines the bytes of a sparse HLL)."""
    if hll[4] == SPARSE:
        _raise(hll, [(index, count) for index, count in enumerate(values) if count], sparse_max_bytes)
    else:
        hll[HEADER_BYTES:] = pack(union(registers(hll), values))
    invalidate(hll)


# --- counting ---------------------------------------------------------------------------------------------------


def histogram(hll: bytes | bytearray) -> list[int]:
    """Return how many registers have each value from 0 to 63."""
    if hll[4] == DENSE:
        return _histogram_of(registers(hll))
    histo = [0] * 64
    index = 0
    p, end = HEADER_BYTES, len(hll)
    while p < end:
        op = hll[p]
        p += 1
        run = _SPAN[op]
        if op & 0x80:
            histo[(op >> 2 & 31) + 1] += run
        else:
            if not run:
                if p == end:
                    raise CorruptedHllError
                run = ((op & 63) << 8 | hll[p]) + 1
                p += 1
            histo[0] += run
        index += run
    if index != REGISTERS:
        raise CorruptedHllError
    return histo


_EACH: Final = [bytes((value,)) for value in range(64)]


def _histogram_of(values: bytes) -> list[int]:
    histo = [0] * 64
    left = len(values)
    while left:
        # The value in the middle is probably frequent: remove all its occurrences and see how many registers are
        # left. This takes a third of the time of counting value by value.
        value = values[left >> 1]
        values = values.translate(None, _EACH[value])
        remaining = len(values)
        histo[value] = left - remaining
        left = remaining
    return histo


def _sigma(x: float) -> float:
    if x == 1.0:
        return inf
    y = 1.0
    z = x
    while True:
        x *= x
        previous = z
        z += x * y
        y += y
        if z == previous:
            return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y = 1.0
    z = 1 - x
    while True:
        x = sqrt(x)
        previous = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
        if z == previous:
            return z / 3


def estimate(histo: list[int]) -> int:
    """Estimate the number of elements from a histogram of registers (Ertl 2017, arXiv:1702.01284)."""
    m = float(REGISTERS)
    z = m * _tau((m - histo[MAX_COUNT]) / m)
    for value in range(MAX_COUNT - 1, 0, -1):
        z += histo[value]
        z *= 0.5
    z += m * _sigma(histo[0] / m)
    real = _ALPHA_INF * m * m / z if z else inf
    if real == inf:
        return 0  # only damaged registers get here; C's conversion of infinity would be meaningless
    whole = int(real)
    return whole + (real - whole >= 0.5)


def count(hll: bytes | bytearray) -> int:
    """Estimate how many distinct elements were added, ignoring the cached count."""
    return estimate(histogram(hll))


def count_registers(values: bytes) -> int:
    """Estimate the count from unpacked registers (a union)."""
    return estimate(_histogram_of(values))


def decode_sparse(hll: bytes | bytearray) -> bytes:
    """Return a sparse HLL's opcodes as text, as PFDEBUG DECODE shows them."""
    words: list[bytes] = []
    p, end = HEADER_BYTES, len(hll)
    while p < end:
        op = hll[p]
        p += 1
        if op & 0x80:
            words.append(b"v:%d,%d" % ((op >> 2 & 31) + 1, (op & 3) + 1))
        elif op & 0x40:
            words.append(b"Z:%d" % (((op & 63) << 8 | (hll[p] if p < end else 0)) + 1))
            p += 1
        else:
            words.append(b"z:%d" % (op + 1))
    return b" ".join(words)
