"""What lies beyond the simulated network, as one machine of it: the way to and from real connections.

Its address is 127.0.0.1, which in a world with an outside means the machine that the world runs on: a simulated node
that dials 127.0.0.1 reaches a real port there, or another simulated node if that port stands for it. Bytes from
beyond are sent from here, what arrives here goes out through a `Door`, which is not the engine's: it has the sockets.

A world with an outside is not repeatable, as what comes from there is not known beforehand.
"""

from typing import TYPE_CHECKING, Any, Protocol

from engine.simulation.network import LOOPBACK_US, RUNNING, Connection

if TYPE_CHECKING:
    from engine.simulation.world import World

NAME = "outside"
IP = "127.0.0.1"
WAITING_BYTES_MAX = 1 << 20  # what may wait of one connection before its sender has to


class Door(Protocol):
    """Who has the real connections; `link` is what both call one."""

    def dial(self, port: int) -> int:
        """Connect to a real port; returns the link, 0 when nobody listens there."""

    def pass_out(self, link: int, data: bytes) -> None:
        """Send bytes on a real connection."""

    def takes(self, link: int) -> bool:
        """Tell whether a real connection takes more now."""

    def hold(self, link: int, held: bool) -> None:
        """Read no more from a real connection, or again: what came has not left yet."""

    def hang_up(self, link: int) -> None:
        """End a real connection, once everything is sent."""


class Outside:
    """The machine that stands for everything beyond."""

    name = NAME
    ip = IP
    powered = True
    state = RUNNING
    node = None

    def __init__(self, world: "World", door: Door) -> None:
        self.world = world
        self.door = door
        self.ports: dict[int, str] = {}  # real ports that stand for simulated nodes
        self.connections: dict[int, Connection] = {}  # by link
        self.early: dict[int, bytearray] = {}  # what came before the node had taken the connection
        self.ended: dict[int, None] = {}  # and those that have ended before
        self.awaits: list[tuple[Any, ...]] = []  # as every machine; it is never stopped
        self.dialled = 0
        world.outside = self
        world.machines[NAME] = self

    def find(self, port: int) -> tuple[str, int]:
        """Return the address that a port of 127.0.0.1 stands for."""
        name = self.ports.get(port)
        return (IP, port) if name is None else (self.world.hosts[name].ip, self.world.hosts[name].port)

    # --- from beyond --------------------------------------------------------------------------------------------

    def connect(self, link: int, host: str, local_port: int) -> None:
        """A real connection has come for a node."""
        target = self.world.hosts[host]
        for way in ((NAME, host), (host, NAME)):
            self.world.network.lane(*way).latency_us = LOOPBACK_US
        self.world.cause = -1
        connection = self.world.network.connect(NAME, link, target.ip, target.port)
        connection.local_port = local_port
        self.connections[link] = connection
        self.early[link] = bytearray()

    def send(self, link: int, data: bytes) -> None:
        """Bytes have come on a real connection."""
        if link in self.early:
            self.early[link] += data
        elif link in self.connections:
            self.world.cause = -1
            self.world.network.send(self.connections[link], NAME, data)

    def end(self, link: int) -> None:
        """A real connection has ended."""
        if link in self.early:
            self.ended[link] = None
        elif link in self.connections:
            self.world.cause = -1
            self.world.network.hang_up(self.connections.pop(link), NAME)

    def read_on(self, link: int) -> None:
        """A real connection takes more again."""
        connection = self.connections.get(link)
        if connection is not None:
            self.world.network.read(connection, connection.direction(connection.other(NAME)))

    # --- as a machine of the network ----------------------------------------------------------------------------

    def reads(self, connection: Connection) -> bool:
        """Tell whether what arrives can go out."""
        return self.door.takes(connection.link_of(NAME))

    def read(self, connection: Connection, data: bytes) -> None:
        """Pass bytes out."""
        self.door.pass_out(connection.link_of(NAME), data)

    def accepts(self, port: int) -> bool:
        """Tell whether somebody listens at a real port, by connecting to it."""
        self.dialled = self.door.dial(port)
        return bool(self.dialled)

    def accept(self, connection: Connection) -> int:
        """Take the connection for which `accepts` has just made a real one."""
        self.connections[self.dialled] = connection
        return self.dialled

    def accepted(self, connection: Connection) -> None:
        """Nothing more is to be done."""

    def opened(self, connection: Connection) -> None:
        """The node has taken the connection: what came before goes on."""
        link = connection.link_of(NAME)
        early = self.early.pop(link, None)
        if early:
            self.world.network.send(connection, NAME, bytes(early))
        if self.ended.pop(link, 0) is None:
            self.end(link)

    def refused(self, link: int, reason: str) -> None:
        """The node could not be reached."""
        self._gone(link)

    def closed(self, connection: Connection, link: int) -> None:
        """The node has hung up, or its connection was cut."""
        self._gone(link)

    def _gone(self, link: int) -> None:
        self.early.pop(link, None)
        self.ended.pop(link, None)
        if self.connections.pop(link, None) is not None:
            self.door.hang_up(link)

    def unsent(self, connection: Connection, size_bytes: int) -> None:
        """So much has not left for the node."""
        link = connection.link_of(NAME)
        if link:
            self.door.hold(link, size_bytes > WAITING_BYTES_MAX)
