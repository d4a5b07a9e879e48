"""The event loop: one thread that reads sockets, passes input to the node, and executes its effects in order.

A round consists of: wait for sockets or the node's deadline, deliver all input, `end_round`, effects. So each
client's replies are sent once per round, however many commands its pipeline contained; and every effect before a
reply (a write, an fsync) is complete before the reply is written.
"""

import contextlib
import errno
import os
import select
import selectors
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from engine import effects as fx
from engine.config import Config
from engine.core import ProcessFacts
from engine.journal import Journal
from engine.live.background import BackgroundSync
from engine.live.clock import SystemClock
from engine.live.debugging import DEBUG_EFFECTS, Debuggers
from engine.live.exchange import BAD_ADDRESS, Exchanges
from engine.live.facts import process_facts
from engine.live.files import FILE_EFFECTS, carry_out
from engine.live.programs import PROGRAM_EFFECTS, Programs
from engine.live.snapshots import Children, save_now
from engine.live.tls import Contexts, TlsSocket
from engine.node import Node

READ_BYTES = 64 * 1024
LONG_BYTES = 16 * 1024  # after a read this long, try again: the sender may have more
MORE_BYTES = 1 << 20  # the size of those further reads
LOOKS_MAX = 8  # reads per round for more of a long request, before other clients are served
BACKLOG_ROUNDS = 64  # connections accepted per listener and round
LINGER_BYTES = 1 << 20
LINGER_S = 10.0  # how long a closing connection may stay open while the other end reads nothing
REFUSAL_LOG_PAUSE_S = 30.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # no resources for a connection


class LiveConnection:
    """A socket and its unsent output."""

    __slots__ = (
        "closing", "dialling", "fd", "lingers_until_s", "link", "reading", "recv", "send", "sock", "tls", "unsent",
        "writing",
    )  # fmt: skip

    def __init__(self, sock: socket.socket | TlsSocket, link: int, tls: bool = False) -> None:
        self.sock = sock
        self.tls = tls  # TLS settings to use once connected
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.send = sock.send
        self.link = link
        self.unsent = bytearray()
        self.reading = True
        self.writing = False
        self.closing = False
        self.lingers_until_s = 0.0  # set when it is closing
        self.dialling = False


class Poller:
    """Polls with epoll if available, otherwise with the default of `selectors`. See `wait` for the result.

    A descriptor may be watched for new input only (`edge`, with epoll). Then events are reported in the order in
    which they happened, across connections; a descriptor read in this round would otherwise be reported before all
    others in the next one. With `edge`, the caller must read until no data is left, or watch the descriptor again.
    """

    def __init__(self) -> None:
        self.epoll = select.epoll() if hasattr(select, "epoll") else None
        self.selector = None if self.epoll else selectors.DefaultSelector()

    def set(self, fd: int, reading: bool, writing: bool, new: bool = False, edge: bool = False) -> None:
        """Watch a descriptor for these events."""
        if self.epoll:
            mask = (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if writing else 0)
            if edge and reading and not writing:
                mask |= select.EPOLLET | select.EPOLLRDHUP  # the end is reported together with the last bytes
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
        """Return (fd, mask): 1 is readable, 4 is writable, any other bit means broken or ended."""
        if self.epoll:
            return self.epoll.poll(seconds)
        assert self.selector is not None
        return [
            (key.fd, (1 if mask & selectors.EVENT_READ else 0) | (4 if mask & selectors.EVENT_WRITE else 0))
            for key, mask in self.selector.select(seconds)
        ]


class Loop:
    """The live world of one node, or of a journal that wraps a node."""

    can_debug = True  # scripts: the process may fork, or block for a client

    def __init__(
        self, node: Node | Journal, logger: Callable[[str, str], None], clock: SystemClock | None = None
    ) -> None:
        self.node = node
        self.clock = SystemClock() if clock is None else clock
        self.clock_offset_us = 0  # the offset last passed to the node
        self.logger = logger
        self.poller = Poller()
        self.connections: dict[int, LiveConnection] = {}  # by fd
        self.links: dict[int, LiveConnection] = {}
        self.lingering: dict[int, LiveConnection] = {}  # closing connections with unsent output, by fd
        self.listeners: dict[int, tuple[socket.socket, str]] = {}
        self.refusing: list[socket.socket] = []  # not polled until the next wake: no descriptor is free
        self.refusing_since_s = 0.0  # when that was last logged, if no connection has been accepted since
        self.addresses: dict[tuple[str, str, int], list[int]] = {}
        self.next_link = 1
        self.exit_status: int | None = None
        self.restart_after_us: int | None = None  # None: do not restart after the end
        self.on_crash: Callable[[fx.Exit], None] | None = None
        self.set_title: Callable[[Config, str, str], None] | None = None  # set if the process is the server's own
        self.exchanges = Exchanges()
        self.programs = Programs()
        self.on_wake: Callable[[], None] | None = None  # called at every deadline of the node
        self.signals: list[str] = []
        self.due: Iterator[tuple[int, int]] = iter(())  # events that were reported but not handled yet
        self.hooks: dict[int, Callable[[], None]] = {}  # descriptors of the host program: called when readable
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)
        self.poller.set(self.wake_read, True, False, new=True)
        self.tls = Contexts()
        self.children = Children(self)
        self.debuggers = Debuggers(self)
        self.background = BackgroundSync(self.nudge, logger)
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
            fx.KillProgram: self.programs.run_now,
        }
        self.carry.update(dict.fromkeys(FILE_EFFECTS, self._file))
        node.attach(self)

    # --- World: requests of the node during an input ------------------------------------------------------------

    @staticmethod
    def stopwatch() -> int:
        """Return a monotonic time in µs."""
        return time.perf_counter_ns() // 1000

    def facts(self) -> ProcessFacts:
        """Return facts of the process."""
        facts = process_facts()
        facts["migrate_cached_sockets"] = len(self.exchanges.kept)
        facts["debugger"] = self.can_debug
        return facts

    def tls_context(self) -> ssl.SSLContext:
        """Return the context for outgoing connections; raises TlsError."""
        return self.tls.get(self.current_node.config, server=False)

    def service(self, node: Node) -> None:
        """Deliver pending input from the sockets during a long command.

        As in Redis, a signal ends the server during loading, but only after the end of a script.
        """
        self._deliver()
        self.due = iter(self.poller.wait(0))
        self._deliver()
        while self.signals and node.conditions.load is not None:
            self.node.signal(self.signals.pop(0), self.now())
        self._wake()
        self._carry_out(self.node.end_round(self.now()))

    def run_now(self, node: Node, effect: fx.Effect) -> Any:
        """Execute the node's effects so far, then this one. Returns its result, including an OSError."""
        effects = node.output.take()
        self._carry_out(effects)
        if isinstance(effect, DEBUG_EFFECTS) or self.debuggers.forked:
            return self.debuggers.run_now(effect)
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
        if isinstance(effect, PROGRAM_EFFECTS):
            return self.programs.run_now(effect)
        if isinstance(effect, fx.Listen):
            try:
                return self.listen(effect.kind, effect.host, effect.port)
            except OSError as error:
                return error
        raise TypeError(f"{effect!r} cannot be waited for")

    def now(self) -> int:
        """Return the monotonic time in µs: the machine's, unless a host shifts it (undo restores the time)."""
        return self.clock.now()

    @property
    def current_node(self) -> Node:
        """The node itself, even if a journal wraps it."""
        return self.node.node if isinstance(self.node, Journal) else self.node

    # --- running ------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve clients until the node ends. Returns the exit status."""
        node = self.node
        poll = self.poller.wait
        connections = self.connections
        receive = node.received
        end_round = node.end_round
        clock = self.now
        while self.exit_status is None:
            now = clock()
            if node.deadline() <= now:
                self._wake()
                if self.on_wake is not None:
                    self.on_wake()
                if self.exchanges.kept:
                    self.exchanges.close_idle()
                if self.lingering:
                    self._end_lingering()
                while self.refusing:
                    listener = self.refusing.pop()
                    if listener.fileno() in self.listeners:
                        self.poller.set(listener.fileno(), True, False)
            effects = end_round(now)
            if effects:
                self._carry_out(effects)
                if self.exit_status is not None:
                    break
            timeout = (node.deadline() - clock()) / 1e6
            self.due = events = iter(poll(timeout if timeout > 0 else 0))
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
                        receive(connection.link, data, clock())  # a timeout never starts before its request arrived
                    else:
                        self._lost(connection)
                else:
                    self._event(fd, mask)
            if self.signals:
                for name in self.signals:
                    node.signal(name, clock())
                self.signals = []
        self.close()
        return self.exit_status

    def _wake(self) -> None:
        """Pass a change of the wall clock to the node, then wake it."""
        offset_us = self.clock.offset()
        if offset_us != self.clock_offset_us:
            self.clock_offset_us = offset_us
            self.node.clock_set(offset_us, self.now())
        self.node.wake(self.now())

    def flush_log(self) -> None:
        """Execute the node's effects so far (before exiting at startup)."""
        effects = self.current_node.output.take()
        self._carry_out(effects)

    def wake_up(self, signal_name: str) -> None:
        """Record a signal and end the wait (called from a signal handler)."""
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
            for ticket, result in self.background.ended():
                self.node.done(ticket, result, self.now())
        elif fd in self.hooks:
            self.hooks[fd]()

    def _read(self, connection: LiveConnection) -> None:
        try:
            data = connection.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            if len(data) >= LONG_BYTES:
                data += self._more(connection)
            self._watch(connection)  # there may be more data, or an end that was reported with it
            self.node.received(connection.link, data, self.now())
        else:
            self._lost(connection)

    def _watch(self, connection: LiveConnection, new: bool = False) -> None:
        """Watch a connection for new input, including input that has already arrived."""
        edge = type(connection.sock) is socket.socket  # for TLS, reading stops at the end of a record
        self.poller.set(connection.fd, connection.reading, connection.writing, new, edge)

    @staticmethod
    def _more(connection: LiveConnection) -> bytes:
        """Return the rest of a long request if it has arrived; an end or an error will be detected again later.

        Each read makes room for bytes that the sender still holds: bytes are read in the order in which a program
        wrote them, even if it then writes to another connection.
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

    def _lost(self, connection: LiveConnection) -> None:
        self._close(connection)
        self.node.closed(connection.link, self.now())

    def _close(self, connection: LiveConnection) -> None:
        self.poller.forget(connection.fd)
        self.connections.pop(connection.fd, None)
        self.links.pop(connection.link, None)
        self.lingering.pop(connection.fd, None)
        if self.children.pids or self.debuggers.pids:
            # A child holds a copy of the socket: closing ours would not notify the peer.
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        connection.sock.close()

    # --- listening and connecting -------------------------------------------------------------------------------

    def adopt(self, sock: socket.socket | TlsSocket, peer: str, kind: str, local: str = "") -> int:
        """Add a connected socket as a link and notify the node. Returns the link."""
        sock.setblocking(False)
        link = self.next_link
        self.next_link += 1
        connection = LiveConnection(sock, link)
        try:
            self._watch(connection, new=True)
        except OSError as error:
            self.logger("#", f"Error registering fd event for the new client: {error.strerror} (addr={peer})")
            sock.close()
            return link
        self.connections[connection.fd] = connection
        self.links[link] = connection
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
                if error.errno in _EXHAUSTED:
                    now_s = time.monotonic()
                    if not self.refusing_since_s or now_s - self.refusing_since_s > REFUSAL_LOG_PAUSE_S:
                        self.refusing_since_s = now_s
                        self.logger("#", f"Accepting client connection: {error.strerror}")
                    self.poller.set(listener.fileno(), False, False)  # it would immediately be ready again
                    self.refusing.append(listener)
                return
            self.refusing_since_s = 0.0
            if kind in ("tls", "tls-bus"):
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
        """Connect; the node is notified by `opened` or `refused`."""
        try:
            infos = socket.getaddrinfo(effect.host, effect.port, type=socket.SOCK_STREAM)
            family, kind, proto, _, address = infos[0]
            sock = socket.socket(family, kind, proto)
            sock.setblocking(False)
            if effect.source:
                sock.bind((effect.source, 0))
            sock.connect(address)
        except BlockingIOError:
            pass
        except (OSError, *BAD_ADDRESS) as error:
            self.node.refused(effect.link, getattr(error, "strerror", None) or str(error), self.now())
            return
        connection = LiveConnection(sock, effect.link, effect.tls)
        connection.dialling = connection.writing = True
        connection.reading = False
        try:
            self._watch(connection, new=True)
        except OSError as error:
            sock.close()
            self.node.refused(effect.link, error.strerror or str(error), self.now())
            return
        self.connections[connection.fd] = connection
        self.links[effect.link] = connection

    def _secure(self, connection: LiveConnection) -> bool:
        """Continue the TLS handshake of an outgoing connection. Returns False if it failed."""
        assert isinstance(connection.sock, socket.socket)
        try:
            secured = TlsSocket(connection.sock, self.tls.get(self.current_node.config, server=False), server=False)
        except OSError as error:
            self._close(connection)
            self.node.refused(connection.link, str(error), self.now())
            return False
        connection.sock, connection.recv, connection.send = secured, secured.recv, secured.send
        return True

    def _dialled(self, connection: LiveConnection) -> None:
        error = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            if error:
                raise OSError(error, os.strerror(error))
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer, local = connection.sock.getpeername(), connection.sock.getsockname()  # fails if it is already gone
        except OSError as reason:
            self._close(connection)
            self.node.refused(connection.link, reason.strerror or str(reason), self.now())
            return
        connection.dialling = connection.writing = False
        connection.reading = True
        if connection.tls and not self._secure(connection):
            return
        self._watch(connection)
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

    def _keep(self, connection: LiveConnection, data: bytes) -> None:
        """Keep output that a socket did not accept until it is writable."""
        connection.unsent += data
        if not connection.writing:
            connection.writing = True
            self._watch(connection)
        self.node.output_pending(connection.link, len(connection.unsent), self.now())

    def _flush(self, connection: LiveConnection) -> None:
        try:
            sent = connection.send(memoryview(connection.unsent)[:LINGER_BYTES])
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lost(connection)
            return
        del connection.unsent[:sent]
        if connection.closing:
            connection.lingers_until_s = time.monotonic() + LINGER_S
        else:
            self.node.output_pending(connection.link, len(connection.unsent), self.now())
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
        if connection.unsent and effect.flush:
            connection.closing = True
            connection.reading = False
            connection.lingers_until_s = time.monotonic() + LINGER_S
            self.lingering[connection.fd] = connection
            self._watch(connection)
        else:
            self._close(connection)

    def _end_lingering(self) -> None:
        """Close lingering connections whose other end has stopped reading."""
        now_s = time.monotonic()
        for connection in list(self.lingering.values()):
            if connection.lingers_until_s <= now_s:
                self._close(connection)

    def _read_switch(self, link: int, on: bool) -> None:
        connection = self.links.get(link)
        if connection is not None and connection.reading != on:
            connection.reading = on
            self._watch(connection)

    def _stall(self, effect: fx.Stall) -> None:
        time.sleep(min(effect.duration_us / 1e6, threading.TIMEOUT_MAX))

    def _exit(self, effect: fx.Exit) -> None:
        self.exit_status = effect.status
        self.restart_after_us = effect.delay_us if effect.restart else None
        if effect.crash and self.on_crash is not None:
            self.on_crash(effect)

    def entitle(self, title: str = "") -> None:
        """Update the title of the process; `title` describes the task of a child."""
        if self.set_title is not None:
            node = self.current_node
            self.set_title(node.config, title, node.mode if not node.keeps_data else "")

    def close(self) -> None:
        """Close every socket. Unsent output is sent as far as that is possible without blocking.

        Nothing here blocks: a client that does not read must not delay the shutdown. Listeners are closed first, so a
        client that sees its connection close can be sure that the server accepts no new ones.
        """
        for kind, host, port in list(self.addresses):
            self._unlisten(fx.Unlisten(kind, host, port))
            if kind == "unix":
                with contextlib.suppress(OSError):
                    os.unlink(host)
        for connection in list(self.connections.values()):
            if connection.unsent:
                with contextlib.suppress(OSError):
                    connection.send(memoryview(connection.unsent))
            self._close(connection)


def _address(address: Any) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if sys.platform == "win32":  # pragma: no cover
    raise ImportError("redis-tutor needs a POSIX system")
