"""Applications of a scenario beside real servers: the same program, on sockets."""

import contextlib
import errno
import selectors
import socket
import threading
import time
from typing import Any

from engine.simulation.actions import AddApplication, AddClusterApplication
from engine.simulation.application import Application
from engine.simulation.cluster_application import ClusterApplication

POLL_S = 0.01


class _Connection:
    """What an application sees of a connection."""

    def __init__(self, number: int, link: int, sock: socket.socket) -> None:
        self.number = number
        self.link = link
        self.sock = sock
        self.open = False

    def link_of(self, name: str) -> int:
        """Return a number as long as the connection is this end's."""
        return 1


class RealApplication:
    """A thread in which an application runs: it is the network and the world of it."""

    def __init__(self, action: AddApplication | AddClusterApplication, ip: str, real: Any) -> None:
        self.ip = ip
        self.real = real  # makes a scenario's address a real one
        self.network = self
        self.connections: dict[int, _Connection] = {}
        self.lock = threading.Lock()
        self.selector = selectors.DefaultSelector()
        kind: Any = ClusterApplication if isinstance(action, AddClusterApplication) else Application
        self.app: Any = kind(self, ip=ip, **action._asdict())
        self.made = 0
        self.ends = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def now_us(self) -> int:
        """The time."""
        return time.monotonic_ns() // 1000

    def connect(self, name: str, link: int, ip: str, port: int) -> _Connection:
        """Begin to connect."""
        self.made += 1
        sock = socket.socket()
        sock.setblocking(False)
        connection = self.connections[self.made] = _Connection(self.made, link, sock)
        with contextlib.suppress(OSError):
            sock.bind((self.ip, 0))
        host, port = self.real(ip, port)
        sock.connect_ex((host, port))
        self.selector.register(sock, selectors.EVENT_WRITE, connection)
        return connection

    def send(self, connection: _Connection, name: str, data: bytes) -> None:
        """Send bytes: few enough for any buffer."""
        with contextlib.suppress(OSError):
            connection.sock.send(data)

    def hang_up(self, connection: _Connection, name: str) -> None:
        """End a connection."""
        self._forget(connection)

    def _forget(self, connection: _Connection) -> None:
        if self.connections.pop(connection.number, None) is not None:
            self.selector.unregister(connection.sock)
            connection.sock.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self.ends:
            with self.lock:
                if time.monotonic() >= due:
                    self.app.tick()
                    due += self.app.period_us / 1e6
                for key, _ in self.selector.select(0):
                    self._ready(key.data)
            time.sleep(POLL_S)

    def _ready(self, connection: _Connection) -> None:
        if connection.number not in self.connections:
            return
        if not connection.open:
            error = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self._forget(connection)
                if connection.number in self.app.numbers:
                    self.app.refused(
                        connection.link, "Connection refused" if error == errno.ECONNREFUSED else str(error)
                    )
                return
            connection.open = True
            self.selector.modify(connection.sock, selectors.EVENT_READ, connection)
            self.app.opened(connection)
            return
        try:
            data = connection.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.app.read(connection, data)
        else:
            self._forget(connection)
            self.app.closed(connection, connection.link)

    def close(self) -> None:
        """End it."""
        self.ends = True
        self.thread.join()
        for connection in list(self.connections.values()):
            self._forget(connection)
        self.selector.close()
