"""Channels, patterns and who listens to them.

https://redis.io/docs/latest/develop/interact/pubsub/
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.client import Client
    from engine.node import Node


class PubSub:
    """The subscriptions of a node."""

    def __init__(self, node: "Node") -> None:
        self.node = node

    def publish(self, channel: bytes, message: bytes) -> int:
        """Send a message to a channel's subscribers; returns how many there were."""
        return 0

    def forget(self, client: "Client") -> None:
        """Drop a client's subscriptions."""
