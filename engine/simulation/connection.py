"""The connections of the simulated network: paths between machines, and the two directions of a connection.

`engine.simulation.network` moves the bytes. This module has only what they are, without a world.
"""

from collections import deque
from typing import NamedTuple

LATENCY_US = 500
LOOPBACK_US = 20

RUNNING, PAUSED, DOWN = "up", "paused", "down"  # states of a process
UP, SILENT, LOST = "up", "silent", "lost"


class Path:
    """One direction of the path between two hosts."""

    def __init__(self) -> None:
        self.state = UP
        self.latency_us = LATENCY_US
        self.bytes_per_s = 0
        self.free_at_us = 0  # when all data sent before has left
        self.lane: deque[Reservation] = deque()  # of a path with limited bandwidth: what has not left yet, in order

    def arrival(self, now_us: int, size_bytes: int) -> int:
        """Return when bytes that are sent now arrive, and reserve the bandwidth for them."""
        leaves_us = max(now_us, self.free_at_us)
        if self.bytes_per_s:
            leaves_us += size_bytes * 1_000_000 // self.bytes_per_s
            self.free_at_us = leaves_us
        return leaves_us + self.latency_us


class Reservation(NamedTuple):
    """Bytes that wait for a path's bandwidth: when they have left, how long that takes, and when they arrive."""

    leaves_us: int
    took_us: int
    arrives_us: int
    direction: "Direction"


class Segment(NamedTuple):
    """Bytes in flight, or the end of the stream (`data` None); `sent` is the number of the event."""

    data: bytes | None
    sent: int

    @property
    def size_bytes(self) -> int:
        """The number of bytes."""
        return len(self.data) if self.data is not None else 0


class Direction:
    """The data from one end of a connection to the other."""

    def __init__(self, number: int, forward: bool, source: str, target: str, path: Path) -> None:
        self.number = number  # of the connection
        self.forward = forward  # whether it leads from the end that connected
        self.source = source
        self.target = target
        self.path = path
        self.flying: deque[Segment] = deque()  # scheduled to arrive, or held by a cut
        self.held = 0  # how many of `flying`, counted from the end, wait for the link to heal
        self.arrived: deque[Segment] = deque()  # in the inbox of a process that does not read
        self.unsent: deque[tuple[bytes, int]] = deque()  # with the number of the causing event
        self.unsent_bytes = 0
        self.in_flight_bytes = 0  # flying or in the inbox
        self.last_arrival_us = 0
        self.stale: list[int] = []  # times of arrivals that were moved, or given up
        self.ended = False  # the source closed the connection: no more data is added
        self.finished = False  # and the end has been sent


class SimulatedConnection:
    """A connection: its number, its ends, and each end's link number (0: that end is gone)."""

    def __init__(
        self, number: int, source: str, target: str, source_link: int, port: int, there: Path, back: Path
    ) -> None:
        self.number = number
        self.source = source
        self.target = target
        self.port = port  # the destination port
        self.local_port = 0  # the source port
        self.source_link = source_link
        self.target_link = 0
        self.tls: bool | None = None  # whether the connecting end uses TLS; None: whatever the listener expects
        self.asked = -1  # number of the event that requested it
        self.open = False  # the connecting end knows that it is established
        self.broken = False  # forgotten by the network: bytes are lost, and answered with a reset
        self.forward = Direction(number, True, source, target, there)
        self.backward = Direction(number, False, target, source, back)
        self.paused: dict[str, None] = {}  # ends that are not reading at present

    def direction(self, source: str) -> Direction:
        """Return the direction in which a host sends."""
        return self.forward if source == self.source else self.backward

    def other(self, host: str) -> str:
        """Return the host at the other end."""
        return self.target if host == self.source else self.source

    def link_of(self, host: str) -> int:
        """Return an end's link number; 0 if that end is gone."""
        return self.source_link if host == self.source else self.target_link

    def set_link(self, host: str, link: int) -> None:
        """Set an end's link number."""
        if host == self.source:
            self.source_link = link
        else:
            self.target_link = link


def local_port(number: int) -> int:
    """Return the source port of a connection."""
    return 32768 + number % 28000


class DialingMachine:
    """What a machine does that only opens connections: it accepts none, and always reads."""

    def reads(self, connection: SimulatedConnection) -> bool:
        """Always true."""
        return True

    def accepts(self, port: int, source: str) -> bool:
        """Always false."""
        return False

    def accept(self, connection: SimulatedConnection) -> int:
        """Never called."""
        raise AssertionError("this machine does not listen")

    def accepted(self, connection: SimulatedConnection) -> None:
        """Never called."""
