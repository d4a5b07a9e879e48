"""Sets: distinct members.

In Redis a set of up to set-max-intset-entries integers is an intset (sorted); another small set is a listpack
(members in the order of insertion) of up to set-max-listpack-entries members of up to set-max-listpack-value bytes;
any other set is a hash table. A set does not convert back to a smaller encoding by itself.

    intset     `ints`, sorted; membership by bisection
    listpack   `members` in the order of insertion
    hashtable  `members` at fixed positions (see `engine.values.indexed`)

https://redis.io/docs/latest/develop/data-types/sets/
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import ClassVar, Final, NamedTuple

from engine.protocol.numbers import parse_integer
from engine.values.indexed import Indexed, sample_below
from engine.values.listpack import HEADER_BYTES
from engine.values.rng import Rng

INTSET: Final = b"intset"
LISTPACK: Final = b"listpack"
HASHTABLE: Final = b"hashtable"

_INTSET_HEADER_BYTES: Final = 8
_LISTPACK_MEMBER_BYTES: Final = 2
_HASHTABLE_MEMBER_BYTES: Final = 40
_INTSET_LIMIT: Final = 1 << 30


class SetLimits(NamedTuple):
    """The configured limits: set-max-intset-entries, set-max-listpack-entries and set-max-listpack-value."""

    intset_entries: int
    listpack_entries: int
    listpack_value: int


def integer_width(value: int) -> int:
    """Return the size of an integer in an intset in bytes (all integers of an intset have the same size)."""
    return 2 if -(1 << 15) <= value < 1 << 15 else 4 if -(1 << 31) <= value < 1 << 31 else 8


class SetValue(Indexed):
    """A set. In the intset encoding `ints` holds everything, and `members` and `positions` are empty."""

    __slots__ = ("encoding", "ints", "memory", "width")

    type_name: ClassVar[str] = "set"

    def __init__(self, encoding: bytes = INTSET) -> None:
        super().__init__()
        self.ints: list[int] = []
        self.width = 2  # size of each integer of the intset in bytes; never shrinks
        self.encoding = encoding
        self.memory = _INTSET_HEADER_BYTES if encoding == INTSET else HEADER_BYTES if encoding == LISTPACK else 0

    @classmethod
    def fitting(cls, member: bytes, size_hint: int, limits: SetLimits) -> "SetValue":
        """Return an empty set in the encoding for about `size_hint` members like this one."""
        if size_hint <= limits.intset_entries and parse_integer(member) is not None:
            return cls(INTSET)
        return cls(LISTPACK if size_hint <= limits.listpack_entries else HASHTABLE)

    @classmethod
    def of(cls, members: Iterable[bytes], limits: SetLimits) -> "SetValue":
        """Return a set of these members, in the encoding that results from adding them one by one."""
        value = cls()
        for member in members:
            value.add(member, limits)
        return value

    @classmethod
    def of_integers(cls, ints: list[int], width: int, limits: SetLimits) -> "SetValue":
        """Return a set of these integers, given in ascending order with their width (the intset of an RDB file)."""
        value = cls()
        value.ints = ints
        value.width = width
        value.memory = _INTSET_HEADER_BYTES + value.width * len(ints)
        if len(ints) > limits.intset_entries:
            value.convert(HASHTABLE)
        return value

    @classmethod
    def of_members(cls, members: list[bytes], encoding: bytes) -> "SetValue":
        """Return a set of these members as a listpack or a hash table; repeated members count once."""
        value = cls(encoding)
        distinct = list(dict.fromkeys(members))
        value._fill(distinct)
        overhead = _LISTPACK_MEMBER_BYTES if encoding == LISTPACK else _HASHTABLE_MEMBER_BYTES
        value.memory += sum(map(len, distinct)) + overhead * len(distinct)
        return value

    def __len__(self) -> int:
        return len(self.ints) if self.encoding == INTSET else len(self.positions)

    def __contains__(self, member: bytes) -> bool:
        if self.encoding == INTSET:
            number = parse_integer(member)
            if number is None:
                return False
            at = bisect_left(self.ints, number)
            return at < len(self.ints) and self.ints[at] == number
        return member in self.positions

    def to_list(self) -> list[bytes]:
        """Return all members: those of an intset in ascending order, others in the order of insertion."""
        if self.encoding == INTSET:
            return [b"%d" % number for number in self.ints]
        return self.in_order()

    def copy(self) -> "SetValue":
        """Return an equal set that shares nothing with this one."""
        other = SetValue(self.encoding)
        other.ints = self.ints.copy()
        other.width = self.width
        other.positions = self.positions.copy()
        other.members = self.members.copy()
        other.free = self.free.copy()
        other.memory = self.memory
        return other

    # --- changing -----------------------------------------------------------------------------------------------

    def expect(self, size_hint: int, limits: SetLimits) -> None:
        """Convert to a hash table if about `size_hint` members, which are about to be added, need one."""
        if (self.encoding == LISTPACK and size_hint > limits.listpack_entries) or (
            self.encoding == INTSET and size_hint > limits.intset_entries
        ):
            self.convert(HASHTABLE)

    def add(self, member: bytes, limits: SetLimits) -> bool:
        """Add a member. Returns False if it exists already."""
        positions = self.positions
        if self.encoding == HASHTABLE:
            if member in positions:
                return False
            if self.free:
                self._take_hole(member)
            else:
                positions[member] = len(self.members)
                self.members.append(member)
            self.memory += len(member) + _HASHTABLE_MEMBER_BYTES
            return True
        if self.encoding == LISTPACK:
            if member in positions:
                return False
            if len(positions) >= limits.listpack_entries or len(member) > limits.listpack_value:
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
        self.positions[member] = len(self.members)
        self.members.append(member)
        self.memory += len(member) + (
            _LISTPACK_MEMBER_BYTES if self.encoding == LISTPACK else _HASHTABLE_MEMBER_BYTES
        )

    def remove(self, member: bytes) -> bool:
        """Remove a member. Returns False if it does not exist."""
        if self.encoding == INTSET:
            number = parse_integer(member)
            if number is None:
                return False
            at = bisect_left(self.ints, number)
            if at == len(self.ints) or self.ints[at] != number:
                return False
            del self.ints[at]
            self.memory -= self.width
            return True
        if member not in self.positions:
            return False
        if self.encoding == LISTPACK:
            self.memory -= len(member) + _LISTPACK_MEMBER_BYTES
            self._detach_in_order(member)
        else:
            self.memory -= len(member) + _HASHTABLE_MEMBER_BYTES
            self._detach(member)
        return True

    def convert(self, encoding: bytes) -> None:
        """Convert to a listpack or a hash table; O(n)."""
        if self.encoding == INTSET:
            self._fill([b"%d" % number for number in self.ints])
            self.ints = []
            self.width = 2
        self.encoding = encoding
        overhead = _LISTPACK_MEMBER_BYTES if encoding == LISTPACK else _HASHTABLE_MEMBER_BYTES
        base = HEADER_BYTES if encoding == LISTPACK else 0
        self.memory = base + sum(map(len, self.positions)) + overhead * len(self.positions)

    def to_intset(self, limits: SetLimits) -> None:
        """Convert to an intset if all members are integers and within the limit (SINTERSTORE); O(n)."""
        if self.encoding == INTSET or len(self.positions) > min(limits.intset_entries, _INTSET_LIMIT):
            return
        ints: list[int] = []
        for member in self.positions:
            number = parse_integer(member)
            if number is None:
                return
            ints.append(number)
        self.ints = sorted(ints)
        self.width = max(map(integer_width, ints), default=2)
        self._fill([])
        self.encoding = INTSET
        self.memory = _INTSET_HEADER_BYTES + self.width * len(ints)

    # --- random members -----------------------------------------------------------------------------------------

    def random(self, rng: Rng) -> bytes:
        """Return a random member; O(1)."""
        if self.encoding == INTSET:
            return b"%d" % self.ints[rng.below(len(self.ints))]
        member: bytes = self.members[self.random_position(rng)]
        return member

    def pop(self, rng: Rng) -> bytes:
        """Remove a random member and return it."""
        member = self.random(rng)
        self.remove(member)
        return member

    def sample(self, rng: Rng, count: int) -> list[bytes]:
        """Return `count` distinct random members; count <= len."""
        if self.encoding == INTSET:
            return [b"%d" % self.ints[at] for at in sample_below(rng, len(self.ints), count)]
        return self._at(self.sample_positions(rng, count))

    def _at(self, positions: Iterable[int]) -> list[bytes]:
        members = self.members
        return [members[at] for at in positions]

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Return the next cursor and the members of one step of a scan; a small set takes one step."""
        if self.encoding != HASHTABLE:
            return 0, self.to_list()
        after, found = self.scan_positions(cursor, count)
        return after, self._at(found)

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
            assert self.memory == base + sum(len(member) + overhead for member in self.positions)
