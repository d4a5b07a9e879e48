"""Hashes: fields with values.

A small hash is a listpack in Redis (fields in the order in which they were added), one with more than
hash-max-listpack-entries fields or with a field or value longer than hash-max-listpack-value bytes a hash table. It
never goes back. Here both are lists of fields and values with an index; only removal differs.

https://redis.io/docs/latest/develop/data-types/hashes/
"""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from engine.rng import Rng
from engine.values.indexed import Indexed, sample_positions

LISTPACK = b"listpack"
HASHTABLE = b"hashtable"

_LISTPACK_PAIR_BYTES = 4  # headers of a field and a value
_HASHTABLE_PAIR_BYTES = 56  # entry, bucket and string headers


class HashValue(Indexed):
    """A hash. `values` stands parallel to `members` (the fields)."""

    __slots__ = ("encoding", "memory", "values")

    type_name: ClassVar[str] = "hash"

    def __init__(self, encoding: bytes = LISTPACK) -> None:
        super().__init__()
        self.values: list[bytes] = []
        self.encoding = encoding
        self.memory = 0

    @classmethod
    def of(cls, fields: list[bytes], values: list[bytes], max_entries: int, max_value: int) -> "HashValue":
        """Return the hash of these fields with values; the last of fields that repeat counts."""
        small = len(fields) <= max_entries and max(map(len, [*fields, *values]), default=0) <= max_value
        value = cls(LISTPACK if small else HASHTABLE)
        pairs = dict(zip(fields, values))
        value.members = list(pairs)
        value.values = list(pairs.values())
        value.index = {field: i for i, field in enumerate(value.members)}
        overhead = _LISTPACK_PAIR_BYTES if small else _HASHTABLE_PAIR_BYTES
        value.memory = sum(map(len, value.members)) + sum(map(len, value.values)) + overhead * len(pairs)
        return value

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, field: bytes) -> bool:
        return field in self.index

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over fields with values."""
        return zip(self.members, self.values)

    def copy(self) -> "HashValue":
        """Return an equal hash that shares nothing with this one."""
        other = HashValue(self.encoding)
        other.index = self.index.copy()
        other.members = self.members.copy()
        other.values = self.values.copy()
        other.memory = self.memory
        return other

    def expect(self, args: Iterable[bytes], new_fields: int, max_entries: int, max_value: int) -> None:
        """Become a hash table if these fields and values, about to be set, would not do in a listpack."""
        if self.encoding == LISTPACK and (new_fields > max_entries or max(map(len, args), default=0) > max_value):
            self.convert()

    def convert(self) -> None:
        """Become a hash table."""
        if self.encoding == LISTPACK:
            self.encoding = HASHTABLE
            self.memory += len(self.members) * (_HASHTABLE_PAIR_BYTES - _LISTPACK_PAIR_BYTES)

    def get(self, field: bytes) -> bytes | None:
        """Return the value of a field; None if there is no such field."""
        at = self.index.get(field)
        return None if at is None else self.values[at]

    def set(self, field: bytes, value: bytes, max_entries: int, max_value: int) -> bool:
        """Set a field; returns True if it is new."""
        if self.encoding == LISTPACK and (len(field) > max_value or len(value) > max_value):
            self.convert()
        at = self.index.get(field)
        if at is not None:
            values = self.values
            self.memory += len(value) - len(values[at])
            values[at] = value
            return False
        members = self.members
        self.index[field] = len(members)
        members.append(field)
        self.values.append(value)
        if self.encoding == LISTPACK:
            self.memory += len(field) + len(value) + _LISTPACK_PAIR_BYTES
            if len(members) > max_entries:
                self.convert()
        else:
            self.memory += len(field) + len(value) + _HASHTABLE_PAIR_BYTES
        return True

    def remove(self, field: bytes) -> bool:
        """Remove a field; False if it is not there."""
        at = self.index.get(field)
        if at is None:
            return False
        size = len(field) + len(self.values[at])
        if self.encoding == LISTPACK:
            self._detach_in_order(at, self.values)
            self.memory -= size + _LISTPACK_PAIR_BYTES
        else:
            self._detach(at, self.values)
            self.memory -= size + _HASHTABLE_PAIR_BYTES
        return True

    def random(self, rng: Rng) -> tuple[bytes, bytes]:
        """Return a random field and its value; O(1)."""
        at = rng.below(len(self.members))
        return self.members[at], self.values[at]

    def sample(self, rng: Rng, count: int) -> list[tuple[bytes, bytes]]:
        """Return `count` distinct random fields with values; count <= len."""
        return [(self.members[at], self.values[at]) for at in sample_positions(rng, len(self.members), count)]

    def scan(self, cursor: int, count: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Return the next cursor and the fields with values of one step of a scan; all of a small hash at once."""
        if self.encoding == LISTPACK:
            return 0, list(self.items())
        after, low, top = self.scan_positions(cursor, count)
        return after, list(zip(self.members[low:top], self.values[low:top]))

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        self.check_index()
        assert len(self.values) == len(self.members)
        pair = _LISTPACK_PAIR_BYTES if self.encoding == LISTPACK else _HASHTABLE_PAIR_BYTES
        assert self.memory == sum(len(f) + len(v) + pair for f, v in self.items())
