"""Which writes a node has: a position in the tree of everything that was ever executed.

A *segment* is what one process executed in a row, and its parent is the position at which it began: what that process
had by then. A node's data is a position in a segment: its first `length` writes, and all that its parent has. A
promotion, a restart and a first backlog begin a segment:

    A    ──w1──w2──w3           (A, 3): the crashed master
                └──w4──w5       (B, 2): promoted when it had w1 and w2; w3 is not in its lineage

A replica's position follows from the replication ID and the offset that it has reached.
"""

from bisect import bisect_right
from typing import NamedTuple

from engine.protocol.resp import Argv


class LineageSegment:
    """Writes of one process, and where they continue from; `first_offset` is the replication offset there."""

    __slots__ = ("first_offset", "owner", "parent", "writes")

    def __init__(self, parent: "Position", owner: object, first_offset: int = 0) -> None:
        self.parent = parent
        self.owner = owner
        self.first_offset = first_offset
        self.writes: list[LedgerWrite] = []


class Position(NamedTuple):
    """The first `length` writes of a segment, after everything at its parent; without a segment: nothing."""

    segment: LineageSegment | None
    length: int

    def holds(self, write: "LedgerWrite") -> bool:
        """Return whether a write is in this lineage."""
        segment, length = self
        while segment is not None:
            if segment is write.segment:
                return write.index < length
            segment, length = segment.parent
        return False

    def lengths(self) -> dict[LineageSegment, int]:
        """Return how many writes of each segment are in this lineage."""
        lengths: dict[LineageSegment, int] = {}
        segment, length = self
        while segment is not None:
            lengths[segment] = length
            segment, length = segment.parent
        return lengths


NOTHING = Position(None, 0)
NO_STREAM = 1 << 62  # the offset of a write that is in no stream (yet)


class LedgerWrite:
    """A client's command that changed data: a single command, a transaction or a script."""

    __slots__ = ("acknowledged", "argv", "client", "failed", "host", "index", "link", "number", "offset", "segment")

    def __init__(self, number: int, host: str, client: str, link: int, argv: Argv, segment: LineageSegment) -> None:
        self.number = number  # of the event: it was executed
        self.host = host
        self.client = client
        self.link = link
        self.argv = argv
        self.segment = segment
        self.index = len(segment.writes)
        self.offset = NO_STREAM  # of the replication stream, after it
        self.acknowledged = -1  # number of the event: its reply reached the client; -1: it never did
        self.failed = False  # the reply was an error
        segment.writes.append(self)


def _offset(write: LedgerWrite) -> int:
    return write.offset


class Lineages:
    """The segments, by the replication IDs of their streams."""

    def __init__(self) -> None:
        self.streams: dict[str, LineageSegment] = {}

    def begin(self, replid: str, parent: Position, owner: object, offset: int) -> Position:
        """Begin a history under a new replication ID."""
        segment = self.streams[replid] = LineageSegment(parent, owner, offset)
        return Position(segment, 0)

    def reached(self, replid: str, offset: int) -> Position:
        """Return what a node has that is at an offset of a known history."""
        segment: LineageSegment | None = self.streams[replid]
        limit = NO_STREAM
        while segment is not None:
            if offset >= segment.first_offset or segment.parent.segment is None:
                length = bisect_right(segment.writes, offset, key=_offset)
                return Position(segment, min(length, limit))
            segment, limit = segment.parent
        return NOTHING


__all__ = ["NOTHING", "NO_STREAM", "LedgerWrite", "LineageSegment", "Lineages", "Position"]
