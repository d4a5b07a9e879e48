"""A network of real TCP connections that fails as the simulated one does.

Every host has an address of its own in 127.0.0.0/8 (all of which is this machine, on Linux). A host is reached only
through here: `Wires` listens at its address, sees by the caller's address who is calling, calls the host's real port
on from that same address, and passes the bytes on. Cuts have the meaning that `engine.simulation.actions.Cut` gives
them: "silent" holds what is sent, "reset" ends connections at once, "half-open" forgets them, and bytes get lost.

What differs from the simulated network: a connection over a silent path is accepted at once and waits then, where
Linux would go on asking. To the one who dialled it looks like a host that does not answer.

One thread does everything; `taps` see the bytes of each connection as they arrive here.
"""

import contextlib
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.simulation.connection import LOST, SILENT, UP
from engine.simulation.network import SEGMENT_BYTES, WINDOW_BYTES
from tests.waiting import PATIENCE_S

DIAL_AFTER_S = 0.02  # a call goes on after this: a cut that follows on a reset at once finds it not yet made
# What the kernel holds on a way counts too, and would be megabytes: small buffers, and small segments, by whose size
# a sender's buffer is measured.
BUFFER_BYTES = 16 * 1024
SEGMENT_MAX_BYTES = 1448
HELD_BYTES_MAX = WINDOW_BYTES // 2
_RESET = struct.pack("ii", 1, 0)


def slim_socket() -> socket.socket:
    """Return a socket for which the kernel, and that of the other end, hold little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_MAX_BYTES)
    return sock


class Path:
    """One direction of the path between two hosts."""

    def __init__(self) -> None:
        self.state = UP
        self.latency_s = 0.0
        self.bytes_per_s = 0
        self.free_at = 0.0


class Way:
    """One direction of a connection: what one end has sent and the other has not been given."""

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self.waiting: deque[tuple[float, bytes]] = deque()  # when it arrives; b"" is the end
        self.size_bytes = 0
        self.ended = False

    def take(self, data: bytes, path: Path, now: float) -> None:
        """Put bytes, or the end, on the way."""
        leaves = max(now, path.free_at)
        if path.bytes_per_s:
            leaves += len(data) / path.bytes_per_s
            path.free_at = leaves
        self.waiting.append((leaves + path.latency_s, data))
        self.size_bytes += len(data)


class Door(NamedTuple):
    """Where a host is found: its name, and the address at which its server really listens."""

    host: str
    address: tuple[str, int]


class Wire:
    """A connection: the socket of the one who dialled, and that of the one who was dialled once the call went on."""

    def __init__(self, number: int, source: str, door: Door, near: socket.socket) -> None:
        self.number = number
        self.door = door
        target = door.host
        self.forward = Way(source, target)
        self.backward = Way(target, source)
        self.ends: dict[str, socket.socket] = {source: near}
        self.dial_at = time.monotonic() + DIAL_AFTER_S
        self.broken = False  # forgotten on the way

    def way_from(self, host: str) -> Way:
        """Return the direction in which a host sends."""
        return self.forward if host == self.forward.source else self.backward

    def close(self, host: str, reset: bool = False) -> None:
        """End one end."""
        sock = self.ends.pop(host, None)
        if sock is not None:
            if reset:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()


Tap = Callable[[Wire, bool, bytes], None]  # connection, whether from the one who dialled, bytes


class Wires:
    """All paths between hosts, in a thread of their own."""

    def __init__(self) -> None:
        self.paths: dict[tuple[str, str], Path] = {}
        self.hosts: dict[str, str] = {}  # name by IP
        self.listeners: dict[socket.socket, Door] = {}
        self.wires: list[Wire] = []
        self.taps: list[Tap] = []
        self.count = 0
        self.lock = threading.Lock()
        self.waker, self.wake = socket.socketpair()
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self) -> None:
        """End everything."""
        self.running = False
        self.wake.send(b"!")
        self.thread.join(PATIENCE_S)
        for wire in self.wires:
            for host in list(wire.ends):
                wire.close(host)
        for sock in (*self.listeners, self.waker, self.wake):
            sock.close()

    # --- what somebody does -------------------------------------------------------------------------------------

    def add(self, name: str, ip: str, listener: socket.socket | None = None, port: int = 0) -> None:
        """Tell of a host: who calls from `ip`; with a listener, who calls it reaches the server at `port`."""
        with self.lock:
            self.hosts[ip] = name
            if listener is not None:
                self.listeners[listener] = Door(name, (ip, port))
        self.wake.send(b"!")

    def close_door(self, listener: socket.socket) -> None:
        """See `actions.ClosePort`."""
        with self.lock:
            door = self.listeners.pop(listener)
            for wire in self.wires:
                if wire.door == door:
                    for host in list(wire.ends):
                        wire.close(host, reset=True)
        self.wake.send(b"!")
        listener.close()

    def set_link(self, a: str, b: str, latency_us: int, bytes_per_s: int) -> None:
        """See `actions.SetLink`."""
        with self.lock:
            for ends in ((a, b), (b, a)):
                path = self.path(*ends)
                path.latency_s, path.bytes_per_s, path.free_at = latency_us / 1e6, bytes_per_s, 0.0

    def cut(self, a: str, b: str, kind: str, direction: str) -> None:
        """See `actions.Cut`."""
        with self.lock:
            if kind == "silent":
                for ends, name in (((a, b), "a-b"), ((b, a), "b-a")):
                    if direction in ("both", name):
                        self.path(*ends).state = SILENT
                return
            told = {"both": (a, b), "a-b": (b,), "b-a": (a,)}[direction]
            if kind == "half-open":
                self.path(a, b).state = self.path(b, a).state = LOST
                told = told if direction != "both" else ()
            for wire in self._between(a, b):
                wire.broken = True
                for host in told:
                    wire.close(host, reset=True)
        self.wake.send(b"!")

    def heal(self, a: str, b: str) -> None:
        """See `actions.Heal`."""
        with self.lock:
            self.path(a, b).state = self.path(b, a).state = UP
        self.wake.send(b"!")

    def path(self, source: str, target: str) -> Path:
        """Return one direction of a path."""
        return self.paths.setdefault((source, target), Path())

    def _between(self, a: str, b: str) -> list[Wire]:
        return [wire for wire in self.wires if {wire.forward.source, wire.forward.target} == {a, b}]

    # --- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self.running:
            with self.lock:
                readers, writers, timeout = self._interests()
            try:
                ready, _, _ = select.select([self.waker, *self.listeners, *readers], writers, [], timeout)
            except ValueError:  # a cut closed one of them just now
                continue
            with self.lock:
                if self.waker in ready:
                    self.waker.recv(4096)
                for listener, door in self.listeners.items():
                    if listener in ready:
                        self._accept(listener, door)
                for wire in list(self.wires):
                    self._serve(wire)
                self.wires = [wire for wire in self.wires if wire.ends]

    def _interests(self) -> tuple[list[socket.socket], list[socket.socket], float | None]:
        readers, writers = [], []
        next_at = None
        now = time.monotonic()
        for wire in self.wires:
            if not wire.broken and len(wire.ends) == 1 and not wire.backward.ended and self._passes(wire.forward):
                next_at = min(next_at or wire.dial_at, wire.dial_at)
            for host, sock in wire.ends.items():
                way = wire.way_from(host)
                if self._reads(wire, way):
                    readers.append(sock)
                incoming = wire.way_from(way.target)
                if incoming.waiting and self._passes(incoming):
                    if incoming.waiting[0][0] <= now:
                        writers.append(sock)
                    else:
                        next_at = min(next_at or incoming.waiting[0][0], incoming.waiting[0][0])
        return readers, writers, None if next_at is None else max(0.0, next_at - now)

    def _passes(self, way: Way) -> bool:
        return self.path(way.source, way.target).state == UP

    def _reads(self, wire: Wire, way: Way) -> bool:
        if way.ended:
            return False
        if wire.broken:
            return True
        return way.target in wire.ends and way.size_bytes < HELD_BYTES_MAX and self._passes(way)

    def _accept(self, listener: socket.socket, door: Door) -> None:
        near, (ip, _) = listener.accept()
        near.setblocking(False)
        self.count += 1
        self.wires.append(Wire(self.count, self.hosts.get(ip, ip), door, near))

    def _dial(self, wire: Wire) -> None:
        source, target = wire.forward.source, wire.forward.target
        ip = next((ip for ip, name in self.hosts.items() if name == source), source)  # MIGRATE calls from any address
        far = slim_socket()
        try:
            far.bind((ip, 0))  # so that the host sees who it is that calls
            far.settimeout(PATIENCE_S)
            far.connect(wire.door.address)
        except OSError:
            far.close()
            wire.close(source, reset=True)
            return
        far.setblocking(False)
        wire.ends[target] = far

    def _serve(self, wire: Wire) -> None:
        now = time.monotonic()
        source, target = wire.forward.source, wire.forward.target
        if wire.broken:
            for host in list(wire.ends):
                self._lose(wire, host)
            return
        if target not in wire.ends:
            if not self._passes(wire.forward) or now < wire.dial_at:
                return
            self._dial(wire)
        for host in (source, target):
            if host in wire.ends:
                self._read(wire, host, now)
        for host in (source, target):
            if host in wire.ends:
                self._write(wire, host, now)

    def _lose(self, wire: Wire, host: str) -> None:
        """Lose what an end sends on a connection that is no more; where the path is whole it is told."""
        sock = wire.ends[host]
        way = wire.way_from(host)
        try:
            data = sock.recv(SEGMENT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or self._passes(way):
            wire.close(host, reset=bool(data))

    def _read(self, wire: Wire, host: str, now: float) -> None:
        way = wire.way_from(host)
        if not self._reads(wire, way):
            return
        try:
            data = wire.ends[host].recv(SEGMENT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            for tap in self.taps:
                tap(wire, way is wire.forward, data)
        way.ended = not data
        way.take(data, self.path(way.source, way.target), now)

    def _write(self, wire: Wire, host: str, now: float) -> None:
        """Give an end what has arrived for it."""
        way = wire.backward if host == wire.forward.source else wire.forward
        while way.waiting and way.waiting[0][0] <= now and self._passes(way):
            at, data = way.waiting[0]
            if not data:
                wire.close(host)
                wire.close(way.source)
                return
            try:
                sent = wire.ends[host].send(data)
            except BlockingIOError:
                return
            except OSError:
                wire.close(host)
                wire.close(way.source, reset=True)
                return
            way.size_bytes -= sent
            way.waiting.popleft()
            if sent < len(data):
                way.waiting.appendleft((at, data[sent:]))
                return

    def __enter__(self) -> "Wires":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
