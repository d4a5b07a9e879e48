"""Sending replies: what was queued for a client in a round of inputs becomes one `Send`."""

from engine.clients import client as flags
from engine.clients.client import Outbox
from engine.clients.connections import Connections
from engine.clients.limits import ClientLimits
from engine.core import Core
from engine.effects import Send

_new = tuple.__new__  # creates a named tuple in half the time; used for each client and round


class ReplySender:
    """Sends what is in the outbox. Not a method of `Node`, whose many attributes make calls of its methods slow."""

    def __init__(self, core: Core, outbox: Outbox, limits: ClientLimits, connections: Connections) -> None:
        self.output = core.output
        self.stats = core.stats
        self.outbox = outbox
        self.limits = limits
        self.connections = connections

    def send(self) -> None:
        """Send all replies of the round, and close the connections that end with them."""
        outbox, limits, stats = self.outbox, self.limits, self.stats
        if not outbox.clients:
            return
        effects = self.output.effects
        least, sent = limits.least, 0
        for client in outbox.clients:
            out = client.out
            if out:
                data = out[0] if len(out) == 1 else b"".join(out)
                size = len(data)
                if size > client.reply_peak:
                    client.reply_peak = min(size, client.reply_buffer)
                if (client.out_bytes or size >= least) and not limits.enforce_output_limit(
                    client, client.out_bytes + size
                ):
                    continue
                client.out = []
                if client.link:
                    effects.append(_new(Send, (client.link, data)))
                    stats.writes_processed += 1
                    if client.flags & flags.REPLICA:
                        stats.net_repl_output_bytes += size
                    else:
                        sent += size
            if client.flags & flags.CLOSE_AFTER_REPLY:
                self.connections.hang_up(client, flush=not client.flags & flags.REPLICA)
        stats.net_output_bytes += sent
        outbox.clients = []
        outbox.replied_bytes = 0

    def drop(self) -> None:
        """Drop all replies of the round."""
        self.outbox.clients = []
        self.outbox.replied_bytes = 0
