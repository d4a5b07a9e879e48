"""The slow log: commands that took longer than a limit, the newest first.

https://redis.io/docs/latest/commands/slowlog/
"""

from collections import deque
from dataclasses import dataclass

from engine.resp import Argv

MAX_ARGS = 32
MAX_ARG_BYTES = 128


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """One entry: when it ran, how long it took, and who sent it."""

    id: int
    time_s: int
    duration_us: int
    argv: Argv
    peer: bytes
    client_name: bytes


class SlowLog:
    """The log of a node."""

    def __init__(self) -> None:
        self.entries: deque[SlowCommand] = deque()
        self.next_id = 0

    def note(
        self, time_s: int, duration_us: int, argv: Argv, peer: bytes, client_name: bytes, max_length: int
    ) -> None:
        """Add an entry, and drop those that are too many."""
        self.entries.appendleft(SlowCommand(self.next_id, time_s, duration_us, trim(argv), peer, client_name))
        self.next_id += 1
        while len(self.entries) > max_length:
            self.entries.pop()


def trim(argv: Argv) -> Argv:
    """Return a command cut to the log's limits, saying what was left out."""
    kept = argv
    if len(argv) > MAX_ARGS:
        kept = argv[: MAX_ARGS - 1]
    shown = [
        arg
        if len(arg) <= MAX_ARG_BYTES
        else b"%b... (%d more bytes)" % (arg[:MAX_ARG_BYTES], len(arg) - MAX_ARG_BYTES)
        for arg in kept
    ]
    if kept is not argv:
        shown.append(b"... (%d more arguments)" % (len(argv) - MAX_ARGS + 1))
    return shown


def redacted(argv: Argv, positions: tuple[int, ...]) -> Argv:
    """Return a command with secrets replaced."""
    return [b"(redacted)" if i in positions else arg for i, arg in enumerate(argv)]
