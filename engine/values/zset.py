"""Sorted sets: members with a score, ordered by score and then by the members' bytes.

In Redis a small sorted set is a listpack; one with more than zset-max-listpack-entries members, or with a member
longer than zset-max-listpack-value bytes, is a skiplist combined with a hash table. Here the order is a `SortedList`
of (score, member): blocks of a thousand and a tree of their sizes, so adding, removing and ranks cost O(log n), as
with the spans of the skiplist. Scores by member replace the hash table (see `engine.values.indexed`).

Scores are compared as doubles: -0 equals 0. A listpack stores integral scores as integers, so -0 becomes 0 in it.

https://redis.io/docs/latest/develop/data-types/sorted-sets/
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from math import inf, nextafter
from typing import Any, ClassVar, Final, NamedTuple

from sortedcontainers import SortedList

from engine.values.indexed import HOLE, Indexed
from engine.values.listpack import HEADER_BYTES
from engine.values.rng import Rng

LISTPACK: Final = b"listpack"
SKIPLIST: Final = b"skiplist"

_LISTPACK_PAIR_BYTES: Final = 6
_SKIPLIST_PAIR_BYTES: Final = 88  # skiplist node, dictionary entry and string header


class ScoreRange(NamedTuple):
    """Scores from `low` to `high`; a bound marked as `excluded` is exclusive."""

    low: float
    high: float
    low_excluded: bool = False
    high_excluded: bool = False


class LexRange(NamedTuple):
    """Members from `low` to `high` (None: unbounded). `empty` is set if - and + are the wrong way around."""

    low: bytes | None
    high: bytes | None
    low_excluded: bool = False
    high_excluded: bool = False
    empty: bool = False

    def above_low(self, member: bytes) -> bool:
        """Return whether a member is within the lower bound."""
        return self.low is None or member > self.low or (member == self.low and not self.low_excluded)

    def below_high(self, member: bytes) -> bool:
        """Return whether a member is within the upper bound."""
        return self.high is None or member < self.high or (member == self.high and not self.high_excluded)


class ZSetValue(Indexed):
    """A sorted set: `scores[i]` is the score of `members[i]`; `ordered` holds (score, member) in order."""

    __slots__ = ("encoding", "memory", "ordered", "scores")

    type_name: ClassVar[str] = "zset"

    def __init__(self, encoding: bytes = LISTPACK) -> None:
        super().__init__()
        self.scores: list[float] = []
        self.ordered: Any = SortedList()
        self.encoding = encoding
        self.memory = HEADER_BYTES if encoding == LISTPACK else 0

    @classmethod
    def fitting(cls, size_hint: int, member_size: int, max_entries: int, max_value: int) -> "ZSetValue":
        """Return an empty sorted set in the encoding for that many members of that size (bytes)."""
        return cls(LISTPACK if size_hint <= max_entries and member_size <= max_value else SKIPLIST)

    @classmethod
    def of(cls, scores: dict[bytes, float], max_entries: int, max_value: int) -> "ZSetValue":
        """Return a sorted set of these members, as a listpack if they fit (ZUNIONSTORE)."""
        small = len(scores) <= max_entries and max(map(len, scores), default=0) <= max_value
        value = cls(LISTPACK if small else SKIPLIST)
        value._fill(list(scores))
        value.scores = [score + 0.0 for score in scores.values()] if small else list(scores.values())
        value.ordered = SortedList(zip(value.scores, scores))
        value.memory = value._accounted()
        return value

    def _columns(self) -> Sequence[Any]:
        return (self.scores,)

    def score(self, member: bytes) -> float | None:
        """Return a member's score; None if it does not exist."""
        at = self.positions.get(member)
        return None if at is None else self.scores[at]

    def items(self) -> Iterable[tuple[bytes, float]]:
        """Iterate over members and scores in no particular order."""
        pairs = zip(self.members, self.scores)
        return [pair for pair in pairs if pair[0] is not HOLE] if self.free else pairs

    def copy(self) -> "ZSetValue":
        """Return an equal sorted set that shares nothing with this one."""
        other = ZSetValue(self.encoding)
        other.positions = self.positions.copy()
        other.members = self.members.copy()
        other.free = self.free.copy()
        other.scores = self.scores.copy()
        other.ordered = self.ordered.copy()
        other.memory = self.memory
        return other

    # --- changing -----------------------------------------------------------------------------------------------

    def expect(self, size_hint: int, max_entries: int) -> None:
        """Convert to a skiplist if about `size_hint` members, which are about to be added, need one."""
        if self.encoding == LISTPACK and size_hint > max_entries:
            self.convert()

    def convert(self) -> None:
        """Convert to a skiplist."""
        if self.encoding == LISTPACK:
            self.encoding = SKIPLIST
            self.memory = self._accounted()

    def add(self, member: bytes, score: float, max_entries: int, max_value: int) -> None:
        """Add a member, which must be new."""
        if self.encoding == LISTPACK:
            if len(self.positions) >= max_entries or len(member) > max_value:
                self.convert()
            else:
                score += 0.0  # -0 becomes 0
        if self.free:
            self.scores[self._take_hole(member)] = score
        else:
            self.positions[member] = len(self.members)
            self.members.append(member)
            self.scores.append(score)
        self.ordered.add((score, member))
        self.memory += len(member) + (_LISTPACK_PAIR_BYTES if self.encoding == LISTPACK else _SKIPLIST_PAIR_BYTES)

    def update(self, member: bytes, score: float) -> None:
        """Change the score of an existing member."""
        if self.encoding == LISTPACK:
            score += 0.0
        at = self.positions[member]
        ordered = self.ordered
        ordered.remove((self.scores[at], member))
        ordered.add((score, self.members[at]))  # not the caller's equal bytes: they would be kept beside these
        self.scores[at] = score

    def remove(self, member: bytes) -> bool:
        """Remove a member. Returns False if it does not exist."""
        at = self.positions.get(member)
        if at is None:
            return False
        self.ordered.remove((self.scores[at], member))
        self._forget(member)
        return True

    def _forget(self, member: bytes) -> None:
        self._detach(member)
        self.memory -= len(member) + (_LISTPACK_PAIR_BYTES if self.encoding == LISTPACK else _SKIPLIST_PAIR_BYTES)

    def pop(self, last: bool) -> tuple[float, bytes]:
        """Remove the first or last member and return its score and the member."""
        pair: tuple[float, bytes] = self.ordered.pop(-1 if last else 0)
        self._forget(pair[1])
        return pair

    def remove_range(self, start: int, stop: int) -> int:
        """Remove the members with ranks from `start` to `stop` (exclusive). Returns how many."""
        if stop <= start:
            return 0
        for _, member in self.ordered[start:stop]:
            self._forget(member)
        del self.ordered[start:stop]
        return stop - start

    # --- order --------------------------------------------------------------------------------------------------

    def rank(self, member: bytes) -> int | None:
        """Return a member's rank, starting at 0; None if it does not exist. O(log n)."""
        at = self.positions.get(member)
        if at is None:
            return None
        rank: int = self.ordered.bisect_left((self.scores[at], member))
        return rank

    def range(self, start: int, stop: int, reverse: bool = False) -> list[tuple[float, bytes]]:
        """Return (score, member) of the ranks from `start` to `stop` (exclusive); backwards if `reverse`."""
        pairs: list[tuple[float, bytes]] = self.ordered[start:stop]
        if reverse:
            pairs.reverse()
        return pairs

    def score_range(self, bounds: ScoreRange) -> tuple[int, int]:
        """Return the ranks (start, exclusive stop) of the scores within bounds. O(log n)."""
        low, high = bounds.low, bounds.high
        if low > high or (low == high and (bounds.low_excluded or bounds.high_excluded)):
            return 0, 0
        ordered = self.ordered
        # A tuple sorts before a longer one with the same prefix: (score,) comes before every member with that score.
        if not bounds.low_excluded:
            start = ordered.bisect_left((low,))
        else:
            start = len(ordered) if low == inf else ordered.bisect_left((nextafter(low, inf),))
        if bounds.high_excluded:
            stop = ordered.bisect_left((high,))
        else:
            stop = len(ordered) if high == inf else ordered.bisect_left((nextafter(high, inf),))
        return start, max(start, stop)

    def scored(self, low: float, high: float) -> Iterable[tuple[float, bytes]]:
        """Return (score, member) of the scores from `low` (inclusive) to `high` (exclusive), in order."""
        pairs: Iterable[tuple[float, bytes]] = self.ordered.irange((low,), (high,), (True, False))
        return pairs

    def lex_range(self, bounds: LexRange) -> tuple[int, int]:
        """Return the ranks (start, exclusive stop) of the members within bounds.

        Members are ordered by their bytes only if all scores are equal; otherwise Redis guarantees nothing.
        """
        if bounds.empty or not self.positions:
            return 0, 0
        ordered = self.ordered
        if not bounds.above_low(ordered[-1][1]) or not bounds.below_high(ordered[0][1]):
            return 0, 0
        start, stop = 0, len(ordered)
        if self.encoding == LISTPACK:
            while start < stop and not bounds.above_low(ordered[start][1]):
                start += 1
            end = start
            while end < stop and bounds.below_high(ordered[end][1]):
                end += 1
            return start, end
        if bounds.low is not None:
            find = bisect_right if bounds.low_excluded else bisect_left
            start = find(ordered, bounds.low, key=_member)
        if bounds.high is not None:
            find = bisect_left if bounds.high_excluded else bisect_right
            stop = find(ordered, bounds.high, key=_member)
        return start, max(start, stop)

    # --- random members and scans -------------------------------------------------------------------------------

    def random(self, rng: Rng) -> tuple[bytes, float]:
        """Return a random member and its score; O(1)."""
        return self._pair(self.random_position(rng))

    def sample(self, rng: Rng, count: int) -> list[tuple[bytes, float]]:
        """Return `count` distinct random members and their scores; count <= len."""
        return [self._pair(at) for at in self.sample_positions(rng, count)]

    def _pair(self, at: int) -> tuple[bytes, float]:
        return self.members[at], self.scores[at]

    def scan(self, cursor: int, count: int) -> tuple[int, list[tuple[bytes, float]]]:
        """Return the next cursor and the members and scores of one step of a scan; a small set takes one step."""
        if self.encoding == LISTPACK:
            return 0, [(member, score) for score, member in self.ordered]
        after, found = self.scan_positions(cursor, count)
        return after, [self._pair(at) for at in found]

    def _accounted(self) -> int:
        if self.encoding == LISTPACK:
            return HEADER_BYTES + sum(map(len, self.positions)) + _LISTPACK_PAIR_BYTES * len(self.positions)
        return sum(map(len, self.positions)) + _SKIPLIST_PAIR_BYTES * len(self.positions)

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        self.check_index()
        assert list(self.ordered) == sorted((score, member) for member, score in self.items())
        assert all(self.members[self.positions[member]] is member for _, member in self.ordered)
        assert self.memory == self._accounted()


def _member(pair: tuple[float, bytes]) -> bytes:
    return pair[1]
