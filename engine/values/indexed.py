"""Members at fixed positions: the common base of databases, sets, hashes and sorted sets.

`positions` maps a member to its index in `members`, and to the same index in the columns that a subclass keeps in
parallel (values, scores). A member keeps its position for as long as it exists. Removing it leaves a hole, and the
next member that is added fills a hole.

This makes picking a random member O(1) (draw positions until one is not a hole) and scans stateless: a cursor is a
position, and a scan walks down from the last one. A member that exists during the whole scan is returned exactly
once, regardless of other additions and removals.

The members are moved together only when seven positions out of eight are holes. They keep their order and move
downwards, towards the positions that a scan has yet to visit: no member is missed, but a scan that is in progress
may return members twice. Redis makes the same promise, and breaks it in the same case: when a table shrinks.

Small encodings (listpack) keep members in the order of insertion, as Redis does. A removal there moves the following
members up, which is cheap because such collections are small.

https://redis.io/docs/latest/commands/scan/
"""

from collections.abc import Sequence
from typing import Any, Final

from engine.values.compact import compact
from engine.values.rng import Rng

HOLE: Final = None
HOLES_PER_MEMBER: Final = 7  # with more, the members are moved together
FEW_HOLES: Final = 256  # up to this number, holes stay: they cost less than moving members
SCANNED_PER_MEMBER: Final = 10  # positions that a step of a scan visits (dictScan's empty buckets)


class Indexed:
    """A collection of distinct members with O(1) membership, removal, random choice and scan steps."""

    __slots__ = ("free", "members", "positions")

    def __init__(self) -> None:
        self.positions: dict[bytes, int] = {}
        self.members: list[Any] = []  # bytes or HOLE; a member's position always contains a member
        self.free: list[int] = []  # positions of the holes

    def __len__(self) -> int:
        return len(self.positions)

    def __contains__(self, member: bytes) -> bool:
        return member in self.positions

    def _columns(self) -> Sequence[Any]:
        """Return the columns that a subclass keeps in parallel with `members`."""
        return ()

    def in_order(self) -> list[bytes]:
        """Return all members in the order of their positions: the order of insertion if none was removed."""
        return [member for member in self.members if member is not HOLE] if self.free else self.members.copy()

    def _fill(self, members: list[bytes]) -> None:
        """Store these members, which are distinct, at the first positions."""
        self.members = members
        self.positions = {member: i for i, member in enumerate(members)}
        self.free = []

    def _take_hole(self, member: bytes) -> int:
        """Put a member into a hole, which must exist. Returns its position; the subclass fills its columns."""
        at = self.free.pop()
        self.positions[member] = at
        self.members[at] = member
        return at

    def _detach(self, member: bytes) -> None:
        """Remove a member and leave a hole; the subclass has cleared its columns."""
        at = self.positions.pop(member)
        self.members[at] = HOLE
        free = self.free
        free.append(at)
        if len(free) >= FEW_HOLES and len(free) >= HOLES_PER_MEMBER * len(self.positions):
            self._close_holes()

    def _detach_in_order(self, member: bytes) -> None:
        """Remove a member and move the following ones up."""
        members, positions = self.members, self.positions
        at = positions.pop(member)
        del members[at]
        for column in self._columns():
            del column[at]
        for i in range(at, len(members)):
            positions[members[i]] = i

    def _close_holes(self) -> None:
        """Move the members together, downwards and in their order, until no hole is left."""
        kept = sorted(self.positions.values())
        for column in (self.members, *self._columns()):
            for to, at in enumerate(kept):
                column[to] = column[at]
            del column[len(kept) :]
        self.free.clear()
        positions = self.positions
        for i, member in enumerate(self.members):
            positions[member] = i

    def compact(self) -> None:
        """Give back storage that is not needed."""
        compact(self.positions)

    def random_position(self, rng: Rng) -> int:
        """Return the position of a random member. The collection must not be empty. O(1)."""
        members = self.members
        size = len(members)
        at = rng.below(size)
        while members[at] is HOLE:
            at = rng.below(size)
        return at

    def sample_positions(self, rng: Rng, count: int) -> list[int]:
        """Return the positions of `count` distinct members in random order; O(count)."""
        if not self.free:
            return sample_below(rng, len(self.members), count)
        if 3 * count > len(self.positions):
            held = list(self.positions.values())
            return [held[i] for i in sample_below(rng, len(held), count)]
        chosen: dict[int, None] = {}
        while len(chosen) < count:
            chosen[self.random_position(rng)] = None
        return list(chosen)

    def scan_positions(self, cursor: int, count: int) -> tuple[int, Sequence[int]]:
        """Return the next cursor (0 at the end) and the positions of the members visited by this step of a scan."""
        members = self.members
        size = len(members)
        top = min(cursor, size) if cursor else size
        if not self.free:
            low = max(0, top - count)
            return low, range(low, top)
        found: list[int] = []
        low = max(0, top - SCANNED_PER_MEMBER * count)
        while top > low and len(found) < count:
            top -= 1
            if members[top] is not HOLE:
                found.append(top)
        return top, found

    def check_index(self) -> None:
        """Raise AssertionError when an invariant does not hold."""
        assert self.positions == {member: i for i, member in enumerate(self.members) if member is not HOLE}
        assert sorted(self.free) == [i for i, member in enumerate(self.members) if member is HOLE]
        assert all(len(column) == len(self.members) for column in self._columns())


def sample_below(rng: Rng, size: int, count: int) -> list[int]:
    """Return `count` distinct numbers below `size`, in random order; O(count)."""
    if 3 * count > size:
        # A large fraction of all: shuffle as far as needed.
        numbers = list(range(size))
        for i in range(count):
            j = i + rng.below(size - i)
            numbers[i], numbers[j] = numbers[j], numbers[i]
        return numbers[:count]
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        chosen[rng.below(size)] = None
    return list(chosen)
