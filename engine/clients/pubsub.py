"""Pub/sub: channels, patterns and their subscribers.

There are three namespaces: channels, patterns of channels, and shard channels. Each maps a name to the IDs of its
subscribers in the order of subscription; every client also stores its own subscriptions, so neither counting nor
unsubscribing needs a search. A message is encoded once per protocol version, regardless of the number of receivers.

https://redis.io/docs/latest/develop/interact/pubsub/
"""

from engine.clients import client as flags
from engine.clients.client import Client
from engine.protocol.glob import glob_match
from engine.protocol.resp import Push, encode2, encode3

Subscribers = dict[int, None]


class PubSub:
    """The subscriptions of a node."""

    def __init__(self, clients: dict[int, Client]) -> None:
        self.clients = clients
        self.channels: dict[bytes, Subscribers] = {}
        self.patterns: dict[bytes, Subscribers] = {}
        self.shard_channels: dict[bytes, Subscribers] = {}

    def publish(self, channel: bytes, message: bytes) -> int:
        """Send a message to the subscribers of a channel and of matching patterns. Returns their number."""
        reached = 0
        subscribers = self.channels.get(channel)
        if subscribers:
            reached += self._deliver(subscribers, Push((b"message", channel, message)))
        for pattern, subscribers in self.patterns.items():
            if glob_match(pattern, channel):
                reached += self._deliver(subscribers, Push((b"pmessage", pattern, channel, message)))
        return reached

    def publish_shard(self, channel: bytes, message: bytes) -> int:
        """Send a message to the subscribers of a shard channel. Returns the number of receivers."""
        subscribers = self.shard_channels.get(channel)
        return self._deliver(subscribers, Push((b"smessage", channel, message))) if subscribers else 0

    def _deliver(self, subscribers: Subscribers, message: Push) -> int:
        encoded: dict[int, bytes] = {}
        clients = self.clients
        for client_id in subscribers:
            client = clients[client_id]
            data = encoded.get(client.resp)
            if data is None:
                data = encoded[client.resp] = encode3(message) if client.resp == 3 else encode2(message)
            client.push_encoded(data)
        return len(subscribers)

    # --- subscribing --------------------------------------------------------------------------------------------

    def subscribe(self, client: Client, channel: bytes) -> None:
        """Subscribe to a channel and confirm it."""
        _join(self.channels, client.channels, client.id, channel)
        self._confirm(client, b"subscribe", channel, count(client))

    def psubscribe(self, client: Client, pattern: bytes) -> None:
        """Subscribe to a pattern and confirm it."""
        _join(self.patterns, client.patterns, client.id, pattern)
        self._confirm(client, b"psubscribe", pattern, count(client))

    def ssubscribe(self, client: Client, channel: bytes) -> None:
        """Subscribe to a shard channel and confirm it."""
        _join(self.shard_channels, client.shard_channels, client.id, channel)
        self._confirm(client, b"ssubscribe", channel, len(client.shard_channels))

    def unsubscribe(self, client: Client, names: list[bytes] | None) -> None:
        """Unsubscribe from channels (None: all of them) and confirm each."""
        for name in self._leaving(client, names, client.channels, b"unsubscribe", None):
            _leave(self.channels, client.channels, client.id, name)
            self._confirm(client, b"unsubscribe", name, count(client))

    def punsubscribe(self, client: Client, names: list[bytes] | None) -> None:
        """Unsubscribe from patterns (None: all of them) and confirm each."""
        for name in self._leaving(client, names, client.patterns, b"punsubscribe", None):
            _leave(self.patterns, client.patterns, client.id, name)
            self._confirm(client, b"punsubscribe", name, count(client))

    def sunsubscribe(self, client: Client, names: list[bytes] | None) -> None:
        """Unsubscribe from shard channels (None: all of them) and confirm each."""
        for name in self._leaving(client, names, client.shard_channels, b"sunsubscribe", 0):
            _leave(self.shard_channels, client.shard_channels, client.id, name)
            self._confirm(client, b"sunsubscribe", name, len(client.shard_channels))

    def _leaving(
        self,
        client: Client,
        names: list[bytes] | None,
        own: dict[bytes, None],
        event: bytes,
        left: int | None,
    ) -> list[bytes]:
        if names is not None:
            return names
        if not own:
            client.push(Push((event, None, count(client) if left is None else left)))
            self._flag(client)
        return list(own)

    def _confirm(self, client: Client, event: bytes, name: bytes, left: int) -> None:
        client.push(Push((event, name, left)))
        self._flag(client)

    @staticmethod
    def _flag(client: Client) -> None:
        if client.channels or client.patterns or client.shard_channels:
            client.flags |= flags.PUBSUB
        else:
            client.flags &= ~flags.PUBSUB
        client.update_checks()

    def forget(self, client: Client) -> None:
        """Drop a client's subscriptions without confirmation (disconnect or RESET)."""
        for registry, own in (
            (self.channels, client.channels),
            (self.patterns, client.patterns),
            (self.shard_channels, client.shard_channels),
        ):
            for name in list(own):
                _leave(registry, own, client.id, name)
        client.flags &= ~flags.PUBSUB


def count(client: Client) -> int:
    """Return the number of channels and patterns that a client is subscribed to."""
    return len(client.channels) + len(client.patterns)


def _join(registry: dict[bytes, Subscribers], own: dict[bytes, None], client_id: int, name: bytes) -> None:
    own[name] = None
    registry.setdefault(name, {})[client_id] = None


def _leave(registry: dict[bytes, Subscribers], own: dict[bytes, None], client_id: int, name: bytes) -> None:
    if name in own:
        del own[name]
        subscribers = registry[name]
        del subscribers[client_id]
        if not subscribers:
            del registry[name]
