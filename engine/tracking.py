"""Server-assisted client-side caching: who is told when a key it may have cached changes.

https://redis.io/docs/latest/develop/reference/client-side-caching/
"""

from typing import TYPE_CHECKING

from engine import client as flags

if TYPE_CHECKING:
    from engine.client import Client
    from engine.node import Node


class Tracking:
    """Which clients track which keys."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.active = False
        self.total_keys = 0
        self.total_items = 0
        self.total_prefixes = 0

    def redirection(self, client: "Client") -> int:
        """Return the id of the client that gets this one's invalidations: 0 itself, -1 when it does not track."""
        return -1

    def disable(self, client: "Client") -> None:
        """Stop tracking for a client."""
        client.flags &= ~flags.TRACKING

    def flushed(self) -> None:
        """Tell every tracking client that whole databases changed."""
