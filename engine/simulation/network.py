"""The simulated network: paths between hosts, and the connections on them.

A path has, for each direction, a latency, a bandwidth shared by all its connections, and a state: "up", "silent"
(bytes wait until it heals) or "lost" (bytes vanish). A connection has two ends and two directions; the bytes of a
direction arrive in the order in which they were sent, and at most `WINDOW_BYTES` are in flight at a time: the
rest is pending at the sender, whose node is notified, as with a full socket.

Bytes for a process that is stopped, busy or not reading wait in its inbox and still count as in flight.
"""

from heapq import heappush
from typing import TYPE_CHECKING

from engine.simulation.connection import (
    LOOPBACK_US,
    LOST,
    PAUSED,
    RUNNING,
    SILENT,
    UP,
    Direction,
    Path,
    Reservation,
    Segment,
    SimulatedConnection,
    local_port,
)  # fmt: skip
from engine.simulation.pending import sent_again
from engine.simulation.trace import Delivered, Dialled, Dropped, Hungup, Opened, Refused, Sent

if TYPE_CHECKING:
    from engine.simulation.world import World

WINDOW_BYTES = 256 * 1024
SEGMENT_BYTES = 64 * 1024
CONNECT_TIMEOUT_US = 127_000_000  # six retries of the SYN, as in Linux
NO_ROUTE_US = 3_000_000  # three ARP requests

_new = tuple.__new__  # creates a named tuple in half the time


class Network:
    """All paths and connections of a world."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.paths: dict[tuple[str, str], Path] = {}
        self.connections: dict[int, SimulatedConnection] = {}
        self.next_number = 1
        self.retries: dict[int, int] = {}  # how often each message was dropped before, by its number in the queue

    def path(self, source: str, target: str) -> Path:
        """Return the path from one host to another, creating it if necessary."""
        path = self.paths.get((source, target))
        if path is None:
            path = self.paths[(source, target)] = Path()
            if source == target:
                path.latency_us = LOOPBACK_US
        return path

    def between(self, a: str, b: str) -> list[SimulatedConnection]:
        """Return the connections between two hosts."""
        return [c for c in self.connections.values() if (c.source, c.target) in ((a, b), (b, a))]

    # --- connecting ---------------------------------------------------------------------------------------------

    def connect(self, source: str, link: int, ip: str, port: int, tls: bool | None = False) -> SimulatedConnection:
        """Request a connection; the host `source` is notified by `opened` or `refused`."""
        world = self.world
        target = world.machine(ip, port)
        number = self.next_number
        self.next_number += 1
        name = target.name if target is not None else ip
        there, back = self.path(source, name), self.path(name, source)
        connection = SimulatedConnection(number, source, name, link, port, there, back)
        connection.local_port = local_port(number)
        connection.tls = tls
        self.connections[number] = connection
        connection.asked = world.note(Dialled, number, source, connection.target)
        if target is None:
            world.later(NO_ROUTE_US, "refuse", number, "No route to host")
        else:
            world.later(CONNECT_TIMEOUT_US, "refuse", number, "Connection timed out")
            self._ask(connection)
        return connection

    def _ask(self, connection: SimulatedConnection) -> None:
        path = connection.forward.path
        if path.state == UP:
            self.world.at(path.arrival(self.world.now_us, 0), "ask", connection.number)

    def asked(self, number: int) -> None:
        """The connection request reaches its target."""
        connection = self.connections.get(number)
        if connection is None or connection.target_link or connection.broken:
            return
        world = self.world
        if connection.forward.path.state != UP:
            return  # retried when the link heals
        host = world.machines.get(connection.target)
        if host is None or not host.powered:
            return
        world.cause = connection.asked
        if host is world.gateway and world.gateway.asked(connection):
            return  # see `decided`
        if not host.accepts(connection.port, world.machines[connection.source].ip):
            self._refuse(connection)
            return
        connection.target_link = host.accept(connection)
        self._answer(connection)
        host.accepted(connection)

    def _refuse(self, connection: SimulatedConnection) -> None:
        at_us = connection.backward.path.arrival(self.world.now_us, 0)
        self.world.at(at_us, "refuse", connection.number, "Connection refused")

    def decided(self, number: int, link: int) -> SimulatedConnection | None:
        """Answer a request later than it came: accept it as `link` of its target, or refuse it (0).

        Returns the connection if it is accepted.
        """
        connection = self.connections.get(number)
        if connection is None or connection.target_link or connection.broken or not connection.source_link:
            return None
        if not link:
            self._refuse(connection)
            return None
        connection.target_link = link
        self._answer(connection)
        return connection

    def _answer(self, connection: SimulatedConnection) -> None:
        path = connection.backward.path
        if path.state == UP:
            self.world.at(path.arrival(self.world.now_us, 0), "answer", connection.number)

    def answered(self, number: int) -> None:
        """Notify the connecting end that the connection is established."""
        connection = self.connections.get(number)
        if connection is None or connection.open or connection.broken:
            return
        world = self.world
        if connection.backward.path.state != UP:
            return
        if not connection.source_link:
            return
        host = world.machines[connection.source]
        if host.state == PAUSED:
            host.awaits.append(("answer", number))
            return
        connection.open = True
        world.cause = world.note(Opened, number, connection.source, connection.target, cause=connection.asked)
        host.opened(connection)

    def refused(self, number: int, reason: str) -> None:
        """Notify the connecting end that the connection failed."""
        connection = self.connections.get(number)
        if connection is None or connection.open:
            return
        world = self.world
        link = connection.source_link
        host = world.machines.get(connection.source)
        if host is not None and link and host.state == PAUSED:
            host.awaits.append(("refuse", number, reason))
            return
        connection.source_link = 0
        self._forget(connection)
        if host is not None and link:
            world.cause = world.note(
                Refused, number, connection.source, connection.target, reason, cause=connection.asked
            )
            if connection.target_link:
                self.reset(connection, connection.target)
            host.refused(link, reason)

    # --- sending ------------------------------------------------------------------------------------------------

    def send(self, connection: SimulatedConnection, source: str, data: bytes) -> None:
        """Send bytes; bytes that exceed the window are pending, which is reported to `source`."""
        world = self.world
        direction = connection.forward if source == connection.source else connection.backward
        waits = direction.unsent or direction.ended or direction.in_flight_bytes >= WINDOW_BYTES
        if waits or not 0 < len(data) <= SEGMENT_BYTES:
            direction.unsent.append((data, world.cause))
            direction.unsent_bytes += len(data)
            self.pump(connection, direction)
            return
        sent = world.note_bytes(Sent, (connection.number, source, direction.target, data), world.cause)
        segment = _new(Segment, (data, sent))
        if connection.broken or direction.path.state != UP:
            self._fly(connection, direction, segment)
        else:
            direction.flying.append(segment)
            direction.in_flight_bytes += len(data)
            self._schedule(connection, direction, len(data))
        world.machines[source].sent(connection)

    def hang_up(self, connection: SimulatedConnection, source: str, flush: bool = False) -> None:
        """Close a connection from one end after its pending bytes; with `flush` these are sent immediately."""
        direction = connection.direction(source)
        direction.ended = True
        connection.set_link(source, 0)
        self.pump(connection, direction, flush)

    def abandon(self, connection: SimulatedConnection, source: str) -> None:
        """Drop one end without notifying the other: the machine has lost its power, and sends nothing more."""
        for direction in (connection.forward, connection.backward):
            if direction.source == source:
                direction.unsent.clear()
                direction.unsent_bytes = 0
                direction.ended = direction.finished = True
                self._give_up(connection, direction)
        if connection.source == source:
            connection.source_link = 0
        if connection.target == source:
            connection.target_link = 0
        self._forget(connection)

    def _give_up(self, connection: SimulatedConnection, direction: Direction) -> None:
        """Drop what has not left the sender: what a cut holds (it would be sent again), and what waits for bandwidth.

        So is what was dropped or is held on its way (`engine.simulation.pending`), with what waits behind it.

        What other connections send on the same path is earlier by the time that this would have taken.
        """
        world, path = self.world, direction.path
        waiting = [each for each in path.lane if each.leaves_us > world.now_us]
        given_up = [each.arrives_us for each in waiting if each.direction is direction]
        not_left = max(len(given_up), sent_again(world, direction))
        for _ in range(min(len(direction.flying), direction.held + not_left)):
            segment = direction.flying.pop()
            direction.in_flight_bytes -= segment.size_bytes
            self._drop(connection, direction, segment)
        direction.held = 0
        if not given_up:
            return
        direction.stale += given_up
        path.lane.clear()
        path.free_at_us = world.now_us
        for each in waiting:
            if each.direction is not direction:
                leaving = each.leaves_us - each.took_us < world.now_us
                self._move(each, each.leaves_us if leaving else path.free_at_us + each.took_us)

    def _move(self, each: Reservation, leaves_us: int) -> None:
        """Let bytes leave, and arrive, earlier than they would have."""
        path, target = each.direction.path, each.direction
        path.free_at_us = leaves_us
        arrives_us = each.arrives_us - (each.leaves_us - leaves_us)
        path.lane.append(Reservation(leaves_us, each.took_us, arrives_us, target))
        if arrives_us != each.arrives_us:
            target.stale.append(each.arrives_us)
            target.last_arrival_us = arrives_us
            self.world.at(arrives_us, "arrive", target.number, target.forward)

    def pump(self, connection: SimulatedConnection, direction: Direction, flush: bool = False) -> None:
        """Send pending bytes up to the window."""
        world = self.world
        before = direction.unsent_bytes
        while direction.unsent and (flush or direction.in_flight_bytes < WINDOW_BYTES):
            data, cause = direction.unsent.popleft()
            if len(data) > SEGMENT_BYTES:
                direction.unsent.appendleft((data[SEGMENT_BYTES:], cause))
                data = data[:SEGMENT_BYTES]
            direction.unsent_bytes -= len(data)
            sent = world.note_bytes(Sent, (connection.number, direction.source, direction.target, data), cause)
            self._fly(connection, direction, Segment(data, sent))
        if direction.ended and not direction.unsent and not direction.finished:
            direction.finished = True
            self._fly(connection, direction, Segment(None, world.cause))
        if direction.unsent_bytes != before or direction.unsent_bytes:
            world.machines[direction.source].unsent(connection, direction.unsent_bytes)

    def _fly(self, connection: SimulatedConnection, direction: Direction, segment: Segment) -> None:
        path = direction.path
        if connection.broken or path.state == LOST:
            self._drop(connection, direction, segment)
            if connection.broken and path.state == UP and connection.link_of(direction.source):
                self._send_reset(connection, direction.source)
            return
        direction.flying.append(segment)
        direction.in_flight_bytes += segment.size_bytes
        if path.state == SILENT:
            direction.held += 1
            return
        self._schedule(connection, direction, segment.size_bytes)

    def _schedule(self, connection: SimulatedConnection, direction: Direction, size_bytes: int) -> None:
        world, path = self.world, direction.path
        if path.bytes_per_s or path.free_at_us > world.now_us:
            at_us = path.arrival(world.now_us, size_bytes)
        else:  # the usual path: nothing waits for bandwidth
            at_us = world.now_us + path.latency_us
        if at_us < direction.last_arrival_us:
            at_us = direction.last_arrival_us
        if path.bytes_per_s:
            lane = path.lane
            while lane and lane[0].leaves_us <= world.now_us:
                lane.popleft()
            took_us = size_bytes * 1_000_000 // path.bytes_per_s
            lane.append(Reservation(path.free_at_us, took_us, at_us, direction))
        direction.last_arrival_us = at_us
        world.queued = queued = world.queued + 1
        heappush(world.queue, (at_us, queued, "arrive", (connection.number, direction is connection.forward)))

    def _send_reset(self, connection: SimulatedConnection, to: str) -> None:
        latency_us = self.path(to, connection.other(to)).latency_us
        self.world.later(2 * latency_us, "reset", connection.number, to)

    # --- arriving -----------------------------------------------------------------------------------------------

    def arrive(self, due_us: int, number: int, forward: bool) -> None:
        """Put the first segment of a direction into its target's inbox; `due_us` is when it was to arrive."""
        connection = self.connections.get(number)
        if connection is None:
            return
        direction = connection.forward if forward else connection.backward
        if direction.stale and due_us in direction.stale:
            direction.stale.remove(due_us)
            return
        if len(direction.flying) <= direction.held:
            return
        if direction.path.state == SILENT:
            direction.held += 1
            return
        segment = direction.flying.popleft()
        target = direction.target
        link = connection.source_link if target == connection.source else connection.target_link
        if connection.broken or not link:
            direction.in_flight_bytes -= segment.size_bytes
            self._drop(connection, direction, segment)
            machine = self.world.machines.get(target)  # none: no machine has the address
            if machine is not None and machine.powered and connection.link_of(direction.source):
                self._send_reset(connection, direction.source)
            self._forget(connection)
            return
        data = segment.data
        if direction.arrived or data is None:
            direction.arrived.append(segment)
            self.read(connection, direction)
            return
        world = self.world
        host = world.machines[target]
        if not host.reads(connection):
            direction.arrived.append(segment)
            return
        direction.in_flight_bytes -= len(data)
        sent = segment.sent
        world.cause = world.note_bytes(Delivered, (number, direction.source, target, data, sent), sent)
        host.read(connection, data)
        if direction.unsent or direction.arrived:
            self._go_on(connection, direction)

    def read(self, connection: SimulatedConnection, direction: Direction) -> None:
        """Let the target read its inbox if it reads at present."""
        world = self.world
        host = world.machines[direction.target]
        while direction.arrived:
            if not host.reads(connection):
                return
            data, sent = direction.arrived.popleft()
            if data is None:
                world.cause = sent
                self._ended(connection, direction.target, reset=False)
                return
            direction.in_flight_bytes -= len(data)
            fields = connection.number, direction.source, direction.target, data, sent
            world.cause = world.note_bytes(Delivered, fields, sent)
            host.read(connection, data)
            if direction.unsent and world.machines[direction.source].state == RUNNING:
                self.pump(connection, direction)

    def _go_on(self, connection: SimulatedConnection, direction: Direction) -> None:
        """Go on with a direction some of whose bytes have been read."""
        if direction.unsent and self.world.machines[direction.source].state == RUNNING:
            self.pump(connection, direction)
        if direction.arrived:
            self.read(connection, direction)

    def _drop(self, connection: SimulatedConnection, direction: Direction, segment: Segment) -> None:
        if segment.data is not None:
            self.world.note_bytes(
                Dropped,
                (connection.number, direction.source, direction.target, segment.data, segment.sent),
                segment.sent,
            )

    def _ended(self, connection: SimulatedConnection, host: str, reset: bool) -> None:
        """Notify an end that the other is gone."""
        world = self.world
        link = connection.link_of(host)
        if not link:
            return
        direction = connection.direction(host)
        connection.set_link(host, 0)
        direction.unsent.clear()
        direction.unsent_bytes = 0
        direction.ended = direction.finished = True
        if reset:
            self._give_up(connection, direction)
        incoming = connection.direction(connection.other(host))
        incoming.in_flight_bytes -= sum(segment.size_bytes for segment in incoming.arrived)
        for segment in incoming.arrived:
            self._drop(connection, incoming, segment)
        incoming.arrived.clear()
        world.cause = world.note(Hungup, connection.number, connection.other(host), host, reset)
        self._forget(connection)
        world.machines[host].closed(connection, link)

    def reset(self, connection: SimulatedConnection, host: str) -> None:
        """Notify an end that its connection was reset, immediately or when its process runs again."""
        if not connection.link_of(host):
            return
        machine = self.world.machines[host]
        if machine.state == PAUSED:
            machine.awaits.append(("reset", connection.number, host))
            return
        if not connection.open and host == connection.source:
            connection.set_link(host, 0)
            self._forget(connection)
            return
        self._ended(connection, host, reset=True)

    def reset_by_number(self, number: int, host: str) -> None:
        """A reset arrives at an end."""
        connection = self.connections.get(number)
        if connection is None:
            return
        if self.path(connection.other(host), host).state != UP:
            return  # lost; the next bytes sent will be answered with another one
        self.world.cause = -1
        self.reset(connection, host)

    def _forget(self, connection: SimulatedConnection) -> None:
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
                self.path(a, b).state = SILENT
            if direction in ("both", "b-a"):
                self.path(b, a).state = SILENT
            return
        if kind == "half-open":
            self.path(a, b).state = self.path(b, a).state = LOST
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

    def _lose(self, connection: SimulatedConnection) -> None:
        """Drop the bytes in flight on a forgotten connection."""
        for direction in (connection.forward, connection.backward):
            for segment in direction.flying:
                direction.in_flight_bytes -= segment.size_bytes
                self._drop(connection, direction, segment)
            direction.flying.clear()
            direction.held = 0
            self._give_up(connection, direction)

    def heal(self, a: str, b: str) -> None:
        """See `actions.Heal`."""
        for source, target in ((a, b), (b, a)):
            self.path(source, target).state = UP
        for connection in self.between(a, b):
            if connection.broken:
                continue
            if not connection.target_link and not connection.open and connection.source_link:
                self._ask(connection)
            elif not connection.open:
                self._answer(connection)
            for direction in (connection.forward, connection.backward):
                held, direction.held = direction.held, 0
                for segment in list(direction.flying)[len(direction.flying) - held :]:
                    self._schedule(connection, direction, segment.size_bytes)
