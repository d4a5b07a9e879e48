"""The event loop: one thread that reads sockets, feeds the node, and carries out its effects in order.

A round is: wait for sockets or the node's deadline, deliver everything that is there, `settled`, effects. Replies
therefore leave once per round and client, however many commands a pipeline held; and whatever stands before a reply
in the list of effects (a write, an fsync) has returned before the reply is written.
"""

import contextlib
import errno
import os
import select
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from engine import effects as fx
from engine.config import Config
from engine.journal import Journal
from engine.live.background import BackgroundSync
from engine.live.debugging import DEBUG_EFFECTS, Debuggers
from engine.live.exchange import Exchanges
from engine.live.facts import process_facts
from engine.live.files import FILE_EFFECTS, carry_out
from engine.live.snapshots import Children, save_now
from engine.live.tls import Contexts, TlsSocket
from engine.node import Node

READ_BYTES = 64 * 1024
LONG_BYTES = 16 * 1024  # who sent so much may hold more: what the system takes at first may be no more than that
MORE_BYTES = 1 << 20  # read at once besides, of a request that is longer than that
LOOKS_MAX = 8  # for more of a long request, before others have their turn
BACKLOG_ROUNDS = 64  # connections accepted per listener and round
LINGER_BYTES = 1 << 20


class Connection:
    """One socket and what could not be written to it yet."""

    __slots__ = ("closing", "dialling", "fd", "link", "reading", "recv", "send", "sock", "tls", "unsent", "writing")

    def __init__(self, sock: socket.socket | TlsSocket, link: int, tls: bool = False) -> None:
        self.sock = sock
        self.tls = tls  # to be secured once it stands
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.send = sock.send
        self.link = link
        self.unsent = bytearray()
        self.reading = True
        self.writing = False
        self.closing = False
        self.dialling = False


class Poller:
    """epoll where there is one, otherwise whatever `selectors` finds; yields (fd, readable, writable).

    A descriptor may be watched for what comes anew alone (`edge`, where there is epoll). Then what came first is told
    first, across connections: otherwise one that was read in this round would stand before all others in the next.
    Whoever watches so reads on until nothing is left, or watches again.
    """

    def __init__(self) -> None:
        self.epoll = select.epoll() if hasattr(select, "epoll") else None
        self.selector = None if self.epoll else selectors.DefaultSelector()

    def set(self, fd: int, reading: bool, writing: bool, new: bool = False, edge: bool = False) -> None:
        """Watch a descriptor for these."""
        if self.epoll:
            mask = (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if writing else 0)
            if edge and reading and not writing:
                mask |= select.EPOLLET | select.EPOLLRDHUP  # an end behind the last bytes comes with them
            (self.epoll.register if new else self.epoll.modify)(fd, mask)
        else:
            assert self.selector is not None
            mask = (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if writing else 0)
            if not new and fd in self.selector.get_map():
                self.selector.unregister(fd)
            if mask:
                self.selector.register(fd, mask)

    def forget(self, fd: int) -> None:
        """Stop watching a descriptor."""
        with contextlib.suppress(OSError, KeyError, ValueError):
            if self.epoll:
                self.epoll.unregister(fd)
            else:
                assert self.selector is not None
                self.selector.unregister(fd)

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """Return (fd, mask): bit 1 readable, bit 4 writable, any other one broken or ended."""
        if self.epoll:
            return self.epoll.poll(seconds)
        assert self.selector is not None
        return [
            (key.fd, (1 if mask & selectors.EVENT_READ else 0) | (4 if mask & selectors.EVENT_WRITE else 0))
            for key, mask in self.selector.select(seconds)
        ]


class Loop:
    """The live world of one node, or of a journal that records what happens to one."""

    can_debug = True  # scripts: the process may fork, or stop for a client

    def __init__(self, node: Node | Journal, logger: Callable[[str, str], None]) -> None:
        self.node = node
        self.logger = logger
        self.poller = Poller()
        self.connections: dict[int, Connection] = {}  # by fd
        self.links: dict[int, Connection] = {}
        self.listeners: dict[int, tuple[socket.socket, str]] = {}
        self.addresses: dict[tuple[str, str, int], list[int]] = {}
        self.next_link = 1
        self.exit_status: int | None = None
        self.restart_after_us: int | None = None  # None: when it has ended, that is the end
        self.on_crash: Callable[[fx.Exit], None] | None = None
        self.set_title: Callable[[Config, str], None] | None = None  # of the process, where it is the server's own
        self.exchanges = Exchanges()
        self.on_wake: Callable[[], None] | None = None  # called whenever the node's deadline has come
        self.signals: list[str] = []
        self.due: Iterator[tuple[int, int]] = iter(())  # told of once, and to be seen yet
        self.hooks: dict[int, Callable[[], None]] = {}  # readable descriptors of the hosting program
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)
        self.poller.set(self.wake_read, True, False, new=True)
        self.tls = Contexts()
        self.children = Children(self)
        self.debuggers = Debuggers(self)
        self.background = BackgroundSync(self.nudge)
        self.carry: dict[type, Callable[[Any], None]] = {
            fx.Hangup: self._hangup,
            fx.Log: lambda effect: self.logger(effect.level, effect.text),
            fx.Exit: self._exit,
            fx.Unlisten: self._unlisten,
            fx.PauseReading: lambda effect: self._read_switch(effect.link, False),
            fx.ResumeReading: lambda effect: self._read_switch(effect.link, True),
            fx.Dial: self._dial,
            fx.Stall: self._stall,
            fx.Snapshot: self.children.start,
            fx.PauseSnapshot: self.children.pace,
            fx.ResumeSnapshot: self.children.pace,
            fx.KillSnapshot: self.children.kill,
            fx.Title: lambda effect: self.entitle(),
            fx.KillDebuggers: lambda effect: self.debuggers.kill(),
        }
        self.carry.update(dict.fromkeys(FILE_EFFECTS, self._file))
        node.attach(self)

    # --- World (what the node may ask in the middle of an input) ------------------------------------------------

    @staticmethod
    def stopwatch() -> int:
        """Return a monotonic time in µs."""
        return time.perf_counter_ns() // 1000

    def facts(self) -> dict[str, Any]:
        """Return facts of the process."""
        own = {"migrate_cached_sockets": len(self.exchanges.kept), "debugger": self.can_debug}
        return process_facts() | own

    def tls_context(self) -> ssl.SSLContext:
        """Return the context for connections that are made; raises TlsError."""
        return self.tls.get(self.current_node.config, server=False)

    def service(self, node: Node) -> None:
        """Deliver what waits on the sockets while a command takes long."""
        self._deliver()
        self.due = iter(self.poller.wait(0))
        self._deliver()
        while self.signals:
            self.node.signal(self.signals.pop(0), self.now())
        self._carry_out(node.settled(self.now()))

    def perform(self, node: Node, effect: fx.Effect) -> Any:
        """Carry out what the node wants done so far, then this; returns its result, an OSError included."""
        effects, node.effects = node.effects, []
        self._carry_out(effects)
        if isinstance(effect, DEBUG_EFFECTS) or self.debuggers.forked:
            return self.debuggers.perform(effect)
        if isinstance(effect, FILE_EFFECTS):
            return carry_out(effect)
        if isinstance(effect, fx.Stall):
            return self._stall(effect)
        if isinstance(effect, fx.Exchange):
            return self.exchanges.exchange(effect, self.tls_context)
        if isinstance(effect, fx.Snapshot):
            try:
                return self.children.fork(effect) if effect.id else save_now(node, effect.kind, effect.path)
            except OSError as error:
                return error
        if isinstance(effect, fx.CheckTls):
            try:
                self.tls.get(node.config, server=True)
            except OSError as error:
                return error
            return None
        if isinstance(effect, fx.Listen):
            try:
                return self.listen(effect.kind, effect.host, effect.port)
            except OSError as error:
                return error
        raise TypeError(f"{effect!r} cannot be waited for")

    @staticmethod
    def now() -> int:
        """Return the time in µs since 1970: the machine's, unless a host shifts it (undo takes time back too)."""
        return time.time_ns() // 1000

    @property
    def current_node(self) -> Node:
        """The node itself, also where a journal stands before it."""
        return self.node.node if isinstance(self.node, Journal) else self.node

    # --- running ------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until the node ends; returns the exit status."""
        node = self.node
        poll = self.poller.wait
        connections = self.connections
        receive = node.received
        settled = node.settled
        clock = self.now
        while self.exit_status is None:
            now = clock()
            if node.deadline() <= now:
                node.wake(now)
                if self.on_wake is not None:
                    self.on_wake()
                if self.exchanges.kept:
                    self.exchanges.close_idle()
            effects = settled(now)
            if effects:
                self._carry_out(effects)
                if self.exit_status is not None:
                    break
            timeout = (node.deadline() - clock()) / 1e6
            self.due = events = iter(poll(timeout if timeout > 0 else 0))
            now = clock()
            for fd, mask in events:
                connection = connections.get(fd)
                if connection is not None and mask == 1:
                    try:
                        data = connection.recv(READ_BYTES)
                    except BlockingIOError:
                        continue
                    except OSError:
                        data = b""
                    if data:
                        if len(data) >= LONG_BYTES:
                            data += self._more(connection)
                            self._watch(connection)
                        receive(connection.link, data, now)
                    else:
                        self._lost(connection)
                else:
                    self._event(fd, mask)
            if self.signals:
                for name in self.signals:
                    node.signal(name, now)
                self.signals = []
        self.close()
        return self.exit_status

    def flush_log(self) -> None:
        """Carry out what the node wants done so far (before giving up at the start)."""
        effects, self.current_node.effects = self.current_node.effects, []
        self._carry_out(effects)

    def wake_up(self, signal_name: str) -> None:
        """Note a signal and end the wait (called from a signal handler)."""
        self.signals.append(signal_name)
        self.nudge()

    def nudge(self) -> None:
        """End the wait (from a signal handler or another thread)."""
        with contextlib.suppress(OSError):
            os.write(self.wake_write, b"!")

    def _deliver(self) -> None:
        for fd, mask in self.due:
            self._event(fd, mask)

    def _event(self, fd: int, mask: int) -> None:
        connection = self.connections.get(fd)
        if connection is not None and connection.dialling:
            self._dialled(connection)
        elif connection is not None:
            if mask & 4:
                self._flush(connection)
            if mask & ~4 and connection.fd in self.connections and connection.reading:
                self._read(connection)
            elif mask & ~5 and not connection.reading:
                self._lost(connection)
        elif fd in self.listeners:
            self._accept(*self.listeners[fd])
        elif fd == self.wake_read:
            with contextlib.suppress(OSError):
                os.read(fd, 4096)
            while self.background.ended:
                ticket, result = self.background.ended.popleft()
                self.node.done(ticket, result, self.now())
        elif fd in self.hooks:
            self.hooks[fd]()

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            if len(data) >= LONG_BYTES:
                data += self._more(connection)
            self._watch(connection)  # there may be more, or an end that was told of with it
            self.node.received(connection.link, data, self.now())
        else:
            self._lost(connection)

    def _watch(self, connection: Connection, new: bool = False) -> None:
        """Have the system tell what comes on a connection, and what is there already."""
        edge = type(connection.sock) is socket.socket  # TLS reads no further than the end of a record
        self.poller.set(connection.fd, connection.reading, connection.writing, new, edge)

    @staticmethod
    def _more(connection: Connection) -> bytes:
        """Return what else is there of a long request; an end or an error will be met again.

        Each look makes room for bytes that the sender still holds: what was written first is read first, before
        what the same program writes on another connection meanwhile.
        """
        pieces = []
        for _ in range(LOOKS_MAX):
            try:
                data = connection.recv(MORE_BYTES)
            except OSError:
                break
            pieces.append(data)
            if not data:
                break
        return b"".join(pieces)

    def _lost(self, connection: Connection) -> None:
        self._close(connection)
        self.node.closed(connection.link, self.now())

    def _close(self, connection: Connection) -> None:
        self.poller.forget(connection.fd)
        self.connections.pop(connection.fd, None)
        self.links.pop(connection.link, None)
        if self.children.pids or self.debuggers.pids:
            # A child holds a copy of the socket: closing ours would tell the peer nothing.
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        connection.sock.close()

    # --- listening and connecting -------------------------------------------------------------------------------

    def adopt(self, sock: socket.socket | TlsSocket, peer: str, kind: str, local: str = "") -> int:
        """Take a connected socket over as a link and tell the node; returns the link."""
        sock.setblocking(False)
        link = self.next_link
        self.next_link += 1
        connection = Connection(sock, link)
        self.connections[connection.fd] = connection
        self.links[link] = connection
        self._watch(connection, new=True)
        self.node.opened(link, peer, kind, self.now(), local)
        return link

    def listen(self, kind: str, host: str, port: int, backlog: int = 511, unix_mode: int = 0) -> None:
        """Accept connections on an address; raises OSError."""
        if kind == "unix":
            with contextlib.suppress(OSError):
                os.unlink(host)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(host)
            if unix_mode:
                os.chmod(host, unix_mode)
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind((host, port))
            except OSError:
                sock.close()
                raise
        sock.listen(backlog)
        sock.setblocking(False)
        self.listeners[sock.fileno()] = (sock, kind)
        self.addresses.setdefault((kind, host, port), []).append(sock.fileno())
        self.poller.set(sock.fileno(), True, False, new=True)

    def _file(self, effect: Any) -> None:
        if isinstance(effect, fx.Sync) and effect.background:
            self.background.start(effect)
            return
        result = carry_out(effect)
        if effect.ticket:
            self.node.done(effect.ticket, result, self.now())

    def _unlisten(self, effect: fx.Unlisten) -> None:
        for fd in self.addresses.pop((effect.kind, effect.host, effect.port), []):
            sock, _ = self.listeners.pop(fd)
            self.poller.forget(fd)
            sock.close()

    def _accept(self, listener: socket.socket, kind: str) -> None:
        for _ in range(BACKLOG_ROUNDS):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self.logger("#", f"Accepting client connection: {error.strerror}")
                return
            if kind == "tls":
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    secured = TlsSocket(sock, self.tls.get(self.current_node.config, server=True), server=True)
                except OSError as error:
                    self.logger("#", f"Error accepting a client connection: {error}")
                    sock.close()
                    continue
                self.adopt(secured, _address(address), kind, _address(secured.getsockname()))
            elif kind == "unix":
                path = listener.getsockname()
                self.adopt(sock, f"{path}:0", kind, f"{path}:0")
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.adopt(sock, _address(address), kind, _address(sock.getsockname()))

    def _dial(self, effect: fx.Dial) -> None:
        """Connect; the node hears `opened` or `refused` when it is decided."""
        try:
            infos = socket.getaddrinfo(effect.host, effect.port, type=socket.SOCK_STREAM)
            family, kind, proto, _, address = infos[0]
            sock = socket.socket(family, kind, proto)
            sock.setblocking(False)
            if effect.source:
                sock.bind((effect.source, 0))
            self.connecting(sock)
            sock.connect(address)
        except BlockingIOError:
            pass
        except OSError as error:
            self.node.refused(effect.link, error.strerror or str(error), self.now())
            return
        connection = Connection(sock, effect.link, effect.tls)
        connection.dialling = connection.writing = True
        connection.reading = False
        self.connections[connection.fd] = connection
        self.links[effect.link] = connection
        self._watch(connection, new=True)

    def _secure(self, connection: Connection) -> bool:
        """Go on in TLS on a connection that we made; False when that cannot be."""
        assert isinstance(connection.sock, socket.socket)
        try:
            secured = TlsSocket(connection.sock, self.tls.get(self.current_node.config, server=False), server=False)
        except OSError as error:
            self._close(connection)
            self.node.refused(connection.link, str(error), self.now())
            return False
        connection.sock, connection.recv, connection.send = secured, secured.recv, secured.send
        return True

    def connecting(self, sock: socket.socket) -> None:
        """Take note of a socket that is about to connect (for hosting programs)."""

    def _dialled(self, connection: Connection) -> None:
        error = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._close(connection)
            self.node.refused(connection.link, os.strerror(error), self.now())
            return
        connection.dialling = connection.writing = False
        connection.reading = True
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if connection.tls and not self._secure(connection):
            return
        self._watch(connection)
        peer, local = connection.sock.getpeername(), connection.sock.getsockname()
        self.node.opened(connection.link, _address(peer), "dialled", self.now(), _address(local))

    # --- effects ------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: list[fx.Effect]) -> None:
        carry = self.carry
        links = self.links
        for effect in effects:
            if type(effect) is fx.Send:
                connection = links.get(effect[0])
                if connection is None:
                    continue
                data, sent = effect[1], 0
                if not connection.unsent:
                    try:
                        sent = connection.send(data)
                    except (BlockingIOError, InterruptedError):
                        pass
                    except OSError:
                        self._lost(connection)
                        continue
                if sent != len(data):
                    self._keep(connection, data[sent:])
            else:
                carry[type(effect)](effect)

    def _keep(self, connection: Connection, data: bytes) -> None:
        """Hold what a socket did not take until it is writable."""
        connection.unsent += data
        if not connection.writing:
            connection.writing = True
            self._watch(connection)
        self.node.undelivered(connection.link, len(connection.unsent), self.now())

    def _flush(self, connection: Connection) -> None:
        try:
            sent = connection.send(memoryview(connection.unsent)[:LINGER_BYTES])
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lost(connection)
            return
        del connection.unsent[:sent]
        if not connection.closing:
            self.node.undelivered(connection.link, len(connection.unsent), self.now())
        if not connection.unsent:
            if connection.closing:
                self._close(connection)
                return
            connection.writing = False
            self._watch(connection)

    def _hangup(self, effect: fx.Hangup) -> None:
        connection = self.links.get(effect.link)
        if connection is None:
            return
        if connection.unsent:
            connection.closing = True  # once the rest is written
            connection.reading = False
            self._watch(connection)
        else:
            self._close(connection)

    def _read_switch(self, link: int, on: bool) -> None:
        connection = self.links.get(link)
        if connection is not None and connection.reading != on:
            connection.reading = on
            self._watch(connection)

    def _stall(self, effect: fx.Stall) -> None:
        time.sleep(effect.duration_us / 1e6)

    def _exit(self, effect: fx.Exit) -> None:
        self.exit_status = effect.status
        self.restart_after_us = effect.delay_us if effect.restart else None
        if effect.crash and self.on_crash is not None:
            self.on_crash(effect)

    def entitle(self, title: str = "") -> None:
        """Make the title of the process anew; `title` is what a child is about."""
        if self.set_title is not None:
            self.set_title(self.current_node.config, title)

    def close(self) -> None:
        """Close every socket, after giving what is still unsent a last chance.

        Listeners go first: whoever sees its connection end may be sure that no new one is taken.
        """
        for kind, host, port in list(self.addresses):
            self._unlisten(fx.Unlisten(kind, host, port))
            if kind == "unix":
                with contextlib.suppress(OSError):
                    os.unlink(host)
        for connection in list(self.connections.values()):
            if connection.unsent:
                with contextlib.suppress(OSError):
                    connection.sock.setblocking(True)
                    connection.sock.settimeout(1)
                    connection.sock.sendall(connection.unsent)
            self._close(connection)


def _address(address: Any) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if sys.platform == "win32":  # pragma: no cover
    raise ImportError("redis-tutor needs a POSIX system")
