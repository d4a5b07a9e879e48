"""A client of the simulated world: a separate host on the network, with one connection and no process.

It sends the bytes that it is given and reads everything; `Delivered` events contain the replies.
"""

from typing import TYPE_CHECKING, Any

from engine.simulation.connection import RUNNING, DialingMachine, SimulatedConnection

if TYPE_CHECKING:
    from engine.simulation.world import World


class ClientHost(DialingMachine):
    """A client and its connection."""

    def __init__(self, world: "World", name: str, ip: str) -> None:
        self.world = world
        self.name = name
        self.ip = ip
        self.powered = True
        self.state = RUNNING
        self.connection = 0  # its number; 0: closed or not yet open
        self.host = ""
        self.is_open = False
        self.waiting: list[bytes] = []  # sent before the connection was established
        self.awaits: list[tuple[Any, ...]] = []
        self.received_bytes = 0

    def opened(self, connection: SimulatedConnection) -> None:
        """The connection is established: send the waiting bytes."""
        self.is_open = True
        waiting, self.waiting = self.waiting, []
        for data in waiting:
            self.world.network.send(connection, self.name, data)

    def send(self, data: bytes) -> None:
        """Send bytes as soon as the connection is established."""
        if self.is_open:
            self.world.network.send(self.world.network.connections[self.connection], self.name, data)
        else:
            self.waiting.append(data)

    def refused(self, link: int, reason: str) -> None:
        """The connection failed."""
        self._lost()

    def read(self, connection: SimulatedConnection, data: bytes) -> None:
        """Bytes arrived."""
        self.received_bytes += len(data)

    def closed(self, connection: SimulatedConnection, link: int) -> None:
        """The connection has ended."""
        self._lost()

    def _lost(self) -> None:
        self.connection = 0
        self.is_open = False
        self.waiting.clear()

    def sent(self, connection: SimulatedConnection) -> None:
        """Ignored, like `unsent`."""

    def unsent(self, connection: SimulatedConnection, size_bytes: int) -> None:
        """Ignored: a client does not limit its pending output."""
