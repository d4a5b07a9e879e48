"""The simulated network: paths between hosts, and the connections on them.

A path has, for each direction, a latency, a bandwidth that all its connections share, and a state: "up", "silent"
(bytes wait until it heals) or "lost" (they vanish). A connection has two ends and two directions; bytes of a
direction arrive in the order in which they were sent, and no more than `WINDOW_BYTES` are on their way at once: the
rest waits with the sender, whose node is told, as with a full socket.

What a process that is stopped, busy or not reading is sent waits at its door and still counts to the window.
"""

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from engine.simulation.happenings import Delivered, Dialled, Dropped, Hungup, Opened, Refused, Sent

if TYPE_CHECKING:
    from engine.simulation.world import World

WINDOW_BYTES = 256 * 1024
SEGMENT_BYTES = 64 * 1024
CONNECT_TIMEOUT_US = 127_000_000  # six more SYNs, as Linux
NO_ROUTE_US = 3_000_000  # three ARP requests
LATENCY_US = 500
LOOPBACK_US = 20

RUNNING, PAUSED, DOWN = "up", "paused", "down"  # states of a process
UP, SILENT, LOST = "up", "silent", "lost"


class Lane:
    """One direction of the path between two hosts."""

    def __init__(self) -> None:
        self.state = UP
        self.latency_us = LATENCY_US
        self.bytes_per_s = 0
        self.free_at_us = 0  # when what was sent before has left

    def arrival(self, now_us: int, size_bytes: int) -> int:
        """Return when bytes that are sent now arrive, and take their place in the queue."""
        leaves_us = max(now_us, self.free_at_us)
        if self.bytes_per_s:
            leaves_us += size_bytes * 1_000_000 // self.bytes_per_s
            self.free_at_us = leaves_us
        return leaves_us + self.latency_us


class Segment(NamedTuple):
    """Bytes on their way, or the end of the stream (`data` None); `sent` is the number of the happening."""

    data: bytes | None
    sent: int

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        return len(self.data) if self.data is not None else 0


class Direction:
    """What goes from one end of a connection to the other."""

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self.flying: deque[Segment] = deque()  # scheduled to arrive, or held by a cut
        self.held = 0  # how many of `flying`, from the end, wait for the link to heal
        self.arrived: deque[Segment] = deque()  # at the door of a process that does not read
        self.unsent: deque[tuple[bytes, int]] = deque()  # with their cause
        self.unsent_bytes = 0
        self.in_flight_bytes = 0  # flying and at the door
        self.last_arrival_us = 0
        self.ended = False  # the source hung up: nothing is added any more
        self.finished = False  # and its end has been sent


class Connection:
    """A connection: number, ends, and what each end calls its link (0: that end is gone)."""

    def __init__(self, number: int, source: str, target: str, source_link: int, port: int) -> None:
        self.number = number
        self.source = source
        self.target = target
        self.port = port  # the one that was dialled
        self.local_port = 0  # the near end's
        self.source_link = source_link
        self.target_link = 0
        self.asked = -1  # the number of the happening that asked for it
        self.open = False  # the one who dialled has heard of it
        self.broken = False  # forgotten on the way: bytes get lost, and then a reset comes back
        self.forward = Direction(source, target)
        self.backward = Direction(target, source)
        self.paused: dict[str, None] = {}  # ends that do not read for now

    def direction(self, source: str) -> Direction:
        """Return the direction in which a host sends."""
        return self.forward if source == self.source else self.backward

    def other(self, host: str) -> str:
        """Return the host at the other end."""
        return self.target if host == self.source else self.source

    def link_of(self, host: str) -> int:
        """Return what an end calls its link; 0 when it is gone."""
        return self.source_link if host == self.source else self.target_link

    def set_link(self, host: str, link: int) -> None:
        """Note what an end calls its link."""
        if host == self.source:
            self.source_link = link
        else:
            self.target_link = link


class Network:
    """All lanes and connections of a world."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.connections: dict[int, Connection] = {}
        self.next_number = 1

    def lane(self, source: str, target: str) -> Lane:
        """Return the lane from one host to another, made if need be."""
        lane = self.lanes.get((source, target))
        if lane is None:
            lane = self.lanes[(source, target)] = Lane()
            if source == target:
                lane.latency_us = LOOPBACK_US
        return lane

    def between(self, a: str, b: str) -> list[Connection]:
        """Return the connections between two hosts."""
        return [c for c in self.connections.values() if (c.source, c.target) in ((a, b), (b, a))]

    # --- connecting ---------------------------------------------------------------------------------------------

    def connect(self, source: str, link: int, ip: str, port: int) -> Connection:
        """Ask for a connection; the host `source` hears `opened` or `refused`."""
        world = self.world
        target = world.machine(ip, port)
        number = self.next_number
        self.next_number += 1
        connection = Connection(number, source, target.name if target is not None else ip, link, port)
        connection.local_port = 32768 + number % 28000
        self.connections[number] = connection
        connection.asked = world.note(Dialled, number, source, connection.target)
        if target is None:
            world.later(NO_ROUTE_US, "refuse", number, "No route to host")
        else:
            world.later(CONNECT_TIMEOUT_US, "refuse", number, "Connection timed out")
            self._ask(connection)
        return connection

    def _ask(self, connection: Connection) -> None:
        lane = self.lane(connection.source, connection.target)
        if lane.state == UP:
            self.world.at(lane.arrival(self.world.now_us, 0), "ask", connection.number)

    def asked(self, number: int) -> None:
        """The request for a connection reaches its target."""
        connection = self.connections.get(number)
        if connection is None or connection.target_link or connection.broken:
            return
        world = self.world
        if self.lane(connection.source, connection.target).state != UP:
            return  # asked again when the link heals
        host = world.machines[connection.target]
        if not host.powered:
            return
        world.cause = connection.asked
        if not host.accepts(connection.port):
            lane = self.lane(connection.target, connection.source)
            world.at(lane.arrival(world.now_us, 0), "refuse", number, "Connection refused")
            return
        connection.target_link = host.accept(connection)
        self._answer(connection)
        host.accepted(connection)

    def _answer(self, connection: Connection) -> None:
        lane = self.lane(connection.target, connection.source)
        if lane.state == UP:
            self.world.at(lane.arrival(self.world.now_us, 0), "answer", connection.number)

    def answered(self, number: int) -> None:
        """The one who dialled has its connection."""
        connection = self.connections.get(number)
        if connection is None or connection.open or connection.broken:
            return
        world = self.world
        if self.lane(connection.target, connection.source).state != UP:
            return
        host = world.machines[connection.source]
        if not connection.source_link:
            return
        if host.state == PAUSED:
            host.awaits.append(("answer", number))
            return
        connection.open = True
        world.cause = world.note(Opened, number, connection.source, connection.target, cause=connection.asked)
        host.opened(connection)

    def refused(self, number: int, reason: str) -> None:
        """The one who dialled hears that it got no connection."""
        connection = self.connections.get(number)
        if connection is None or connection.open:
            return
        world = self.world
        link = connection.source_link
        host = world.machines[connection.source]
        if link and host.state == PAUSED:
            host.awaits.append(("refuse", number, reason))
            return
        connection.source_link = 0
        self._forget(connection)
        if link:
            world.cause = world.note(
                Refused, number, connection.source, connection.target, reason, cause=connection.asked
            )
            if connection.target_link:
                self.reset(connection, connection.target)
            host.refused(link, reason)

    # --- sending ------------------------------------------------------------------------------------------------

    def send(self, connection: Connection, source: str, data: bytes) -> None:
        """Send bytes; what the window has no room for waits, and `source` is told."""
        direction = connection.direction(source)
        direction.unsent.append((data, self.world.cause))
        direction.unsent_bytes += len(data)
        self.pump(connection, direction)

    def hang_up(self, connection: Connection, source: str, flush: bool = False) -> None:
        """End a connection from one end, once what was sent before has left; `flush` sends that at once."""
        direction = connection.direction(source)
        direction.ended = True
        connection.set_link(source, 0)
        self.pump(connection, direction, flush)

    def abandon(self, connection: Connection, source: str) -> None:
        """Forget an end without a word: the machine has lost its power."""
        direction = connection.direction(source)
        direction.unsent.clear()
        direction.unsent_bytes = 0
        connection.set_link(source, 0)

    def pump(self, connection: Connection, direction: Direction, flush: bool = False) -> None:
        """Send what waits, as far as the window goes."""
        world = self.world
        before = direction.unsent_bytes
        while direction.unsent and (flush or direction.in_flight_bytes < WINDOW_BYTES):
            data, cause = direction.unsent.popleft()
            if len(data) > SEGMENT_BYTES:
                direction.unsent.appendleft((data[SEGMENT_BYTES:], cause))
                data = data[:SEGMENT_BYTES]
            direction.unsent_bytes -= len(data)
            sent = world.note(Sent, connection.number, direction.source, direction.target, data, cause=cause)
            self._fly(connection, direction, Segment(data, sent))
        if direction.ended and not direction.unsent and not direction.finished:
            direction.finished = True
            self._fly(connection, direction, Segment(None, world.cause))
        if direction.unsent_bytes != before or direction.unsent_bytes:
            world.machines[direction.source].unsent(connection, direction.unsent_bytes)

    def _fly(self, connection: Connection, direction: Direction, segment: Segment) -> None:
        lane = self.lane(direction.source, direction.target)
        if connection.broken or lane.state == LOST:
            self._drop(connection, direction, segment)
            if connection.broken and lane.state == UP and connection.link_of(direction.source):
                self._send_reset(connection, direction.source)
            return
        direction.flying.append(segment)
        direction.in_flight_bytes += segment.size_bytes
        if lane.state == SILENT:
            direction.held += 1
            return
        self._schedule(connection, direction, segment, lane)

    def _schedule(self, connection: Connection, direction: Direction, segment: Segment, lane: Lane) -> None:
        at_us = max(lane.arrival(self.world.now_us, segment.size_bytes), direction.last_arrival_us)
        direction.last_arrival_us = at_us
        self.world.at(at_us, "arrive", connection.number, direction is connection.forward)

    def _send_reset(self, connection: Connection, to: str) -> None:
        latency_us = self.lane(to, connection.other(to)).latency_us
        self.world.later(2 * latency_us, "reset", connection.number, to)

    # --- arriving -----------------------------------------------------------------------------------------------

    def arrive(self, number: int, forward: bool) -> None:
        """The first segment of a direction reaches its target's door."""
        connection = self.connections.get(number)
        if connection is None:
            return
        direction = connection.forward if forward else connection.backward
        if len(direction.flying) <= direction.held:
            return
        if self.lane(direction.source, direction.target).state == SILENT:
            direction.held += 1
            return
        segment = direction.flying.popleft()
        if connection.broken or not connection.link_of(direction.target):
            direction.in_flight_bytes -= segment.size_bytes
            self._drop(connection, direction, segment)
            alive = self.world.machines[direction.target].powered
            if alive and connection.link_of(direction.source):
                self._send_reset(connection, direction.source)
            self._forget(connection)
            return
        direction.arrived.append(segment)
        self.read(connection, direction)

    def read(self, connection: Connection, direction: Direction) -> None:
        """Have the target read what is at its door, if it does."""
        world = self.world
        host = world.machines[direction.target]
        while direction.arrived:
            if not host.reads(connection):
                return
            segment = direction.arrived.popleft()
            direction.in_flight_bytes -= segment.size_bytes
            if segment.data is None:
                world.cause = segment.sent
                self._ended(connection, direction.target, reset=False)
                return
            world.cause = world.note(
                Delivered,
                connection.number,
                direction.source,
                direction.target,
                segment.data,
                segment.sent,
                cause=segment.sent,
            )
            host.read(connection, segment.data)
            if direction.unsent and world.machines[direction.source].state == RUNNING:
                self.pump(connection, direction)

    def _drop(self, connection: Connection, direction: Direction, segment: Segment) -> None:
        if segment.data is not None:
            self.world.note(
                Dropped,
                connection.number,
                direction.source,
                direction.target,
                segment.data,
                segment.sent,
                cause=segment.sent,
            )

    def _ended(self, connection: Connection, host: str, reset: bool) -> None:
        """An end learns that the other is gone."""
        world = self.world
        link = connection.link_of(host)
        if not link:
            return
        direction = connection.direction(host)
        connection.set_link(host, 0)
        direction.unsent.clear()
        direction.unsent_bytes = 0
        direction.ended = direction.finished = True
        incoming = connection.direction(connection.other(host))
        incoming.in_flight_bytes -= sum(segment.size_bytes for segment in incoming.arrived)
        for segment in incoming.arrived:
            self._drop(connection, incoming, segment)
        incoming.arrived.clear()
        world.cause = world.note(Hungup, connection.number, connection.other(host), host, reset)
        self._forget(connection)
        world.machines[host].closed(connection, link)

    def reset(self, connection: Connection, host: str) -> None:
        """Tell an end that its connection is no more, at once or as soon as its process runs."""
        machine = self.world.machines[host]
        if not connection.link_of(host):
            return
        if machine.state == PAUSED:
            machine.awaits.append(("reset", connection.number, host))
            return
        if not connection.open and host == connection.source:
            connection.set_link(host, 0)
            self._forget(connection)
            return
        self._ended(connection, host, reset=True)

    def reset_by_number(self, number: int, host: str) -> None:
        """A reset reaches an end."""
        connection = self.connections.get(number)
        if connection is None:
            return
        if self.lane(connection.other(host), host).state != UP:
            return  # lost; whatever is sent next is answered by another
        self.world.cause = -1
        self.reset(connection, host)

    def _forget(self, connection: Connection) -> None:
        if connection.source_link or connection.target_link:
            return
        if not (connection.forward.flying or connection.backward.flying):
            self.connections.pop(connection.number, None)

    # --- faults -------------------------------------------------------------------------------------------------

    def cut(self, a: str, b: str, kind: str, direction: str) -> None:
        """See `actions.Cut`."""
        connections = self.between(a, b)
        if kind == "silent":
            if direction in ("both", "a-b"):
                self.lane(a, b).state = SILENT
            if direction in ("both", "b-a"):
                self.lane(b, a).state = SILENT
            return
        if kind == "half-open":
            self.lane(a, b).state = self.lane(b, a).state = LOST
            told = {"both": [], "a-b": [b], "b-a": [a]}[direction]
        else:
            told = {"both": [a, b], "a-b": [b], "b-a": [a]}[direction]
        cause = self.world.cause
        for connection in connections:
            connection.broken = True
            self._lose(connection)
        for connection in connections:
            for host in told:
                self.world.cause = cause
                self.reset(connection, host)

    def _lose(self, connection: Connection) -> None:
        """Drop what is on its way on a connection that has been forgotten."""
        for direction in (connection.forward, connection.backward):
            for segment in direction.flying:
                direction.in_flight_bytes -= segment.size_bytes
                self._drop(connection, direction, segment)
            direction.flying.clear()
            direction.held = 0

    def heal(self, a: str, b: str) -> None:
        """See `actions.Heal`."""
        for source, target in ((a, b), (b, a)):
            self.lane(source, target).state = UP
        for connection in self.between(a, b):
            if connection.broken:
                continue
            if not connection.target_link and not connection.open and connection.source_link:
                self._ask(connection)
            elif not connection.open:
                self._answer(connection)
            for direction in (connection.forward, connection.backward):
                lane = self.lane(direction.source, direction.target)
                held, direction.held = direction.held, 0
                for segment in list(direction.flying)[len(direction.flying) - held :]:
                    self._schedule(connection, direction, segment, lane)
