"""The gateway between the simulated network and real connections; a machine on the simulated network.

Its address is 127.0.0.1, which in a world with a gateway means the machine that runs the simulation: a simulated node
that connects to 127.0.0.1 reaches a real port there, or another simulated node if the port represents one. Bytes from
real connections enter the network here; bytes for them are passed to `Sockets`, which are outside the engine.

Connections through a gateway do not use TLS: a port that expects it closes them.

A world with a gateway is not reproducible, because its input is unknown in advance.
"""

from typing import TYPE_CHECKING, Any, Protocol

from engine.simulation.connection import LOOPBACK_US, RUNNING, SimulatedConnection

if TYPE_CHECKING:
    from engine.simulation.world import World

NAME = "outside"
IP = "127.0.0.1"
WAITING_BYTES_MAX = 1 << 20  # pending bytes of a connection above which its sender must wait


class Sockets(Protocol):
    """The owner of the real connections; `link` identifies a connection on both sides."""

    def dial(self, port: int) -> int:
        """Connect to a real port. Returns the link, 0 if the connection is refused."""

    def pass_out(self, link: int, data: bytes) -> None:
        """Send bytes on a real connection."""

    def takes(self, link: int) -> bool:
        """Return whether a real connection accepts more bytes now."""

    def hold(self, link: int, held: bool) -> None:
        """Stop or resume reading from a real connection while its data cannot be sent."""

    def hang_up(self, link: int) -> None:
        """Close a real connection after sending everything."""


class Gateway:
    """The machine that represents the outside world."""

    name = NAME
    ip = IP
    powered = True
    state = RUNNING
    node = None

    def __init__(self, world: "World", sockets: Sockets) -> None:
        self.world = world
        self.sockets = sockets
        self.ports: dict[int, str] = {}  # real ports that represent simulated nodes
        self.connections: dict[int, SimulatedConnection] = {}  # by link
        self.early: dict[int, bytearray] = {}  # received before the node accepted the connection
        self.ended: dict[int, None] = {}  # connections that ended before that
        self.awaits: list[tuple[Any, ...]] = []  # present on every machine; this one is never stopped
        self.dialled = 0
        world.gateway = self
        world.machines[NAME] = self

    def find(self, port: int) -> tuple[str, int]:
        """Return the address that a port of 127.0.0.1 represents."""
        name = self.ports.get(port)
        return (IP, port) if name is None else (self.world.hosts[name].ip, self.world.hosts[name].port)

    # --- from the outside ---------------------------------------------------------------------------------------

    def connect(self, link: int, host: str, local_port: int) -> None:
        """Connect a real connection to a node."""
        target = self.world.hosts[host]
        for way in ((NAME, host), (host, NAME)):
            self.world.network.path(*way).latency_us = LOOPBACK_US
        self.world.cause = -1
        connection = self.world.network.connect(NAME, link, target.ip, target.port)
        connection.local_port = local_port
        self.connections[link] = connection
        self.early[link] = bytearray()

    def send(self, link: int, data: bytes) -> None:
        """Send bytes received on a real connection."""
        if link in self.early:
            self.early[link] += data
        elif link in self.connections:
            self.world.cause = -1
            self.world.network.send(self.connections[link], NAME, data)

    def end(self, link: int) -> None:
        """Handle the end of a real connection."""
        if link in self.early:
            self.ended[link] = None
        elif link in self.connections:
            self.world.cause = -1
            self.world.network.hang_up(self.connections.pop(link), NAME)

    def read_on(self, link: int) -> None:
        """Resume after a real connection accepts more bytes again."""
        connection = self.connections.get(link)
        if connection is not None:
            self.world.network.read(connection, connection.direction(connection.other(NAME)))

    # --- as a machine of the network ----------------------------------------------------------------------------

    def reads(self, connection: SimulatedConnection) -> bool:
        """Return whether incoming bytes can be passed out."""
        return self.sockets.takes(connection.link_of(NAME))

    def read(self, connection: SimulatedConnection, data: bytes) -> None:
        """Pass bytes out."""
        self.sockets.pass_out(connection.link_of(NAME), data)

    def accepts(self, port: int, source: str) -> bool:
        """Return whether a real port accepts connections, by connecting to it."""
        self.dialled = self.sockets.dial(port)
        return bool(self.dialled)

    def accept(self, connection: SimulatedConnection) -> int:
        """Accept the connection for which `accepts` has just created a real one."""
        self.connections[self.dialled] = connection
        return self.dialled

    def accepted(self, connection: SimulatedConnection) -> None:
        """Nothing to do."""

    def opened(self, connection: SimulatedConnection) -> None:
        """The node accepted the connection: send the bytes received so far."""
        link = connection.link_of(NAME)
        early = self.early.pop(link, None)
        if early:
            self.world.network.send(connection, NAME, bytes(early))
        if self.ended.pop(link, 0) is None:
            self.end(link)

    def refused(self, link: int, reason: str) -> None:
        """The node could not be reached."""
        self._gone(link)

    def closed(self, connection: SimulatedConnection, link: int) -> None:
        """The node closed the connection, or the connection was cut."""
        self._gone(link)

    def _gone(self, link: int) -> None:
        self.early.pop(link, None)
        self.ended.pop(link, None)
        if self.connections.pop(link, None) is not None:
            self.sockets.hang_up(link)

    def sent(self, connection: SimulatedConnection) -> None:
        """Bytes were sent to the node at once."""
        self.unsent(connection, 0)

    def unsent(self, connection: SimulatedConnection, size_bytes: int) -> None:
        """Record the number of bytes not yet sent to the node."""
        link = connection.link_of(NAME)
        if link:
            self.sockets.hold(link, size_bytes > WAITING_BYTES_MAX)
