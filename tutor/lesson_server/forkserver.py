"""Processes that start at once, since another has imported for them what they run.

Imports are most of what the start of a server takes, and a lesson on machines starts one server a machine, all of
them again when it goes back. So one process, the fork server, imports the module and forks at each request. It has
one thread: what it forks holds no lock of another. It ends with the program that uses it.

    servers = ForkServer("engine.live.server")
    child = servers.start(["--port", "6379"], [stdin, stdout, stderr])  # engine.live.server.main(["--port", "6379"])
    child.wait()

Each process has a socket between its user and the fork server, which writes the process's number and, later, how it
ended; what its user writes are signals. (Only the parent of a process can signal it and be sure which one it is.)
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tutor.lesson_server.messages import receive_call, send_message

ROOT = str(Path(__file__).resolve().parents[2])
END_SECONDS = 5.0
_HIGHEST = 256  # no descriptor of a copied process is higher
_FIRST_FREE = 64  # descriptors that arrive are moved here before they get their numbers


_NUMBER = struct.Struct("!i")
_Request = tuple[list[str], str, dict[str, str] | None]  # arguments, directory, environment


class ForkedProcess:
    """A process that a fork server has forked. Its methods are those of `subprocess.Popen`."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stderr: IO[bytes] | None = None
        self._line = line
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit status (a signal as a negative number), or None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends; returns the exit status. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def _look(self, timeout_s: float | None) -> int | None:
        if self.returncode is None:
            poller = select.poll()
            poller.register(self._line, select.POLLIN)
            if poller.poll(None if timeout_s is None else timeout_s * 1000):
                with self._lock:
                    if self.returncode is None:
                        self.returncode = self._status()
        return self.returncode

    def _status(self) -> int:
        with contextlib.suppress(OSError):
            if answer := self._line.recv(_NUMBER.size):
                status: int = _NUMBER.unpack(answer)[0]
                return status
        # The fork server has ended, so the end of this process could not be reported: it ends now.
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        return -signal.SIGKILL

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(OSError):
                self._line.sendall(bytes([number]))

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Copy:
    """A fork server that is a copy of this process, with the methods of `subprocess.Popen` that are used here."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Wait until it ends. Raises subprocess.TimeoutExpired."""
        until = time.monotonic() + (timeout or 0)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(self.pid, os.WNOHANG if timeout is not None else 0)[0] == 0:
                if time.monotonic() > until:
                    raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
                time.sleep(0.005)
        return b"", b""

    def kill(self) -> None:
        """Send SIGKILL."""
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    """A process that runs a module's `main(arguments) -> exit status` in forked children; it starts when needed."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | _Copy | None = None
        self._channel: socket.socket | None = None

    def start(
        self,
        arguments: Sequence[str],
        descriptors: Sequence[int],
        directory: str = "",
        environment: dict[str, str] | None = None,
    ) -> ForkedProcess:
        """Start a process in a session of its own, whose descriptors 0, 1, 2 … are those given. Raises OSError.

        If the first is a terminal, it becomes the session's.
        """
        request: _Request = list(arguments), directory, environment
        for last in (False, True):
            channel, began = self._running()
            ours, theirs = socket.socketpair()
            with theirs, self._lock, contextlib.suppress(BrokenPipeError):
                send_message(channel, request, [theirs.fileno(), *descriptors])
            answer = ours.recv(_NUMBER.size)
            if answer:
                break
            ours.close()
            reason = self._gone(began)
            if last:  # it ended twice
                raise OSError(reason)
        (pid,) = _NUMBER.unpack(answer)
        if pid < 0:
            ours.close()
            raise OSError(-pid, os.strerror(-pid))
        return ForkedProcess(pid, ours)

    def copy(self) -> None:
        """Start it as a copy of this process: what is loaded is shared, and not loaded a second time.

        This process must have one thread, and must have imported the module.
        """
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            status = 1
            with contextlib.suppress(BaseException):
                os.setsid()
                kept = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD, 3)
                null = os.open(os.devnull, os.O_RDWR)
                for number in range(3):
                    os.dup2(null, number)
                os.closerange(3, kept)
                os.closerange(kept + 1, _HIGHEST)
                status = main([str(kept), self._module])
            os._exit(status)
        theirs.close()
        with self._lock:
            self._close()
            self._process, self._channel = _Copy(pid), ours
        atexit.register(self.close)

    def preload(self) -> None:
        """Start it now, so that the first process is not slower than the others."""
        self._running()

    def _running(self) -> "tuple[socket.socket, subprocess.Popen[bytes] | _Copy]":
        with self._lock:
            if self._process is None or self._channel is None:
                self._channel, theirs = socket.socketpair()
                path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))
                with theirs:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", "tutor.lesson_server.forkserver", str(theirs.fileno()), self._module],
                        pass_fds=[theirs.fileno()],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                        env=os.environ | {"PYTHONPATH": path},
                        start_new_session=True,  # Ctrl-C in the terminal is the program's
                    )
                atexit.register(self.close)
            return self._channel, self._process

    def _gone(self, process: "subprocess.Popen[bytes] | _Copy") -> str:
        """Forget a process that has ended; returns its last words."""
        words: list[str] = []
        with self._lock:
            if self._process is process:
                words = self._close().decode(errors="replace").strip().splitlines()
        return words[-1] if words else "the process that starts servers has ended"

    def close(self) -> None:
        """End the fork server. What it has forked runs on."""
        with self._lock:
            self._close()

    def _close(self) -> bytes:
        """End it; returns what it wrote to standard error."""
        atexit.unregister(self.close)
        process, channel = self._process, self._channel
        self._process = self._channel = None
        if process is None or channel is None:
            return b""
        channel.close()
        try:
            return process.communicate(timeout=END_SECONDS)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()[1]


# -- in the fork server


@dataclass
class _Forks:
    """The children of a fork server, and the sockets by which each is known."""

    channel: socket.socket
    lines: dict[int, socket.socket] = field(default_factory=dict)
    ended: tuple[int, int] = field(default_factory=os.pipe)  # is written to when a child ends

    def serve(self) -> tuple[_Request, list[int]] | None:
        """Fork at every request. Returns None when there will be no more, and in each child what was requested."""
        os.set_blocking(self.ended[1], False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.ended[1], warn_on_full_buffer=False)
        poller = select.poll()
        for number in (self.channel.fileno(), self.ended[0]):
            poller.register(number, select.POLLIN)
        while True:
            for number, _ in poller.poll():
                if number == self.ended[0]:
                    os.read(number, 4096)
                    self._bury(poller)
                elif number == self.channel.fileno():
                    try:
                        request, (line, *descriptors) = receive_call(self.channel)
                    except (EOFError, OSError):
                        return None
                    if self._fork(socket.socket(fileno=line), poller):
                        return request, descriptors
                    for each in descriptors:
                        os.close(each)
                else:
                    self._signal(number, poller)

    def _fork(self, line: socket.socket, poller: "select.poll") -> bool:
        """Fork; returns whether this is the child."""
        try:
            pid = os.fork()
        except OSError as error:
            with line, contextlib.suppress(OSError):
                line.sendall(_NUMBER.pack(-(error.errno or 1)))
            return False
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (self.channel, line, *self.lines.values()):
                each.close()
            for number in self.ended:
                os.close(number)
            return True
        line.setblocking(False)
        self.lines[pid] = line
        poller.register(line, select.POLLIN)
        with contextlib.suppress(OSError):
            line.sendall(_NUMBER.pack(pid))
        return False

    def _bury(self, poller: "select.poll") -> None:
        for pid in list(self.lines):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with self.lines.pop(pid) as line:
                    if line.fileno() >= 0:
                        poller.unregister(line)
                        with contextlib.suppress(OSError):
                            line.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))

    def _signal(self, number: int, poller: "select.poll") -> None:
        """Send a child the requested signals, or stop listening for it when its requester has gone."""
        for pid, line in self.lines.items():
            if line.fileno() == number:
                with contextlib.suppress(BlockingIOError):
                    signals = line.recv(64)
                    if not signals:
                        poller.unregister(line)
                        line.close()
                    for each in signals:
                        os.kill(pid, each)
                return


def _become(request: _Request, descriptors: Sequence[int]) -> list[str]:
    """Make a forked child a process of its own; returns its arguments."""
    arguments, directory, environment = request
    os.setsid()
    moved = [fcntl.fcntl(number, fcntl.F_DUPFD, _FIRST_FREE) for number in descriptors]
    for number in descriptors:
        os.close(number)
    for target, number in enumerate(moved):
        os.dup2(number, target, inheritable=target <= 2)
        os.close(number)
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if directory:
        os.chdir(directory)
    if environment is not None:
        os.environ.clear()
        os.environ.update(environment)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream.isatty())  # type: ignore[union-attr]
    sys.argv[1:] = arguments
    return arguments


def main(argv: list[str]) -> int:
    """Fork children that run a module: `forkserver.py CHANNEL MODULE`."""
    run: Callable[[list[str]], int] = importlib.import_module(argv[1]).main
    gc.collect()
    gc.freeze()  # no child ever copies what it has only looked at
    wanted = _Forks(socket.socket(fileno=int(argv[0]))).serve()
    if wanted is None:
        return 0
    status = 1
    try:
        status = run(_become(*wanted))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)  # taking down what was imported costs as much as all the rest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
