"""Hashes: fields with values.

In Redis a small hash is a listpack (fields in the order of insertion); a hash with more than
hash-max-listpack-entries fields, or with a field or value longer than hash-max-listpack-value bytes, is a hash
table and never becomes a listpack again. Here both are columns of fields and values at fixed positions; only removal
differs.

https://redis.io/docs/latest/develop/data-types/hashes/
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from engine.values.indexed import HOLE, Indexed
from engine.values.rng import Rng

LISTPACK: Final = b"listpack"
HASHTABLE: Final = b"hashtable"

_LISTPACK_PAIR_BYTES: Final = 4  # headers of a field and a value
_HASHTABLE_PAIR_BYTES: Final = 56  # entry, bucket and string headers


class HashValue(Indexed):
    """A hash: `values[i]` is the value of the field `members[i]`."""

    __slots__ = ("encoding", "memory", "values")

    type_name: ClassVar[str] = "hash"

    def __init__(self, encoding: bytes = LISTPACK) -> None:
        super().__init__()
        self.values: list[bytes] = []
        self.encoding = encoding
        self.memory = 0

    @classmethod
    def of(cls, fields: list[bytes], values: list[bytes], max_entries: int, max_value: int) -> "HashValue":
        """Return a hash of these fields and values; if a field is repeated, its first value counts."""
        small = len(fields) <= max_entries and max(map(len, [*fields, *values]), default=0) <= max_value
        value = cls(LISTPACK if small else HASHTABLE)
        pairs = dict(zip(fields, values))
        if len(pairs) != len(fields):
            pairs = dict(zip(reversed(fields), reversed(values)))
            pairs = {field: pairs[field] for field in fields}
        value._fill(list(pairs))
        value.values = list(pairs.values())
        overhead = _LISTPACK_PAIR_BYTES if small else _HASHTABLE_PAIR_BYTES
        value.memory = sum(map(len, pairs)) + sum(map(len, value.values)) + overhead * len(pairs)
        return value

    def _columns(self) -> Sequence[Any]:
        return (self.values,)

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """Iterate over fields and values in the order of their positions."""
        pairs = zip(self.members, self.values)
        return [pair for pair in pairs if pair[0] is not HOLE] if self.free else pairs

    def copy(self) -> "HashValue":
        """Return an equal hash that shares nothing with this one."""
        other = HashValue(self.encoding)
        other.positions = self.positions.copy()
        other.members = self.members.copy()
        other.free = self.free.copy()
        other.values = self.values.copy()
        other.memory = self.memory
        return other

    def expect(self, args: Iterable[bytes], new_fields: int, max_entries: int, max_value: int) -> None:
        """Convert to a hash table if these fields and values, which are about to be set, do not fit in a listpack."""
        if self.encoding == LISTPACK and (new_fields > max_entries or max(map(len, args), default=0) > max_value):
            self.convert()

    def convert(self) -> None:
        """Convert to a hash table."""
        if self.encoding == LISTPACK:
            self.encoding = HASHTABLE
            self.memory += len(self.positions) * (_HASHTABLE_PAIR_BYTES - _LISTPACK_PAIR_BYTES)

    def get(self, field: bytes) -> bytes | None:
        """Return the value of a field; None if there is no such field."""
        at = self.positions.get(field)
        return None if at is None else self.values[at]

    def set(self, field: bytes, value: bytes, max_entries: int, max_value: int) -> bool:
        """Set a field. Returns True if the field is new."""
        if self.encoding == LISTPACK and (len(field) > max_value or len(value) > max_value):
            self.convert()
        at = self.positions.get(field)
        if at is not None:
            values = self.values
            self.memory += len(value) - len(values[at])
            values[at] = value
            return False
        if self.free:
            self.values[self._take_hole(field)] = value
        else:
            members = self.members
            self.positions[field] = len(members)
            members.append(field)
            self.values.append(value)
        if self.encoding == LISTPACK:
            self.memory += len(field) + len(value) + _LISTPACK_PAIR_BYTES
            if len(self.positions) > max_entries:
                self.convert()
        else:
            self.memory += len(field) + len(value) + _HASHTABLE_PAIR_BYTES
        return True

    def remove(self, field: bytes) -> bool:
        """Remove a field. Returns False if it does not exist."""
        at = self.positions.get(field)
        if at is None:
            return False
        size = len(field) + len(self.values[at])
        if self.encoding == LISTPACK:
            self._detach_in_order(field)
            self.memory -= size + _LISTPACK_PAIR_BYTES
        else:
            self.values[at] = b""
            self._detach(field)
            self.memory -= size + _HASHTABLE_PAIR_BYTES
        return True

    def random(self, rng: Rng) -> tuple[bytes, bytes]:
        """Return a random field and its value; O(1)."""
        return self._pair(self.random_position(rng))

    def sample(self, rng: Rng, count: int) -> list[tuple[bytes, bytes]]:
        """Return `count` distinct random fields and their values; count <= len."""
        return [self._pair(at) for at in self.sample_positions(rng, count)]

    def _pair(self, at: int) -> tuple[bytes, bytes]:
        return self.members[at], self.values[at]

    def scan(self, cursor: int, count: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Return the next cursor and the fields and values of one step of a scan; a small hash takes one step."""
        if self.encoding == LISTPACK:
            return 0, list(self.items())
        after, found = self.scan_positions(cursor, count)
        return after, [self._pair(at) for at in found]

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        self.check_index()
        pair = _LISTPACK_PAIR_BYTES if self.encoding == LISTPACK else _HASHTABLE_PAIR_BYTES
        assert self.memory == sum(len(f) + len(v) + pair for f, v in self.items())
