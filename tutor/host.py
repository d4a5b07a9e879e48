"""The lesson's server: an engine of its own in a child process, with a way back in time.

The program on the screen and the server share nothing but sockets, so an endless script or a million writes never
holds up a frame. Terminals talk to the server over ordinary connections (`connect`), like any client. Beside them
runs a control channel for what no client could do: look without leaving a trace (`peek`), note a place (`mark`),
come back to it (`undo`), and hear what happens (`events`).

Messages are pickles, each after its length; both ends are this program.
"""

import contextlib
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.resp import Argv, Reply


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes that crossed the wire between a terminal and the server; `data` may be cut, `size` is all of it."""

    now_us: int
    client: int
    to_server: bool
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """So many events came at once that this number of them is not told one by one."""

    count: int


@dataclass(frozen=True, slots=True)
class Undone:
    """The server went back to a place; `closed` connections from outside were cut."""

    place: int
    closed: int


class HostError(Exception):
    """The lesson's server could not do what was asked, or is gone."""


class LessonServer:
    """A server in a child process. Use `start`, then `connect` for every terminal; `stop` ends it.

    `on_event` is called with every event (see `engine.events`, and the classes above), from a thread of this
    object's own.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", channel: socket.socket, directory: str) -> None:
        self._process = process
        self._channel = channel
        self._lock = threading.Lock()
        self._answers: dict[int, tuple[threading.Event, list[Any]]] = {}
        self._next = 1
        self.directory = directory
        self.host = "127.0.0.1"
        self.port = 0
        self.on_event: Callable[[Any], None] | None = None
        self._reader = threading.Thread(target=self._read, name="lesson-server-events", daemon=True)

    @classmethod
    def start(
        cls,
        directory: str,
        arguments: tuple[str, ...] = (),
        on_event: Callable[[Any], None] | None = None,
        seed: int | None = None,
        machine: dict[str, Any] | None = None,
    ) -> "LessonServer":
        """Start a server with redis-server's arguments; `directory` holds its files. Raises HostError.

        `machine` makes it one of several (see `tutor.hosted.Machine`): it loads its files, and knows other hosts.
        """
        ours, theirs = socket.socketpair()
        told = json.dumps(machine or {})
        command = [
            sys.executable, "-m", "tutor.hosted", str(theirs.fileno()), str(seed or 0), directory, told, *arguments
        ]  # fmt: skip
        environment = dict(os.environ)
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
        process = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is the program's, not the server's
        )
        theirs.close()
        server = cls(process, ours, directory)
        server.on_event = on_event
        try:
            while not isinstance(hello := receive_message(ours), dict):
                pass  # what happened while it read its files is not told: nobody sees the terminals yet
        except (EOFError, OSError):
            hello = None
        if hello is None:
            assert process.stderr is not None
            reason = process.stderr.read().decode(errors="replace").strip().splitlines()
            process.wait()
            if machine and reason:
                raise HostError("\n".join(reason))
            raise HostError(reason[-1] if reason else f"the server ended with status {process.returncode}")
        server.port = hello["port"]
        server._reader.start()
        return server

    def connect(self) -> socket.socket:
        """Open a connection for a terminal of the tutor: it survives an undo, its state going back with the rest."""
        sock = socket.create_connection((self.host, self.port))
        self._ask("adopt", _address(sock))
        return sock

    def peek(self, argv: Argv, db: int = 0) -> Reply:
        """Run a reading command without leaving any trace; returns its reply value (an error is a ReplyError)."""
        return self._ask("peek", argv, db)

    def peeks(self, requests: list[tuple[Argv, int]]) -> list[Reply]:
        """Run several reading commands, each with its database, at one moment; returns their reply values."""
        replies: list[Reply] = self._ask("peeks", requests)
        return replies

    def mark(self) -> int:
        """Note this moment; returns its place for `undo`."""
        place: int = self._ask("mark")
        return place

    def undo(self, place: int) -> int:
        """Bring the server back to a place; returns how many outside connections were closed for it."""
        closed: int = self._ask("undo", place)
        return closed

    def client_id(self, sock: socket.socket) -> int:
        """Return the server's number of a connection (as CLIENT ID gives it)."""
        number: int = self._ask("client_id", _address(sock))
        return number

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process.poll() is None

    def terminate(self, timeout_s: float = 15.0) -> None:
        """Have the server shut down as SIGTERM does: it saves if it is to. Raises HostError if it does not end."""
        with contextlib.suppress(HostError):
            self._ask("signal", "term")
        self.wait(timeout_s)

    def wait(self, timeout_s: float) -> None:
        """Wait for the process to end. Raises HostError."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise HostError("the lesson's server does not end") from error

    def kill(self) -> None:
        """Kill the process, as SIGKILL does."""
        self._process.kill()
        self._process.wait()
        self.stop()

    def cut_power(self) -> None:
        """End the process, and take from its files what was never fsynced."""
        with contextlib.suppress(HostError):
            self._ask("cut_power")
        self.kill()

    def stop(self) -> None:
        """End the server."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _ask(self, name: str, *args: Any, timeout_s: float = 30.0) -> Any:
        waiting = threading.Event()
        answer: list[Any] = []
        with self._lock:
            number = self._next
            self._next += 1
            self._answers[number] = (waiting, answer)
            try:
                send_message(self._channel, (number, name, args))
            except OSError as error:
                raise HostError("the lesson's server is gone") from error
        if not waiting.wait(timeout_s):
            raise HostError(f"the lesson's server is busy: no answer in {timeout_s:g} s")
        if not answer:
            raise HostError("the lesson's server is gone")
        if isinstance(answer[0], Exception) and name != "peek":
            raise HostError(str(answer[0])) from answer[0]
        return answer[0]

    def _read(self) -> None:
        try:
            while True:
                message = receive_message(self._channel)
                if isinstance(message, tuple):
                    number, result = message
                    waiting, answer = self._answers.pop(number)
                    answer.append(result)
                    waiting.set()
                elif self.on_event is not None:
                    for event in message:
                        self.on_event(event)
        except (EOFError, OSError):
            for waiting, _ in list(self._answers.values()):
                waiting.set()


def _address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


def send_message(channel: socket.socket, message: Any) -> None:
    """Send one message."""
    data = pickle.dumps(message, protocol=5)
    channel.sendall(struct.pack("!I", len(data)) + data)


def receive_message(channel: socket.socket) -> Any:
    """Receive one message; raises EOFError when the other end is gone."""
    (size,) = struct.unpack("!I", _exactly(channel, 4))
    return pickle.loads(_exactly(channel, size))


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = channel.recv(min(1 << 20, size - len(data)))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)
