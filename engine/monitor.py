"""MONITOR: clients that see every command that is run, but what nobody may see.

https://redis.io/docs/latest/commands/monitor/
"""

from typing import TYPE_CHECKING

from engine import client as flags
from engine.quoting import quote
from engine.table import ADMIN, SKIP_MONITOR, Command

if TYPE_CHECKING:
    from engine.client import Client
    from engine.node import Node
    from engine.resp import Argv


class Monitors:
    """The clients of a node that look on."""

    def __init__(self, node: "Node") -> None:
        self.node = node
        self.clients: dict[int, Client] = {}

    def add(self, client: "Client") -> None:
        """Have a client look on."""
        self.clients[client.id] = client
        self.node.update_gated()

    def remove(self, client: "Client") -> None:
        """Show a client nothing more."""
        if self.clients.pop(client.id, None) is not None:
            self.node.update_gated()

    def feed(self, ctx: "Client", command: Command, argv: "Argv") -> None:
        """Show a command that was run."""
        if not command.flags & (ADMIN | SKIP_MONITOR):
            self.show(ctx, argv)

    def show(self, ctx: "Client", argv: "Argv", at_once: bool = False) -> None:
        """Show a command, whatever it is; who runs it himself sees it after the reply, or at once."""
        if not self.clients:
            return
        node = self.node
        if ctx.flags & flags.SCRIPT:
            source = "lua"
        elif ctx.kind == "unix":
            source = "unix:" + node.config.unixsocket
        else:
            source = ctx.peer
        text = b" ".join([quote(arg) for arg in node.shown(argv)])
        seconds, micros = divmod(node.now_us, 1_000_000)
        line = b"+%d.%06d [%d %b] %b\r\n" % (seconds, micros, ctx.db.index, source.encode(), text)
        for client in self.clients.values():
            if client is ctx and not at_once:
                client.push_after.append(line)
                node.aftermath = True
            else:
                client.write(line)
