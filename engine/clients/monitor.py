"""MONITOR: clients that receive every executed command, except commands that are hidden from all of them.

https://redis.io/docs/latest/commands/monitor/
"""

from engine.clients import client as flags
from engine.clients.client import Client
from engine.clients.conditions import Conditions
from engine.clients.execution import Execution
from engine.config import Config
from engine.protocol.quoting import quote
from engine.protocol.resp import Argv
from engine.table.declarations import ADMIN, SKIP_MONITOR, Command
from engine.timers import Clock


class Monitors:
    """The clients of a node in MONITOR mode."""

    def __init__(self, config: Config, clock: Clock, execution: Execution, conditions: Conditions) -> None:
        self.config = config
        self.clock = clock
        self.execution = execution
        self.conditions = conditions
        self.clients: dict[int, Client] = {}

    def add(self, client: Client) -> None:
        """Send every command to a client from now on."""
        self.clients[client.id] = client
        self._changed()

    def remove(self, client: Client) -> None:
        """Stop sending commands to a client."""
        if self.clients.pop(client.id, None) is not None:
            self._changed()

    def _changed(self) -> None:
        self.conditions.monitored = bool(self.clients)
        self.conditions.update()

    def feed(self, ctx: Client, command: Command, argv: Argv) -> None:
        """Send an executed command to the monitors."""
        if not command.flags & (ADMIN | SKIP_MONITOR):
            self.show(ctx, argv)

    def show(self, ctx: Client, argv: Argv, at_once: bool = False) -> None:
        """Send any command. The client that ran it receives the line after the reply, or immediately (`at_once`)."""
        if not self.clients:
            return
        if ctx.flags & flags.SCRIPT:
            source = "lua"
        elif ctx.kind == "unix":
            source = "unix:" + self.config.unixsocket
        else:
            source = ctx.peer
        text = b" ".join([quote(arg) for arg in self.execution.shown(argv)])
        seconds, micros = divmod(self.clock.now_us, 1_000_000)
        line = b"+%d.%06d [%d %b] %b\r\n" % (seconds, micros, ctx.db.index, source.encode(), text)
        for client in self.clients.values():
            if client.flags & (flags.REPLY_OFF | flags.REPLY_SKIP):
                continue  # MONITOR sends its lines as replies, not as pushes
            if client is ctx and not at_once:
                client.push_after.append(line)
                self.execution.post_execution = True
            else:
                client.write(line)
