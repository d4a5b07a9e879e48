"""A terminal's connection: what it is in the middle of, its prompt, and the replies to a command. It never waits.

Its user decides how to wait: a session's server reads until a reply is there (`tutor.lesson.server`), a
controller's terminal is a thread that can be interrupted (`tutor.lesson.terminal`).
"""

import contextlib
import copy
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.client import Connection, LinkError
from tutor.prompt import PromptState
from tutor.prompt.conversation import ReplyTracker

Reply = Any


def answers_by_ending(argv: Sequence[bytes]) -> bool:
    """Return whether the end of the connection is the answer to a command, as redis-cli takes it for SHUTDOWN."""
    return argv[0].lower() == b"shutdown"


class TerminalConnection:
    """The connection of one terminal; `connection` is None while it has none. `connect` opens a socket."""

    def __init__(self, connect: Callable[[], socket.socket], state: PromptState) -> None:
        self.connect = connect
        self.state = state
        self.conversation = ReplyTracker(state)
        self.connection: Connection | None = None

    def open(self, timeout_s: float | None = None) -> Connection:
        """Return the connection, opened if there is none. Raises what `connect` raises."""
        if self.connection is None:
            self.connection = Connection(self.connect())
            if timeout_s is not None:
                self.connection.socket.settimeout(timeout_s)
            self.state.connected = True
            if db := self.state.wanted_db:  # as redis-cli does when it connects again
                with contextlib.suppress(LinkError):
                    if not isinstance(self.connection.call(b"SELECT", db), ReplyError):
                        self.state.db = db
        return self.connection

    def close(self) -> None:
        """Close the connection, and forget what belonged to it."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        self.conversation.lost()

    def run(
        self,
        argv: list[bytes],
        read: Callable[[], Reply],
        pushed: Callable[[Reply], object],
        sent: Callable[[], object] = lambda: None,
        waits: Callable[[], bool] = lambda: False,
    ) -> Iterator[Reply]:
        """Send a command and yield its replies, as `read` gives them; what comes unasked is `pushed`.

        It ends early when a command that blocks `waits`. Raises LinkError.
        """
        assert self.connection is not None
        self.conversation.begin(argv)
        self.connection.send(argv)
        sent()
        while not self.conversation.complete:
            if self.conversation.blocks and waits():
                return
            reply = read()
            if self.conversation.takes(reply):
                yield reply
            else:
                pushed(reply)

    def saved(self) -> tuple[PromptState, ReplyTracker]:
        """Return what it is in the middle of, for `restore`."""
        return copy.deepcopy((self.state, self.conversation))

    def restore(self, saved: tuple[PromptState, ReplyTracker]) -> None:
        """Be in the middle of what was saved, with the connection that there is."""
        self.state, self.conversation = copy.deepcopy(saved)
        self.state.connected = self.connection is not None
