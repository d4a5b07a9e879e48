"""Requests to another server and their replies, without I/O.

    conversation.ask("ping", b"PING")              requests are queued
    transport.send(conversation.take_outgoing())   and sent in one write
    conversation.feed(data)
    while (reply := conversation.next_reply()) is not None:
        …                                          the reply to `conversation.awaits`
        conversation.answered()

The transport is a link of the node (a replica's handshake), or a connection that blocks within a command (MIGRATE).
The conversation's `take` cuts one reply off the buffer. Those two receive only single-line replies; a Sentinel's
requests have replies of all kinds, which a `ReplyReader` reads (see `engine.protocol.replies`).
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from engine.protocol.resp import encode_command

Reply = TypeVar("Reply")
Take = Callable[[bytearray], Reply | None]  # removes the next reply from a buffer; None if it is incomplete


class Awaited(NamedTuple):
    """A request without a reply yet; `name` and `about` belong to the caller."""

    name: str
    sent_us: int
    about: Any


class Conversation(Generic[Reply]):
    """The requests of one connection, in order, and the reply bytes received so far."""

    def __init__(self, take: Take[Reply]) -> None:
        self.take = take
        self.requests: deque[Awaited] = deque()  # those without a reply, in order
        self._outgoing: list[bytes] = []
        self.buffer = bytearray()  # received, not yet consumed

    def __len__(self) -> int:
        """The number of pending replies."""
        return len(self.requests)

    def ask(self, name: str, *argv: bytes, now_us: int = 0, about: Any = None) -> None:
        """Queue a request."""
        self.requests.append(Awaited(name, now_us, about))
        self._outgoing.append(encode_command(list(argv)))

    def say(self, *argv: bytes) -> None:
        """Queue a request that has no reply (SUBSCRIBE: it causes messages)."""
        self._outgoing.append(encode_command(list(argv)))

    def take_outgoing(self) -> bytes:
        """Return the requests that have not been sent yet."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    @property
    def awaits(self) -> str:
        """The name of the first request without a reply; empty if there is none."""
        return self.requests[0].name if self.requests else ""

    @property
    def awaits_about(self) -> Any:
        """The `about` of the first request without a reply."""
        return self.requests[0].about if self.requests else None

    @property
    def awaits_since_us(self) -> int | None:
        """When the first request without a reply was sent."""
        return self.requests[0].sent_us if self.requests else None

    def feed(self, data: bytes) -> None:
        """Add bytes that arrived."""
        self.buffer += data

    def next_reply(self) -> Reply | None:
        """Remove and return the reply to the first request; None if it is incomplete, or none is pending."""
        return self.take(self.buffer) if self.requests else None

    def answered(self) -> None:
        """Go on to the next request."""
        self.requests.popleft()

    def is_complete(self, received: bytes) -> bool:
        """Return whether bytes that are not fed yet contain all pending replies."""
        buffer = bytearray(received)
        return all(self.take(buffer) is not None for _ in self.requests)

    def take_rest(self) -> bytes:
        """Remove and return the bytes after the last reply."""
        rest = bytes(self.buffer)
        self.buffer.clear()
        return rest


def take_line(buffer: bytearray) -> bytes | None:
    """Remove and return a line without its line break from a buffer; None if it is incomplete."""
    end = buffer.find(b"\n")
    if end < 0:
        return None
    line = bytes(buffer[:end]).removesuffix(b"\r")
    del buffer[: end + 1]
    return line
