"""What must hold in every simulated cluster: the engine's own invariants, and what clients were told.

`Promises` knows what clients were told.
"""

import hiredis

from engine.simulation.invariants import BrokenError, Streams, Wires
from engine.simulation.trace import Dropped, Sent


class Promises:
    """What clients asked, what they were told, and when."""

    def __init__(self):
        self.readers = {}
        self.asked = {}  # client -> [what (None: nothing to remember), …] without an answer yet
        self.told = {}  # what -> when the answer was sent (µs)
        self.sent = {}  # what -> when it was asked
        self.answers = 0

    def ask(self, client, what, now_us):
        """A client sends a command; `what` names the promise that its answer makes."""
        self.asked.setdefault(client, []).append(what)
        if what is not None:
            self.sent[what] = now_us

    def opened(self, client):
        """A client has a new connection: nothing is owed."""
        self.readers[client] = hiredis.Reader()
        self.asked[client] = []

    def __call__(self, event):
        """Take note of an event: an answer that left its server is a promise."""
        if type(event) is Sent and event.target in self.readers:
            reader = self.readers[event.target]
            reader.feed(event.data)
            waiting = self.asked[event.target]
            while True:
                reply = reader.gets()
                if reply is False or not waiting:
                    return
                what = waiting.pop(0)
                self.answers += 1
                if what is not None and not isinstance(reply, hiredis.ReplyError):
                    self.told[what] = event.at_us


__all__ = ["BrokenError", "Dropped", "Promises", "Streams", "Wires"]
