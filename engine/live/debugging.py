"""Debugging sessions of scripts: a dialog with one client, in this process or in a forked child.

During a session the process does nothing else: it waits for the client, outside the loop. A child shares the
loop's epoll with the parent, so it must not touch it: it closes everything but the client's socket, executes no
effects of the node except log lines, and exits when the session ends. The parent keeps a pipe to each child; the end
of the pipe shows that the child has ended.
"""

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any

from engine.effects import Converse, Debug, DebugStarted, Effect, EndDebug, Log, Stall
from engine.live.forking import fork
from engine.live.snapshots import become_child

if TYPE_CHECKING:
    from engine.live.loop import LiveConnection, Loop

DEBUG_EFFECTS = (Debug, Converse, EndDebug)
READ_BYTES = 1024  # only data that was read together with a command is dropped after it
SEND_TIMEOUT_MS = 5000


class Debuggers:
    """The debugging sessions of a loop and of its children."""

    def __init__(self, loop: "Loop") -> None:
        self.loop = loop
        self.forked = False  # this process is a child
        self.pids: dict[int, int] = {}  # the children, each with the descriptor of its pipe

    def run_now(self, effect: Effect) -> Any:
        """Execute one of DEBUG_EFFECTS; in a child, any effect that the node waits for."""
        match effect:
            case Debug():
                try:
                    return self._begin(effect)
                except OSError as error:
                    return error
            case Converse():
                return self._converse(effect)
            case EndDebug():
                return self._end(effect)
            case Stall():
                time.sleep(effect.duration_us / 1e6)
        return None

    # --- the session of this process ------------------------------------------------------------------------------

    def _begin(self, effect: Debug) -> DebugStarted:
        connection = self.loop.links[effect.link]
        if not effect.forked:
            self._send(connection, b"")
            return DebugStarted()
        return self._fork(connection)

    def _converse(self, effect: Converse) -> bytes:
        connection = self.loop.links.get(effect.link)
        if connection is None or not self._send(connection, effect.data):
            return b""
        while True:
            try:
                return connection.recv(READ_BYTES)
            except BlockingIOError:
                if not self._wait(connection, select.POLLIN, None):
                    return b""
            except OSError:
                return b""

    def _end(self, effect: EndDebug) -> None:
        connection = self.loop.links.get(effect.link)
        if connection is not None:
            self._send(connection, effect.data)
        if self.forked:
            os._exit(0)
        self.loop.nudge()  # process the input that arrived during the session: see `_wait`

    def _send(self, connection: "LiveConnection", data: bytes) -> bool:
        """Send data after any unsent output of a pipeline. Returns False if that takes too long."""
        unsent, connection.unsent = bytes(connection.unsent) + data, bytearray()
        while unsent:
            try:
                unsent = unsent[connection.send(unsent) :]
            except BlockingIOError:
                if not self._wait(connection, select.POLLOUT, SEND_TIMEOUT_MS):
                    return False
            except OSError:
                return False
        return True

    def _wait(self, connection: "LiveConnection", event: int, timeout_ms: int | None) -> bool:
        """Wait until a socket is ready. Returns False after the timeout or a signal."""
        waiting = select.poll()
        waiting.register(connection.fd, event)
        if not self.forked:
            waiting.register(self.loop.wake_read, select.POLLIN)
        while ready := dict(waiting.poll(timeout_ms)):
            if self.loop.signals:
                return False
            if connection.fd in ready:
                return True
            with contextlib.suppress(OSError):
                os.read(self.loop.wake_read, 4096)  # a background fsync has ended: handled after the session
        return False

    # --- children -------------------------------------------------------------------------------------------------

    def _fork(self, connection: "LiveConnection") -> DebugStarted:
        """Fork a child that keeps the connection; the parent loses it. Raises OSError."""
        loop = self.loop
        pid, fd, took_us = fork()
        if not pid:
            self._become_child(connection)
            return DebugStarted()
        loop.poller.forget(connection.fd)
        del loop.connections[connection.fd], loop.links[connection.link]
        connection.sock.close()
        self.pids[pid] = fd
        loop.hooks[fd] = lambda: self._ended(pid)
        loop.poller.set(fd, True, False, new=True)
        return DebugStarted(pid, took_us)

    def _become_child(self, kept: "LiveConnection") -> None:
        loop = self.loop
        self.forked = True
        self.pids = {}
        loop.signals = []  # they belong to the parent
        become_child(loop)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if loop.poller.epoll is not None:
            loop.poller.epoll.close()
        for connection in list(loop.connections.values()):
            if connection is not kept:
                connection.sock.close()
        loop.links = {kept.link: kept}
        loop.connections = {kept.fd: kept}
        for effect in loop.carry:
            if effect is not Log:
                loop.carry[effect] = _ignore

    def _ended(self, pid: int) -> None:
        reading = self.pids.pop(pid)
        self.loop.poller.forget(reading)
        del self.loop.hooks[reading]
        os.close(reading)
        os.waitpid(pid, 0)

    def kill(self) -> None:
        """Kill all children."""
        for pid in list(self.pids):
            self.loop.logger("*", f"Killing debugging session {pid}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._ended(pid)


def _ignore(effect: Any) -> None:
    """Do nothing: a child's copy of the server must not execute the node's effects."""
