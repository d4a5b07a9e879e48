"""A client of the simulated world: a host of its own on the network, with one connection and no program.

It sends what it is told to and reads what comes; whoever wants the replies takes them from the `Delivered`
happenings.
"""

from typing import TYPE_CHECKING, Any

from engine.simulation.network import RUNNING, Connection

if TYPE_CHECKING:
    from engine.simulation.world import World


class ClientHost:
    """A client and its connection."""

    def __init__(self, world: "World", name: str, ip: str) -> None:
        self.world = world
        self.name = name
        self.ip = ip
        self.powered = True
        self.state = RUNNING
        self.connection = 0  # its number; 0: closed, or not open
        self.host = ""
        self.is_open = False
        self.waiting: list[bytes] = []  # sent before the connection stood
        self.awaits: list[tuple[Any, ...]] = []
        self.received_bytes = 0

    def reads(self, connection: Connection) -> bool:
        """It always reads."""
        return True

    def accepts(self, port: int) -> bool:
        """Nobody can connect to it."""
        return False

    def accept(self, connection: Connection) -> int:
        """Nobody can connect to it."""
        raise AssertionError("a client does not listen")

    def accepted(self, connection: Connection) -> None:
        """Nobody can connect to it."""

    def opened(self, connection: Connection) -> None:
        """The connection stands: what was to be sent goes."""
        self.is_open = True
        waiting, self.waiting = self.waiting, []
        for data in waiting:
            self.world.network.send(connection, self.name, data)

    def send(self, data: bytes) -> None:
        """Send bytes, once the connection stands."""
        if self.is_open:
            self.world.network.send(self.world.network.connections[self.connection], self.name, data)
        else:
            self.waiting.append(data)

    def refused(self, link: int, reason: str) -> None:
        """There is no connection."""
        self._lost()

    def read(self, connection: Connection, data: bytes) -> None:
        """Bytes came."""
        self.received_bytes += len(data)

    def closed(self, connection: Connection, link: int) -> None:
        """The connection has ended."""
        self._lost()

    def _lost(self) -> None:
        self.connection = 0
        self.is_open = False
        self.waiting.clear()

    def unsent(self, connection: Connection, size_bytes: int) -> None:
        """It does not care how much has not left."""
