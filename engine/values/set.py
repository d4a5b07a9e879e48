"""Sets: distinct members.

A set of integers is an intset in Redis (sorted), up to set-max-intset-entries of them; a small set with other
members a listpack (members in the order in which they were added), up to set-max-listpack-entries members of
set-max-listpack-value bytes; any other a hash table. A set never goes back to a smaller encoding by itself.

    intset     `ints`, sorted; membership by bisection
    listpack   `members` in order, with an index
    hashtable  `members` in any order, with an index

https://redis.io/docs/latest/develop/data-types/sets/
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from engine.arguments import parse_integer
from engine.rng import Rng
from engine.values.indexed import Indexed, sample_positions
from engine.values.listpack import HEADER_BYTES

INTSET = b"intset"
LISTPACK = b"listpack"
HASHTABLE = b"hashtable"

_INTSET_HEADER_BYTES = 8
_LISTPACK_MEMBER_BYTES = 2
_HASHTABLE_MEMBER_BYTES = 40
_INTSET_LIMIT = 1 << 30


class SetLimits(NamedTuple):
    """The configuration's limits: set-max-intset-entries, set-max-listpack-entries and -value."""

    intset_entries: int
    listpack_entries: int
    listpack_value: int


def integer_width(value: int) -> int:
    """Return how many bytes an integer takes in an intset (all of its integers take as many)."""
    return 2 if -(1 << 15) <= value < 1 << 15 else 4 if -(1 << 31) <= value < 1 << 31 else 8


class SetValue(Indexed):
    """A set. In the intset encoding `ints` holds everything, and `members` and `index` are empty."""

    __slots__ = ("encoding", "ints", "memory", "width")

    type_name: ClassVar[str] = "set"

    def __init__(self, encoding: bytes = INTSET) -> None:
        super().__init__()
        self.ints: list[int] = []
        self.width = 2  # bytes of an integer in the intset; only grows
        self.encoding = encoding
        self.memory = _INTSET_HEADER_BYTES if encoding == INTSET else HEADER_BYTES if encoding == LISTPACK else 0

    @classmethod
    def fitting(cls, member: bytes, size_hint: int, limits: SetLimits) -> "SetValue":
        """Return an empty set in the encoding for about `size_hint` members that are like this one."""
        if size_hint <= limits.intset_entries and parse_integer(member) is not None:
            return cls(INTSET)
        return cls(LISTPACK if size_hint <= limits.listpack_entries else HASHTABLE)

    @classmethod
    def of(cls, members: Iterable[bytes], limits: SetLimits) -> "SetValue":
        """Return a set of these members, in the encoding that adding them one by one leads to."""
        value = cls()
        for member in members:
            value.add(member, limits)
        return value

    @classmethod
    def of_integers(cls, ints: list[int], limits: SetLimits) -> "SetValue":
        """Return the set of these integers, given in ascending order (an RDB file's intset)."""
        value = cls()
        value.ints = ints
        value.width = max(integer_width(ints[0]), integer_width(ints[-1]))
        value.memory = _INTSET_HEADER_BYTES + value.width * len(ints)
        if len(ints) > limits.intset_entries:
            value.convert(HASHTABLE)
        return value

    @classmethod
    def of_members(cls, members: list[bytes], encoding: bytes) -> "SetValue":
        """Return the set of these members as a listpack or a hash table; repeated ones count once."""
        value = cls(encoding)
        distinct = dict.fromkeys(members)
        value.members = list(distinct)
        value.index = {member: i for i, member in enumerate(value.members)}
        overhead = _LISTPACK_MEMBER_BYTES if encoding == LISTPACK else _HASHTABLE_MEMBER_BYTES
        value.memory += sum(map(len, value.members)) + overhead * len(value.members)
        return value

    def __len__(self) -> int:
        return len(self.ints) if self.encoding == INTSET else len(self.members)

    def __contains__(self, member: bytes) -> bool:
        if self.encoding == INTSET:
            number = parse_integer(member)
            if number is None:
                return False
            at = bisect_left(self.ints, number)
            return at < len(self.ints) and self.ints[at] == number
        return member in self.index

    def to_list(self) -> list[bytes]:
        """Return all members: an intset's in ascending order, a listpack's in the order of addition."""
        if self.encoding == INTSET:
            return [b"%d" % number for number in self.ints]
        return self.members.copy()

    def copy(self) -> "SetValue":
        """Return an equal set that shares nothing with this one."""
        other = SetValue(self.encoding)
        other.ints = self.ints.copy()
        other.width = self.width
        other.index = self.index.copy()
        other.members = self.members.copy()
        other.memory = self.memory
        return other

    # --- changing -----------------------------------------------------------------------------------------------

    def expect(self, size_hint: int, limits: SetLimits) -> None:
        """Become a hash table if about `size_hint` members that are about to be added need one."""
        if (self.encoding == LISTPACK and size_hint > limits.listpack_entries) or (
            self.encoding == INTSET and size_hint > limits.intset_entries
        ):
            self.convert(HASHTABLE)

    def add(self, member: bytes, limits: SetLimits) -> bool:
        """Add a member; False if it was there already."""
        index = self.index
        if self.encoding == HASHTABLE:
            if member in index:
                return False
            index[member] = len(self.members)
            self.members.append(member)
            self.memory += len(member) + _HASHTABLE_MEMBER_BYTES
            return True
        if self.encoding == LISTPACK:
            if member in index:
                return False
            if len(self.members) >= limits.listpack_entries or len(member) > limits.listpack_value:
                self.convert(HASHTABLE)
            self._append(member)
            return True
        number = parse_integer(member)
        if number is not None:
            return self._add_integer(number, limits)
        ints = self.ints
        if (
            len(ints) < limits.listpack_entries
            and len(member) <= limits.listpack_value
            and (not ints or max(len(str(ints[0])), len(str(ints[-1]))) <= limits.listpack_value)
        ):
            self.convert(LISTPACK)
        else:
            self.convert(HASHTABLE)
        self._append(member)
        return True

    def _add_integer(self, number: int, limits: SetLimits) -> bool:
        ints = self.ints
        at = bisect_left(ints, number)
        if at < len(ints) and ints[at] == number:
            return False
        ints.insert(at, number)
        if not -32768 <= number < 32768:
            self.width = max(self.width, integer_width(number))
        self.memory = _INTSET_HEADER_BYTES + self.width * len(ints)
        if len(ints) > min(limits.intset_entries, _INTSET_LIMIT):
            self.convert(HASHTABLE)
        return True

    def _append(self, member: bytes) -> None:
        self.index[member] = len(self.members)
        self.members.append(member)
        self.memory += len(member) + (
            _LISTPACK_MEMBER_BYTES if self.encoding == LISTPACK else _HASHTABLE_MEMBER_BYTES
        )

    def remove(self, member: bytes) -> bool:
        """Remove a member; False if it is not there."""
        if self.encoding == INTSET:
            number = parse_integer(member)
            if number is None:
                return False
            at = bisect_left(self.ints, number)
            if at == len(self.ints) or self.ints[at] != number:
                return False
            self._remove_at(at)
            return True
        position = self.index.get(member)
        if position is None:
            return False
        self._remove_at(position)
        return True

    def _remove_at(self, at: int) -> None:
        if self.encoding == INTSET:
            del self.ints[at]
            self.memory -= self.width
        elif self.encoding == LISTPACK:
            self.memory -= len(self.members[at]) + _LISTPACK_MEMBER_BYTES
            self._detach_in_order(at)
        else:
            self.memory -= len(self.members[at]) + _HASHTABLE_MEMBER_BYTES
            self._detach(at)

    def convert(self, encoding: bytes) -> None:
        """Become a listpack or a hash table; O(n)."""
        if self.encoding == INTSET:
            self.members = [b"%d" % number for number in self.ints]
            self.index = {member: i for i, member in enumerate(self.members)}
            self.ints = []
            self.width = 2
        self.encoding = encoding
        overhead = _LISTPACK_MEMBER_BYTES if encoding == LISTPACK else _HASHTABLE_MEMBER_BYTES
        base = HEADER_BYTES if encoding == LISTPACK else 0
        self.memory = base + sum(map(len, self.members)) + overhead * len(self.members)

    def to_intset(self, limits: SetLimits) -> None:
        """Become an intset if all members are integers and not too many (SINTERSTORE); O(n)."""
        if self.encoding == INTSET or len(self.members) > min(limits.intset_entries, _INTSET_LIMIT):
            return
        ints: list[int] = []
        for member in self.members:
            number = parse_integer(member)
            if number is None:
                return
            ints.append(number)
        self.ints = sorted(ints)
        self.width = max(map(integer_width, ints), default=2)
        self.index = {}
        self.members = []
        self.encoding = INTSET
        self.memory = _INTSET_HEADER_BYTES + self.width * len(ints)

    # --- random members -----------------------------------------------------------------------------------------

    def _at(self, at: int) -> bytes:
        return b"%d" % self.ints[at] if self.encoding == INTSET else self.members[at]

    def random(self, rng: Rng) -> bytes:
        """Return a random member; O(1)."""
        return self._at(rng.below(len(self)))

    def pop(self, rng: Rng) -> bytes:
        """Remove a random member and return it."""
        if self.encoding == HASHTABLE:
            members = self.members
            at = rng.below(len(members))
            member = members[at]
            self.memory -= len(member) + _HASHTABLE_MEMBER_BYTES
            del self.index[member]
            last = members.pop()
            if at < len(members):
                members[at] = last
                self.index[last] = at
            return member
        at = rng.below(len(self))
        member = self._at(at)
        self._remove_at(at)
        return member

    def sample(self, rng: Rng, count: int) -> list[bytes]:
        """Return `count` distinct random members; count <= len."""
        return [self._at(at) for at in sample_positions(rng, len(self), count)]

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Return the next cursor and the members of one step of a scan; all of a small set at once."""
        if self.encoding != HASHTABLE:
            return 0, self.to_list()
        after, low, top = self.scan_positions(cursor, count)
        return after, self.members[low:top]

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        self.check_index()
        if self.encoding == INTSET:
            assert not self.members
            assert all(a < b for a, b in zip(self.ints, self.ints[1:]))
            assert self.width >= max(map(integer_width, self.ints), default=2)
            assert self.memory == _INTSET_HEADER_BYTES + self.width * len(self.ints)
        else:
            assert not self.ints
            overhead = _LISTPACK_MEMBER_BYTES if self.encoding == LISTPACK else _HASHTABLE_MEMBER_BYTES
            base = HEADER_BYTES if self.encoding == LISTPACK else 0
            assert self.memory == base + sum(len(member) + overhead for member in self.members)
