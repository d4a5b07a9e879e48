"""Members in a list, each knowing its place: what sets, hashes and sorted sets have in common.

`index` maps a member to its position in `members`. That makes a random member O(1), and scans stateless: a cursor is
a position, a scan walks downwards, and a removed member's place is taken by the last one, which moves from above to
below. So a member that is there during the whole scan is not missed, as Redis promises.

Small encodings (listpack) keep the order in which members were added, as Redis does; there a removal shifts those
behind it, which is a few steps because such collections are small.

https://redis.io/docs/latest/commands/scan/
"""

from typing import Any

from engine.rng import Rng


class Indexed:
    """A collection of distinct members with O(1) membership, removal and random choice."""

    __slots__ = ("index", "members")

    def __init__(self) -> None:
        self.index: dict[bytes, int] = {}
        self.members: list[bytes] = []

    def _detach(self, at: int, *columns: list[Any]) -> None:
        """Remove the member at a position; the last one takes its place. So in the columns beside it."""
        members = self.members
        del self.index[members[at]]
        last = members.pop()
        if at < len(members):
            members[at] = last
            self.index[last] = at
            for column in columns:
                column[at] = column.pop()
        else:
            for column in columns:
                column.pop()

    def _detach_in_order(self, at: int, *columns: list[Any]) -> None:
        """Remove the member at a position; those behind it move up."""
        members, index = self.members, self.index
        del index[members[at]]
        del members[at]
        for column in columns:
            del column[at]
        for i in range(at, len(members)):
            index[members[i]] = i

    def scan_positions(self, cursor: int, count: int) -> tuple[int, int, int]:
        """Return the next cursor (0 at the end) and the slice of `members` that this step of a scan visits."""
        size = len(self.members)
        top = min(cursor, size) if cursor else size
        low = max(0, top - count)
        return low, low, top

    def check_index(self) -> None:
        """Raise AssertionError when an invariant does not hold."""
        assert self.index == {member: i for i, member in enumerate(self.members)}
        assert len(self.index) == len(self.members)


def sample_positions(rng: Rng, size: int, count: int) -> list[int]:
    """Return `count` distinct positions below `size`, in random order; O(count)."""
    if 3 * count > size:
        # A large part of all: shuffle, as far as needed.
        positions = list(range(size))
        for i in range(count):
            j = i + rng.below(size - i)
            positions[i], positions[j] = positions[j], positions[i]
        return positions[:count]
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        chosen[rng.below(size)] = None
    return list(chosen)
