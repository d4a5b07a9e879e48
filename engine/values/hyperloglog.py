"""HyperLogLog: how many different elements were added, within 0.81 %, in at most 12 kB.

An HLL is no type of its own: it is a string, and everything here works on its bytes (a `bytearray` where it is
changed). The bytes are Redis's, so an HLL may be read with GET, restored with SET and exchanged with real servers.

    offset  0    4  5      8           16
           | HYLL | E | 0 0 0 | cached count | registers …

`E` is 0 for dense and 1 for sparse. The count is little-endian; the top bit of its last byte says that it is stale.

An element's 64-bit hash picks one of 16384 registers with its low 14 bits; the register keeps the longest run of
zeros, plus one, seen in the other 50. Dense: 6 bits a register, from the least significant bit upwards. Sparse: a
row of run lengths, as long as few registers are set:

    00xxxxxx             ZERO   x + 1 registers are 0
    01xxxxxx yyyyyyyy    XZERO  xy + 1 registers are 0
    1vvvvvxx             VAL    x + 1 registers are v + 1

A sparse HLL becomes dense, for ever, when it would outgrow hll-sparse-max-bytes or a register passes 32.

Speed, without loops over registers: six-bit groups are what base64 is made of, so a dense HLL read backwards is
unpacked by the base64 encoder in C and packed by its decoder; the larger of two sets of registers is computed on
two integers of 16384 bytes.

Guarantees: the same bytes and the same estimates as Redis after any sequence of additions and merges; damaged input
raises `CorruptedHllError` and never costs more than the damage is long.

https://redis.io/docs/latest/develop/data-types/probabilistic/hyperloglogs/
"""

import re
from binascii import a2b_base64, b2a_base64
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from math import inf, sqrt
from typing import ClassVar

REGISTERS = 16384
HEADER_BYTES = 16
DENSE_BYTES = HEADER_BYTES + REGISTERS * 6 // 8
DENSE, SPARSE = 0, 1
REGISTER_BITS = 14
MAX_COUNT = 64 - REGISTER_BITS + 1  # the longest run that the hash can show, and its end

_SPARSE_VAL_MAX = 32
_ALPHA_INF = 0.721347520444481703680  # 0.5 / ln 2
_SEED = 0xADC83B19
_M = 0xC6A4A7935BD1E995
_MASK64 = 2**64 - 1


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
    """Return the register that an element falls on, and the value that it gives it (1 to 51)."""
    h = murmur64a(element)
    rest = h >> REGISTER_BITS | 1 << (64 - REGISTER_BITS)
    return h & (REGISTERS - 1), (rest & -rest).bit_length()


# --- the string -------------------------------------------------------------------------------------------------


def create() -> bytearray:
    """Return an empty HLL (sparse)."""
    return bytearray(b"HYLL\x01" + bytes(11) + b"\x7f\xff")


def is_hll(value: bytes | bytearray) -> bool:
    """Tell whether a string has the header of an HLL, and the length of a dense one if it says so."""
    return (
        len(value) >= HEADER_BYTES
        and value[:4] == b"HYLL"
        and (value[4] == SPARSE or (value[4] == DENSE and len(value) == DENSE_BYTES))
    )


def cached_count(hll: bytes | bytearray) -> int | None:
    """Return the count kept in the header; None if registers changed since it was computed."""
    return None if hll[15] & 0x80 else int.from_bytes(hll[8:16], "little")


def cache_count(hll: bytearray, count: int) -> None:
    """Keep a count in the header."""
    hll[8:16] = count.to_bytes(8, "little")


def invalidate(hll: bytearray) -> None:
    """Mark the kept count as stale."""
    hll[15] |= 0x80


# --- adding -----------------------------------------------------------------------------------------------------


def add(hll: bytearray, elements: Iterable[bytes], sparse_max_bytes: int) -> int:
    """Add elements; returns how often a register changed. May turn a sparse HLL into a dense one in place.

    Raises CorruptedHllError; what was added before the damage was met stays.
    """
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


# Registers that a one-byte opcode stands for; 0 for the first byte of an XZERO.
_SPAN = bytes([op + 1 if op < 64 else 0 if op < 128 else (op & 3) + 1 for op in range(256)])
_CODES = [bytes((op,)) for op in range(256)]
_RECENT_MAX = 16  # HLLs that are kept taken apart
_JOINED = 5  # opcodes that are looked at for neighbours to join after a change: more cannot have changed


_OPCODE = re.compile(rb"[\x40-\x7f].|[^\x40-\x7f]", re.DOTALL)


class _Spans(dict[bytes, int]):
    """How many registers each opcode stands for: those of two bytes as they are met."""

    def __missing__(self, code: bytes) -> int:
        span = self[code] = ((code[0] & 63) << 8 | code[1]) + 1
        return span


_SPANS = _Spans({code: span for code, span in zip(_CODES, _SPAN, strict=True) if span})


def _val(count: int, length: int) -> bytes:
    return _CODES[0x80 | (count - 1) << 2 | length - 1]


def _zeros(count: int, length: int) -> bytes:
    if length > 64:
        return bytes((0x40 | (length - 1) >> 8, (length - 1) & 255))
    return _CODES[length - 1]


class _Runs:
    """The opcodes of a sparse HLL, taken apart so that a register is found by bisection."""

    __slots__ = ("codes", "end", "firsts", "size", "torn")

    recent: ClassVar[dict[bytes, "_Runs"]] = {}  # by the bytes that they stand for

    def __init__(self, body: bytes) -> None:
        self.codes: list[bytes] = _OPCODE.findall(body)
        # For each opcode the register with which it begins.
        self.firsts = list(accumulate(map(_SPANS.__getitem__, self.codes), initial=0))
        self.end = self.firsts.pop()  # the first register that is not in `codes`
        whole = sum(map(len, self.codes))
        self.torn = body[whole:]  # half an opcode, in what is damaged: who looks for a register there says so
        self.size = HEADER_BYTES + len(body)

    @classmethod
    def of(cls, hll: bytearray) -> "_Runs":
        """Take an HLL apart, or go on with what is left of it from its last addition: most go to few HLLs."""
        body = bytes(memoryview(hll)[HEADER_BYTES:])
        return cls.recent.pop(body, None) or cls(body)

    def put_back(self, hll: bytearray, changed: bool) -> None:
        """Write the opcodes back, and keep them for the next addition to the same HLL."""
        if changed:
            hll[HEADER_BYTES:] = b"".join(self.codes) + self.torn
        recent = self.recent
        recent[bytes(memoryview(hll)[HEADER_BYTES:])] = self
        if len(recent) > _RECENT_MAX:
            del recent[next(iter(recent))]

    def set(self, index: int, count: int, size_max: int) -> bool | None:
        """Raise a register to `count`; False if it is no less already, None if only a dense HLL could hold it."""
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
        """Join neighbouring VAL opcodes of equal value, from the opcode `at` on."""
        codes = self.codes
        for _ in range(_JOINED):
            if at + 1 >= len(codes):
                return
            op, following = codes[at][0], codes[at + 1][0]
            if op & 0x80 and following & 0xFC == op & 0xFC:  # a VAL too, and of the same value
                length = (op & 3) + (following & 3) + 2
                if length <= 4:
                    codes[at : at + 2] = (_CODES[op & 0xFC | length - 1],)
                    del self.firsts[at + 1]
                    self.size -= 1
                    continue  # the joined run may be joined with the next one
            at += 1


def _raise(hll: bytearray, places: list[tuple[int, int]], sparse_max_bytes: int) -> int:
    """Raise registers to values, in order; returns how many changed. A sparse HLL becomes dense when it must."""
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

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_FROM_BASE64 = bytes(_BASE64.find(c) & 255 for c in range(256))
_TO_BASE64 = bytes(_BASE64[i & 63] for i in range(256))


def _dense_letters(hll: bytes | bytearray) -> bytes:
    """Return the registers of a dense HLL, last one first, as letters of base64."""
    return b2a_base64(hll[: HEADER_BYTES - 1 : -1], newline=False)


_RUNS = [bytes(op + 1) if op < 64 else bytes([(op >> 2 & 31) + 1]) * ((op & 3) + 1) for op in range(256)]


def registers(hll: bytes | bytearray) -> bytes:
    """Return the 16384 registers, a byte each."""
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
                break  # Redis stops here too: what follows a full set of registers does not count as damage
            p += 1
        runs.append(run)
        index += len(run)
        if index > REGISTERS:
            raise CorruptedHllError
    if index != REGISTERS:
        raise CorruptedHllError
    return b"".join(runs)


def pack(values: bytes) -> bytes:
    """Return 16384 registers in the dense form, without a header."""
    return a2b_base64(values.translate(_TO_BASE64)[::-1])[::-1]


def to_dense(hll: bytearray) -> bool:
    """Turn a sparse HLL into a dense one in place, its cached count kept; False if it was dense."""
    if hll[4] == DENSE:
        return False
    packed = pack(registers(hll))
    hll[4] = DENSE
    hll[HEADER_BYTES:] = packed
    return True


_HIGH = int.from_bytes(b"\x80" * REGISTERS, "little")


def union(one: bytes, other: bytes) -> bytes:
    """Return the larger of each two registers."""
    a = int.from_bytes(one, "little")
    b = int.from_bytes(other, "little")
    # In every byte the top bit survives the subtraction where a >= b (values are below 128: no borrow crosses).
    ge = ((a | _HIGH) - b) & _HIGH
    return (b ^ ((a ^ b) & (ge - (ge >> 7)))).to_bytes(REGISTERS, "little")


def merge_into(hll: bytearray, values: bytes, sparse_max_bytes: int) -> None:
    """Raise an HLL's registers to `values`, in ascending order (which decides the bytes of a sparse one)."""
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


_EACH = [bytes((value,)) for value in range(64)]


def _histogram_of(values: bytes) -> list[int]:
    histo = [0] * 64
    left = len(values)
    while left:
        # Whatever stands in the middle is probably frequent: take all of it out and see how many are left. A third
        # of the time that counting value by value takes.
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
        return 0  # only damaged registers get here; C's rounding of infinity is of no use to anybody
    whole = int(real)
    return whole + (real - whole >= 0.5)


def count(hll: bytes | bytearray) -> int:
    """Estimate how many different elements were added; computed anew."""
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
