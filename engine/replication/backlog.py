"""The replication backlog: the last bytes of the stream, from which a reconnecting replica can continue.

It is a queue of the same byte strings that were sent to the replicas, so the backlog and the pending output of
replicas share memory. Offsets count the bytes of the stream; the first byte of a history has offset 1.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from collections import deque


class Backlog:
    """The last `size_bytes` of a stream, and older ones that a slow replica still needs."""

    def __init__(self, size_bytes: int, offset: int) -> None:
        self.size_bytes = size_bytes
        self.pieces: deque[bytes] = deque()
        self.first_offset = offset + 1  # of the first byte in the backlog
        self.length = 0  # size of the data in bytes

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.first_offset + self.length

    def append(self, data: bytes) -> None:
        """Add bytes of the stream. `trim` removes the excess."""
        self.pieces.append(data)
        self.length += len(data)

    @property
    def too_long(self) -> bool:
        """Whether the data exceeds the size limit."""
        return self.length > self.size_bytes

    def trim(self, needed_from: int) -> None:
        """Drop the oldest bytes beyond the size limit, up to the offset that a slow replica still needs."""
        excess = min(self.length - self.size_bytes, needed_from - self.first_offset)
        while excess > 0:
            piece = self.pieces[0]
            if len(piece) <= excess:
                self.pieces.popleft()
                dropped = len(piece)
            else:
                self.pieces[0] = piece[excess:]
                dropped = excess
            self.length -= dropped
            self.first_offset += dropped
            excess -= dropped

    def covers(self, offset: int) -> bool:
        """Return whether the backlog contains all bytes starting at an offset."""
        return self.first_offset <= offset <= self.end

    def since(self, offset: int) -> bytes:
        """Return the bytes starting at an offset."""
        skip = offset - self.first_offset
        parts: list[bytes] = []
        for piece in self.pieces:
            if skip >= len(piece):
                skip -= len(piece)
            else:
                parts.append(piece[skip:] if skip else piece)
                skip = 0
        return b"".join(parts)

    def check(self) -> None:
        """Raise AssertionError when an invariant does not hold (for tests)."""
        assert self.length == sum(map(len, self.pieces))
