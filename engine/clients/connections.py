"""Closing connections: removing the state of a client, and closing its link."""

from collections.abc import Callable
from typing import Final, Protocol

from engine.clients import client as flags
from engine.clients.blocking import Waiting
from engine.clients.client import Client, Outbox
from engine.core import Core
from engine.effects import Hangup
from engine.links import LinkHandler
from engine.observe.events import ClientClosed

FIRST_CLIENT_ID: Final = 3  # Redis itself uses two, for the clients that run the commands of scripts and functions


class MasterLink(Protocol):
    """The link to the master, which reconnects when it is lost."""

    @property
    def client(self) -> Client | None:
        """The client that represents the master; None while there is none."""

    def lost(self, reason: str) -> None:
        """Handle the loss of the link."""


class Connections:
    """The clients of a node, by ID and by link."""

    master_link: MasterLink

    def __init__(
        self, core: Core, clients: dict[int, Client], links: dict[int, LinkHandler], outbox: Outbox, waiting: Waiting
    ) -> None:
        self.clients = clients
        self.links = links
        self.clock = core.clock
        self.output = core.output
        self.outbox = outbox
        self.waiting = waiting
        self.events = core.events
        self.next_id = FIRST_CLIENT_ID
        self.forgetting: tuple[Callable[[Client], None], ...] = ()  # called in this order when a client is removed

    def take_id(self) -> int:
        """Return the ID for the next client. IDs are never reused."""
        client_id = self.next_id
        self.next_id += 1
        return client_id

    def close_now(self, client: Client) -> None:
        """Disconnect without sending queued output (CLIENT KILL, output limits)."""
        outbox = self.outbox
        outbox.replied_bytes = max(0, outbox.replied_bytes - sum(map(len, client.out)))
        client.out = []
        self.hang_up(client)

    def hang_up(self, client: Client, flush: bool = False) -> None:
        """Remove a client and close its link; with `flush`, after all its output has been sent."""
        if client is self.master_link.client:
            self.master_link.lost("")  # it must reconnect as well
            return
        link = client.link
        self.free(client)
        if link:
            self.output.effects.append(Hangup(link, flush))

    def free(self, client: Client) -> None:
        """Remove a client's state: subscriptions, watched keys, waits."""
        if client.blocking is not None:
            self.waiting.unblock(client)
        self.waiting.resumable.pop(client.id, None)
        for forget in self.forgetting:
            forget(client)
        if self.events.observers and client.id in self.clients and not client.flags & flags.MASTER:
            self.events.emit(ClientClosed(self.clock.now_us, client.id))
        self.clients.pop(client.id, None)
        self.links.pop(client.link, None)
        self.outbox.output_pending_bytes -= client.out_bytes
        self.outbox.unread_bytes -= client.unread_bytes
        client.unread_bytes = 0
        client.halted = True
        client.link = 0
