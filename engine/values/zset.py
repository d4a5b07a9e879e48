"""Sorted sets: members with a score, in order of score and then of the members' bytes.

A small sorted set is a listpack in Redis, one with more than zset-max-listpack-entries members or with a member
longer than zset-max-listpack-value bytes a skiplist with a hash table beside it. Here the order is a `SortedList` of
(score, member): blocks of a thousand and a tree of their sizes, so that adding, removing and ranks cost O(log n), as
the skiplist's spans give them. Scores by member stand in the hash table's place (see `engine.values.indexed`).

Scores are compared as doubles: -0 equals 0. A listpack keeps integral scores as integers, so -0 becomes 0 in it.

https://redis.io/docs/latest/develop/data-types/sorted-sets/
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from math import inf, nextafter
from typing import Any, ClassVar, NamedTuple

from sortedcontainers import SortedList

from engine.rng import Rng
from engine.values.indexed import Indexed, sample_positions
from engine.values.listpack import HEADER_BYTES

LISTPACK = b"listpack"
SKIPLIST = b"skiplist"

_LISTPACK_PAIR_BYTES = 6
_SKIPLIST_PAIR_BYTES = 88  # skiplist node, dictionary entry and string header


class ScoreRange(NamedTuple):
    """Scores from `low` to `high`; a bound that is `excluded` is not part of it."""

    low: float
    high: float
    low_excluded: bool = False
    high_excluded: bool = False


class LexRange(NamedTuple):
    """Members from `low` to `high` (None: without bound, whether from - to + or the wrong way round: `empty`)."""

    low: bytes | None
    high: bytes | None
    low_excluded: bool = False
    high_excluded: bool = False
    empty: bool = False

    def above_low(self, member: bytes) -> bool:
        """Tell whether a member is not below the range."""
        return self.low is None or member > self.low or (member == self.low and not self.low_excluded)

    def below_high(self, member: bytes) -> bool:
        """Tell whether a member is not above the range."""
        return self.high is None or member < self.high or (member == self.high and not self.high_excluded)


class ZSetValue(Indexed):
    """A sorted set. `scores` stands parallel to `members`; `ordered` holds (score, member) in order."""

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
        """Return the sorted set of these members, a listpack if that will do (ZUNIONSTORE)."""
        small = len(scores) <= max_entries and max(map(len, scores), default=0) <= max_value
        value = cls(LISTPACK if small else SKIPLIST)
        value.members = list(scores)
        value.index = {member: i for i, member in enumerate(value.members)}
        value.scores = [score + 0.0 for score in scores.values()] if small else list(scores.values())
        value.ordered = SortedList(zip(value.scores, value.members))
        value.memory = value._accounted()
        return value

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, member: bytes) -> bool:
        return member in self.index

    def score(self, member: bytes) -> float | None:
        """Return a member's score; None if it is not there."""
        at = self.index.get(member)
        return None if at is None else self.scores[at]

    def items(self) -> Iterable[tuple[bytes, float]]:
        """Iterate over members with scores in no particular order."""
        return zip(self.members, self.scores)

    def copy(self) -> "ZSetValue":
        """Return an equal sorted set that shares nothing with this one."""
        other = ZSetValue(self.encoding)
        other.index = self.index.copy()
        other.members = self.members.copy()
        other.scores = self.scores.copy()
        other.ordered = self.ordered.copy()
        other.memory = self.memory
        return other

    # --- changing -----------------------------------------------------------------------------------------------

    def expect(self, size_hint: int, max_entries: int) -> None:
        """Become a skiplist if about `size_hint` members that are about to be added need one."""
        if self.encoding == LISTPACK and size_hint > max_entries:
            self.convert()

    def convert(self) -> None:
        """Become a skiplist."""
        if self.encoding == LISTPACK:
            self.encoding = SKIPLIST
            self.memory = self._accounted()

    def add(self, member: bytes, score: float, max_entries: int, max_value: int) -> None:
        """Add a member that is not there."""
        members = self.members
        if self.encoding == LISTPACK:
            if len(members) >= max_entries or len(member) > max_value:
                self.convert()
            else:
                score += 0.0  # -0 becomes 0
        self.index[member] = len(members)
        members.append(member)
        self.scores.append(score)
        self.ordered.add((score, member))
        self.memory += len(member) + (_LISTPACK_PAIR_BYTES if self.encoding == LISTPACK else _SKIPLIST_PAIR_BYTES)

    def update(self, member: bytes, score: float) -> None:
        """Give a member that is there another score."""
        if self.encoding == LISTPACK:
            score += 0.0
        at = self.index[member]
        ordered = self.ordered
        ordered.remove((self.scores[at], member))
        ordered.add((score, member))
        self.scores[at] = score

    def remove(self, member: bytes) -> bool:
        """Remove a member; False if it is not there."""
        at = self.index.get(member)
        if at is None:
            return False
        self.ordered.remove((self.scores[at], member))
        self._forget(member, at)
        return True

    def _forget(self, member: bytes, at: int) -> None:
        self._detach(at, self.scores)
        self.memory -= len(member) + (_LISTPACK_PAIR_BYTES if self.encoding == LISTPACK else _SKIPLIST_PAIR_BYTES)

    def pop(self, last: bool) -> tuple[float, bytes]:
        """Remove the first or last member and return it with its score."""
        pair: tuple[float, bytes] = self.ordered.pop(-1 if last else 0)
        self._forget(pair[1], self.index[pair[1]])
        return pair

    def remove_range(self, start: int, stop: int) -> int:
        """Remove the members with ranks from `start` up to, not including, `stop`; returns how many."""
        if stop <= start:
            return 0
        for _, member in self.ordered[start:stop]:
            self._forget(member, self.index[member])
        del self.ordered[start:stop]
        return stop - start

    # --- order --------------------------------------------------------------------------------------------------

    def rank(self, member: bytes) -> int | None:
        """Return a member's position in the order, from 0; None if it is not there. O(log n)."""
        at = self.index.get(member)
        if at is None:
            return None
        rank: int = self.ordered.bisect_left((self.scores[at], member))
        return rank

    def range(self, start: int, stop: int, reverse: bool = False) -> list[tuple[float, bytes]]:
        """Return (score, member) of the ranks from `start` up to, not including, `stop`; backwards if `reverse`."""
        pairs: list[tuple[float, bytes]] = self.ordered[start:stop]
        if reverse:
            pairs.reverse()
        return pairs

    def score_range(self, bounds: ScoreRange) -> tuple[int, int]:
        """Return the ranks (from, up to but not including) whose scores are within bounds. O(log n)."""
        low, high = bounds.low, bounds.high
        if low > high or (low == high and (bounds.low_excluded or bounds.high_excluded)):
            return 0, 0
        ordered = self.ordered
        # A tuple is less than a longer one that begins with it: (score,) comes before every member of that score.
        if not bounds.low_excluded:
            start = ordered.bisect_left((low,))
        else:
            start = len(ordered) if low == inf else ordered.bisect_left((nextafter(low, inf),))
        if bounds.high_excluded:
            stop = ordered.bisect_left((high,))
        else:
            stop = len(ordered) if high == inf else ordered.bisect_left((nextafter(high, inf),))
        return start, max(start, stop)

    def lex_range(self, bounds: LexRange) -> tuple[int, int]:
        """Return the ranks (from, up to but not including) whose members are within bounds.

        Members are in the order of their bytes only where all scores are equal; for others Redis promises nothing.
        """
        if bounds.empty or not self.members:
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
        at = rng.below(len(self.members))
        return self.members[at], self.scores[at]

    def sample(self, rng: Rng, count: int) -> list[tuple[bytes, float]]:
        """Return `count` distinct random members with scores; count <= len."""
        return [(self.members[at], self.scores[at]) for at in sample_positions(rng, len(self.members), count)]

    def scan(self, cursor: int, count: int) -> tuple[int, list[tuple[bytes, float]]]:
        """Return the next cursor and the members with scores of one step of a scan; all of a small set at once."""
        if self.encoding == LISTPACK:
            return 0, [(member, score) for score, member in self.ordered]
        after, low, top = self.scan_positions(cursor, count)
        return after, list(zip(self.members[low:top], self.scores[low:top]))

    def _accounted(self) -> int:
        if self.encoding == LISTPACK:
            return HEADER_BYTES + sum(map(len, self.members)) + _LISTPACK_PAIR_BYTES * len(self.members)
        return sum(map(len, self.members)) + _SKIPLIST_PAIR_BYTES * len(self.members)

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        self.check_index()
        assert len(self.scores) == len(self.members)
        assert list(self.ordered) == sorted(zip(self.scores, self.members))
        assert self.memory == self._accounted()


def _member(pair: tuple[float, bytes]) -> bytes:
    return pair[1]
