"""The connections of a node, and the components that handle them.

A link is a number that identifies one connection; numbers are never reused. `Node.links` maps it to its handler, no
matter which end opened the connection. A listener has a kind, and `Node.listeners` maps the kind to a function that
accepts its connections. A component that connects to a server is the handler of that link from the start.
"""

from collections.abc import Callable
from typing import Final, Protocol

from engine.effects import Dial, Hangup, Output, Send

_new = tuple.__new__  # creates a named tuple in half the time
FIRST_DIALLED: Final = 1 << 40  # the node itself numbers outgoing links, starting above all numbers of the world


class LinkHandler(Protocol):
    """Handles the input of a link. The methods do not say which link: use one handler per link."""

    def opened(self, peer: str, local: str) -> None:
        """The connection is established; the arguments are the addresses of both ends."""

    def received(self, data: bytes) -> None:
        """Bytes arrived, split at any position."""

    def output_pending(self, size_bytes: int) -> None:
        """The number of bytes that are sent but still pending (0: none)."""

    def closed(self) -> None:
        """The connection was closed by the other end or broke. The handler releases the link (`Dialer.hang_up`)."""

    def refused(self, error: str) -> None:
        """The outgoing connection failed. The handler releases the link (`Dialer.hang_up`)."""


# Accepts a connection: link, the other end's address, the listener's kind. Returns its handler, or None if
# the connection was refused and closed.
Listener = Callable[[int, str, str], LinkHandler | None]


class Dialer:
    """Opens outgoing connections; sends on links, and closes them."""

    def __init__(self, output: Output, links: dict[int, LinkHandler]) -> None:
        self._output = output
        self._links = links
        self._next = FIRST_DIALLED

    def dial(self, handler: LinkHandler, host: str, port: int, tls: bool = False, source: str = "") -> int:
        """Connect to a server. Returns the link, whose handler's `opened` or `refused` is called later."""
        link = self._next
        self._next += 1
        self._links[link] = handler
        self._output.effects.append(Dial(link, host, port, tls, source))
        return link

    def send(self, link: int, data: bytes) -> None:
        """Send bytes on a link."""
        self._output.effects.append(_new(Send, (link, data)))

    def hang_up(self, link: int) -> None:
        """Close a link; pending output is dropped, and the handler receives no more input."""
        if self._links.pop(link, None) is not None:
            self._output.effects.append(Hangup(link))
