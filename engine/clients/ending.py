"""The shutdown of a node: pending output is still sent, and no more input is accepted.

Changes that clients or replicas were told of after the final snapshot would be missing in it.
"""

from engine.clients.blocking import Waiting
from engine.clients.client import Client
from engine.effects import Exit
from engine.links import LinkHandler


class Ending:
    """Whether and how a node exits at the end of this round."""

    def __init__(self, clients: dict[int, Client], links: dict[int, LinkHandler], waiting: Waiting) -> None:
        self.clients = clients
        self.links = links
        self.waiting = waiting
        self.exiting = False
        self.failed = False  # the replies of the last round are not sent
        self.last: Exit | None = None  # the effect to run after all pending output

    def end(self, last: Exit) -> None:
        """Exit at the end of this round."""
        self.exiting = True
        self.last = last
        for client in self.clients.values():
            client.halted = True
            client.requests.clear()
        self.links.clear()
        self.waiting.resumable.clear()
        self.waiting.acks_due = self.waiting.ask_for_acks = False

    def fail(self, last: Exit) -> None:
        """Exit without sending any output of this round."""
        self.end(last)
        self.failed = True
