"""The slow log: commands that took longer than a limit, newest first.

https://redis.io/docs/latest/commands/slowlog/
"""

from collections import deque
from dataclasses import dataclass

from engine.protocol.resp import Argv

MAX_ARGS = 32
MAX_ARG_BYTES = 128


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """One entry: the command, its time and duration, and its client."""

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
        """Add an entry, and drop the oldest ones beyond the limit."""
        self.entries.appendleft(SlowCommand(self.next_id, time_s, duration_us, trim(argv), peer, client_name))
        self.next_id += 1
        while len(self.entries) > max_length:
            self.entries.pop()


def trim(argv: Argv) -> Argv:
    """Return a command shortened to the limits of the log, with a note of how much was omitted."""
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
