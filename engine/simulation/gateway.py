"""The gateway between the simulated network and real connections; a machine on the simulated network.

Its address is 127.0.0.1, which in a world with a gateway means the machine that runs the simulation: a simulated node
that connects to 127.0.0.1 reaches a real port there, or another simulated node if the port represents one. What the
outside does enters the network as actions (`actions.OutsideOpens` and those after it), so that a history with a
gateway repeats itself without the outside. What is sent to the outside is passed to `Sockets`, which are not part of
the world: where there are none, it ends here.

A node that connects to a real port waits until the outside has answered (`actions.OutsideAnswers`).

Connections through a gateway do not use TLS: a port that expects it closes them.
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

    def dial(self, connection: int, port: int) -> None:
        """Connect to a real port, for a connection of the network: `actions.OutsideAnswers` says what came of it."""

    def pass_out(self, link: int, data: bytes) -> None:
        """Send bytes on a real connection."""

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

    def __init__(self, world: "World") -> None:
        self.world = world
        self.sockets: Sockets | None = None
        self.is_open = False  # connections with the outside are possible
        self.ports: dict[int, str] = {}  # real ports that represent simulated nodes
        self.connections: dict[int, SimulatedConnection] = {}  # by link
        self.early: dict[int, bytearray] = {}  # received before the node accepted the connection
        self.ended: dict[int, None] = {}  # connections that ended before that
        self.asking: dict[int, None] = {}  # connections of nodes that the outside has not answered yet
        self.full: dict[int, None] = {}  # links from which the outside does not read
        self.awaits: list[tuple[Any, ...]] = []  # present on every machine; this one is never stopped

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"sockets": None}

    def find(self, port: int) -> tuple[str, int]:
        """Return the address that a port of 127.0.0.1 represents."""
        name = self.ports.get(port)
        return (
            (IP, port) if name not in self.world.hosts else (self.world.hosts[name].ip, self.world.hosts[name].port)
        )

    # --- from the outside ---------------------------------------------------------------------------------------

    def connect(self, link: int, host: str, local_port: int) -> None:
        """Connect a real connection to a node."""
        target = self.world.hosts[host]
        for way in ((NAME, host), (host, NAME)):
            self.world.network.path(*way).latency_us = LOOPBACK_US
        connection = self.world.network.connect(NAME, link, target.ip, target.port)
        connection.local_port = local_port
        self.connections[link] = connection
        self.early[link] = bytearray()

    def send(self, link: int, data: bytes) -> None:
        """Send bytes received on a real connection."""
        if link in self.early:
            self.early[link] += data
        elif link in self.connections:
            self.world.network.send(self.connections[link], NAME, data)

    def end(self, link: int) -> None:
        """Handle the end of a real connection."""
        if link in self.early:
            self.ended[link] = None
        elif link in self.connections:
            self.full.pop(link, None)
            self.world.network.hang_up(self.connections.pop(link), NAME)

    def answer(self, number: int, link: int) -> None:
        """Answer a connection that a node has requested: accept it as `link`, or refuse it (0)."""
        self.asking.pop(number, None)
        connection = self.world.network.decided(number, link)
        if connection is not None:
            self.connections[link] = connection
        elif link and self.sockets is not None:
            self.sockets.hang_up(link)  # the node does not wait any longer

    def set_reading(self, link: int, reads: bool) -> None:
        """Read from a connection, or do not."""
        if not reads:
            self.full[link] = None
            return
        self.full.pop(link, None)
        connection = self.connections.get(link)
        if connection is not None:
            self.world.network.read(connection, connection.direction(connection.other(NAME)))

    def leave(self) -> None:
        """Close all connections, and accept none from now on."""
        self.is_open = False
        for number in list(self.asking):
            self.answer(number, 0)
        for link in list(self.connections):
            self.early.pop(link, None)
            self.end(link)
            if self.sockets is not None:
                self.sockets.hang_up(link)
        self.ended.clear()

    # --- as a machine of the network ----------------------------------------------------------------------------

    def asked(self, connection: SimulatedConnection) -> bool:
        """A node wants to connect: ask the outside. Returns whether it is going to answer."""
        if self.is_open and connection.number not in self.asking:
            self.asking[connection.number] = None
            if self.sockets is not None:
                self.sockets.dial(connection.number, connection.port)
        return self.is_open

    def reads(self, connection: SimulatedConnection) -> bool:
        """Return whether incoming bytes can be passed out."""
        return connection.link_of(NAME) not in self.full

    def read(self, connection: SimulatedConnection, data: bytes) -> None:
        """Pass bytes out."""
        if self.sockets is not None:
            self.sockets.pass_out(connection.link_of(NAME), data)

    def accepts(self, port: int, source: str) -> bool:
        """Always false: see `asked`."""
        return False

    def accept(self, connection: SimulatedConnection) -> int:
        """Never called: see `asked`."""
        raise AssertionError("the outside accepts nothing by itself")

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
        self.full.pop(link, None)
        if self.connections.pop(link, None) is not None and self.sockets is not None:
            self.sockets.hang_up(link)

    def sent(self, connection: SimulatedConnection) -> None:
        """Bytes were sent to the node at once."""
        self.unsent(connection, 0)

    def unsent(self, connection: SimulatedConnection, size_bytes: int) -> None:
        """Record the number of bytes not yet sent to the node."""
        link = connection.link_of(NAME)
        if link and self.sockets is not None:
            self.sockets.hold(link, size_bytes > WAITING_BYTES_MAX)
