"""The server of a lesson: an engine in a child process, with undo.

The user interface and the server share only sockets, so an endless script or a million writes never delays a frame.
Terminals talk to the server over ordinary connections (`connect`), like any client. A control channel does what no
client can: read without side effects (`inspect`), set a mark (`mark`), return to it (`undo`), and receive events
(`events`).

A lesson survives the end of its server: see `HostProcess`.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from engine.protocol.resp import Argv, Reply
from tutor.lesson_server.forkserver import ForkedProcess, ForkServer
from tutor.lesson_server.messages import receive_message, send_message

START_SECONDS = 30.0
ANSWER_SECONDS = 30.0  # and as long again as virtual time passes: a busy machine may simulate no faster than that
MOST_ENDS = 10  # in a row, without any input between them
WENT_AWAY = 75  # the exit status of a process to be replaced: see `HostedLoop.do_undo`

JOURNAL = 4  # a descriptor in the child

_processes = ForkServer("tutor.lesson_server.processes")


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


@dataclass(frozen=True, slots=True)
class Recovered:
    """The server process ended, and a new one has its data: all of it, or the data at an earlier `place`."""

    end: str  # how it ended, as the end of a sentence
    server: str = ""  # which server, if there are several
    earlier: bool = False

    @property
    def text(self) -> str:
        """What the learner reads."""
        name = f"The server {self.server}" if self.server else "The server"
        data = "earlier data" if self.earlier else "the same data"
        return f"{name} {self.end}. It was restarted with {data}."


class HostError(Exception):
    """The lesson's server could not execute a request, or has ended."""


def fork_servers_here() -> None:
    """Have the servers of lessons share this process's memory: it must have one thread (see `ForkServer.copy`)."""
    from tutor.lesson_server import processes  # noqa: F401 - what they run

    _processes.copy()


class HostProcess:
    """A child process of the tutor that hosts servers, with a control channel, a journal and undo.

    When the process ends by itself or is killed (SHUTDOWN, a crash, a signal), the next one starts with the data of
    the journal, without the command that ended it. Connections are lost; calls wait meanwhile. Places for `undo` stay
    what they were.

    `on_event` is called with every event, from a thread of this object's own.
    """

    def __init__(self, on_event: Callable[[Any], None] | None) -> None:
        self.on_event = on_event
        self._own = tempfile.TemporaryDirectory(prefix="redis-tutor-")
        self.path = os.path.join(self._own.name, "s")
        self._journal = tempfile.TemporaryFile()  # noqa: SIM115 - open until `stop`
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._life = 0  # which process it is
        self._state = "up"  # or "down" while the next process starts, or "gone"
        self._why_gone = "the lesson's server is gone"
        self._stopping = False
        self._ends = 0  # since the last mark
        self._marks: list[int] = []  # the first and the last
        self._answers: dict[int, tuple[threading.Event, list[Any]]] = {}
        self._next = 1
        self._numbers: weakref.WeakKeyDictionary[socket.socket, tuple[int, int]] = weakref.WeakKeyDictionary()
        self._process, self._channel = self._launch()
        self._reader = threading.Thread(target=self._read, name="lesson-server-events", daemon=True)

    def _program(self) -> list[str]:
        """Return the program's name (see `processes`) and its arguments; its journal is descriptor `JOURNAL`."""
        raise NotImplementedError

    def _launch(self) -> tuple[ForkedProcess, socket.socket]:
        """Start a process; returns it with its control channel. Raises HostError."""
        ours, theirs = socket.socketpair()
        errors, their_errors = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        name, *arguments = self._program()
        try:
            process = _processes.start(
                [name, "3", *arguments], [null, null, their_errors, theirs.fileno(), self._journal.fileno()]
            )
        except OSError as error:
            os.close(errors)
            ours.close()
            raise HostError(f"the lesson's server cannot start: {error}") from error
        finally:
            theirs.close()
            for number in (null, their_errors):
                os.close(number)
        process.stderr = os.fdopen(errors, "rb")
        try:
            while not isinstance(receive_message(ours), dict):
                pass  # skip what happened while it read its files: the terminals are not visible yet
        except (EOFError, OSError):
            assert process.stderr is not None
            reason = process.stderr.read().decode(errors="replace").strip().splitlines()
            process.wait()
            process.stderr.close()
            ours.close()
            raise HostError(reason[-1] if reason else f"the server {_end(process.wait())}") from None
        return process, ours

    def mark(self) -> int:
        """Note this moment; returns its place for `undo`."""
        place: int = self._ask("mark")
        self._marks = [*self._marks[:1], place]
        self._ends = 0
        return place

    def undo(self, place: int) -> int:
        """Bring the server back to a place; returns how many outside connections were closed for it."""
        closed: int = self._ask("undo", place)
        return closed

    def client_id(self, sock: socket.socket) -> int:
        """Return the number that the server gave to a connection (as CLIENT ID gives it)."""
        return self._numbers[sock][0]

    @property
    def running(self) -> bool:
        """Whether the server is running, or restarting."""
        return self._state != "gone"

    @property
    def pid(self) -> int:
        """The ID of the current server process."""
        return self._process.pid

    def took_along(self, sock: socket.socket) -> bool:
        """Return whether a lost connection ended with its process, which is being replaced."""
        life = self._numbers.get(sock, (0, self._life))[1]
        with self._changed:
            asked = self._send("ping") if self._state == "up" and self._life == life else None
        if asked is not None:  # the connection's end may be seen a little before the process's, which gives no answer
            waiting, answer = asked
            waiting.wait(START_SECONDS)
            with self._changed:
                self._changed.wait_for(
                    lambda: bool(answer) or self._state != "up" or self._life != life, START_SECONDS
                )
        return self._state == "down" or self._life != life

    def wait_until_up(self) -> None:
        """Wait until the next process has started. Raises HostError if there will be none."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._state != "down", START_SECONDS) or self._state == "gone":
                raise HostError(self._why_gone)

    def stop(self) -> None:
        """End the server."""
        self._stopping = True
        _end_process(self._process, self._channel)
        if self._reader.is_alive() and self._reader is not threading.current_thread():
            self._reader.join(START_SECONDS)
        self._journal.close()
        self._own.cleanup()

    def _ask(self, name: str, *args: Any, timeout_s: float = ANSWER_SECONDS, descriptors: Sequence[int] = ()) -> Any:
        until = time.monotonic() + timeout_s
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._state != "down", timeout_s)
                if self._state == "gone":
                    raise HostError(self._why_gone)
                life = self._life
                waiting, answer = self._send(name, *args, descriptors=descriptors)
            if not waiting.wait(max(0.0, until - time.monotonic())):
                raise HostError(f"the lesson's server is busy: no answer in {timeout_s:g} s")
            if answer:
                break
            self._wait_for_next(life)  # which is asked again
        if isinstance(answer[0], Exception) and name != "inspect":
            raise HostError(str(answer[0])) from answer[0]
        return answer[0]

    def _send(self, name: str, *args: Any, descriptors: Sequence[int] = ()) -> tuple[threading.Event, list[Any]]:
        """Send a request (the lock is held); returns what is set at the answer, or at the process's end, and it."""
        waiting, answer = self._answers[self._next] = threading.Event(), []
        self._next += 1
        try:
            send_message(self._channel, (self._next - 1, name, args), descriptors)
        except OSError:
            waiting.set()  # its end is about to be noticed
        return waiting, answer

    def _wait_for_next(self, life: int) -> None:
        """Wait for the successor of a process. Raises HostError if there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._life != life or self._state == "gone", START_SECONDS)
            if self._life == life:
                raise HostError(self._why_gone)

    # -- the reader's thread

    def _read(self) -> None:
        while True:
            with contextlib.suppress(EOFError, OSError):
                while True:
                    self._hear(receive_message(self._channel))
            with self._changed:
                self._state = "gone" if self._stopping else "down"
                self._changed.notify_all()
                answers, self._answers = self._answers, {}
            for waiting, _ in answers.values():
                waiting.set()
            status = _end_process(self._process, self._channel)
            if self._state == "gone" or not self._recover(status):
                return

    def _hear(self, message: Any) -> None:
        if isinstance(message, tuple):
            number, result = message
            waiting, answer = self._answers.pop(number)
            answer.append(result)
            waiting.set()
        elif self.on_event is not None:
            for event in message:
                self.on_event(event)

    def _recover(self, status: int) -> bool:
        """Start the next process with the data of the previous one."""
        from_outside = status in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, WENT_AWAY)
        self._ends += not from_outside
        earlier = self._ends > 1 and bool(self._marks)  # this data makes the server end by itself
        failure: HostError | None = HostError("the lesson's server keeps ending")
        if self._ends <= MOST_ENDS:
            try:
                process, channel = self._launch()
            except (HostError, OSError) as error:
                failure = error if isinstance(error, HostError) else HostError(str(error))
            else:
                failure = None
                if self._stopping:
                    _end_process(process, channel)
                    failure = HostError(self._why_gone)
        with self._changed:
            if failure is not None:
                self._state, self._why_gone = "gone", str(failure)
            else:
                self._process, self._channel = process, channel
                self._life += 1
                self._state = "up"
            self._changed.notify_all()
        if failure is not None:
            return False
        if earlier:
            self._go_back(self._marks[-1 if self._ends == 2 else 0])
        if self.on_event is not None and status != WENT_AWAY:
            self.on_event(Recovered(_end(status), earlier=earlier))
        return True

    def _go_back(self, place: int) -> None:
        """Request an undo from the reader thread, which must read the answer itself."""
        with self._changed:
            self._send("undo", place)


class LessonServer(HostProcess):
    """A server in a child process. Use `start`, then `connect` for every terminal; `stop` ends it.

    Events are those of `engine.observe.events`, and the classes above.
    """

    def __init__(
        self, directory: str, arguments: tuple[str, ...], on_event: Callable[[Any], None] | None, seed: int | None
    ) -> None:
        self.directory = directory
        self._arguments, self._seed = arguments, seed
        super().__init__(on_event)

    @classmethod
    def start(
        cls,
        directory: str,
        arguments: tuple[str, ...] = (),
        on_event: Callable[[Any], None] | None = None,
        seed: int | None = None,
    ) -> "LessonServer":
        """Start a server with redis-server's arguments; `directory` holds its files. Raises HostError."""
        server = cls(directory, arguments, on_event, seed)
        server._reader.start()
        return server

    def _program(self) -> list[str]:
        told = {"socket": self.path, "journal": JOURNAL}
        return ["server", str(self._seed or 0), self.directory, json.dumps(told), *self._arguments]

    def connect(self, name: str = "") -> socket.socket:
        """Open a connection for a terminal of the tutor: it survives an undo, its state going back with the rest.

        If the terminal of this name had a different connection at the place of an undo, it gets the state of that
        one.
        """
        ours, theirs = socket.socketpair()
        try:
            number = self._ask("adopt", name, descriptors=[theirs.fileno()])
        except HostError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._numbers[ours] = number, self._life
        return ours

    def skip_time(self, seconds: float) -> None:
        """Let time pass for the server, at once."""
        self._ask("skip_time", int(seconds * 1e6))

    def inspect(self, argv: Argv, db: int = 0) -> Reply:
        """Run a reading command without leaving any trace; returns its reply value (an error is a ReplyError)."""
        return self._ask("inspect", argv, db)

    def inspect_all(self, requests: list[tuple[Argv, int]]) -> list[Reply]:
        """Run several reading commands, each with its database, at one moment; returns their reply values."""
        replies: list[Reply] = self._ask("inspect_all", requests)
        return replies


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A machine of a world: its server's redis.conf, and whether the server runs at first and restarts by itself.

    The server of a machine can be a Sentinel. `address` is where it listens, with the port.
    """

    address: str
    config: tuple[str, ...]
    started: bool
    restarts: bool
    sentinel: bool = False
    port: int = 0  # of 127.0.0.1, on which other programs reach its server; 0: they cannot


class WorldServer(HostProcess):
    """The machines of a lesson, simulated in one child process. Events come with the name of their machine."""

    def __init__(
        self,
        machines: dict[str, MachineSpec],
        on_event: Callable[[tuple[str, Any]], None] | None = None,
        seed: int | None = None,
    ) -> None:
        """Make the machines and start their servers. Raises HostError."""
        self._machines, self._seed = machines, seed
        super().__init__(on_event)
        self._reader.start()

    def _program(self) -> list[str]:
        machines = {name: astuple(spec) for name, spec in self._machines.items()}
        told = {"machines": machines, "sockets": self._own.name, "journal": JOURNAL}
        return ["world", str(self._seed or 0), json.dumps(told)]

    def socket_path(self, machine: str, port: int = 0) -> str:
        """Return the path of the socket on which other programs reach a server, by default at its main port."""
        main = not port or self._machines[machine].address.endswith(f":{port}")
        return os.path.join(self._own.name, machine if main else f"{machine}:{port}")

    def listens(self, machine: str, port: int) -> bool:
        """Return whether a machine's server listens on a port."""
        return bool(self._ask("listens", machine, port))

    def connect(self, machine: str, name: str) -> socket.socket:
        """Open a connection for a terminal, known as `name` in the world; an undo restores its state and keeps it.

        Raises ConnectionRefusedError.
        """
        ours, theirs = socket.socketpair()
        try:
            number = self._ask("adopt", machine, name, descriptors=[theirs.fileno()])
        except HostError as error:
            ours.close()
            raise ConnectionRefusedError(111, "Connection refused") from error
        finally:
            theirs.close()
        if not number:
            ours.close()
            raise ConnectionRefusedError(111, "Connection refused")
        self._numbers[ours] = number, self._life
        return ours

    def inspect_all(self, machine: str, requests: list[tuple[Argv, int]]) -> list[Reply]:
        """Run reading commands, each with its database, without a trace. Raises HostError if the server is down."""
        replies: list[Reply] = self._ask("inspect_all", machine, requests)
        return replies

    def is_running(self, machine: str) -> bool:
        """Return whether a machine's server runs."""
        return bool(self._ask("is_running", machine))

    def start_server(self, machine: str) -> None:
        """Start a machine's server with its redis.conf. Raises HostError with what it said."""
        if failure := self._ask("start", machine):
            raise HostError(failure)

    def end_server(self, machine: str, way: str) -> None:
        """End a machine's server: `terminate` (SIGTERM), `kill` (SIGKILL) or `cut_power`. Raises HostError."""
        self._ask(way, machine)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the world, at once."""
        self._ask("pass_time", int(seconds * 1e6), timeout_s=ANSWER_SECONDS + seconds)

    def wait_for_output(self, name: str, seconds: float) -> None:
        """Let time pass until there is output for a terminal, or so many seconds have passed."""
        self._ask("wait_for_output", name, int(seconds * 1e6), timeout_s=ANSWER_SECONDS + seconds)

    def files(self, machine: str) -> dict[str, int]:
        """Return the files of a machine's data folder with their sizes in bytes."""
        found: dict[str, int] = self._ask("files", machine)
        return found

    def read(self, machine: str, name: str) -> bytes | None:
        """Return what a file holds, None if there is none."""
        data: bytes | None = self._ask("read", machine, name)
        return data

    def write(self, machine: str, name: str, data: bytes) -> None:
        """Write a file."""
        self._ask("write", machine, name, data)

    def remove(self, machine: str, name: str) -> None:
        """Remove a file."""
        self._ask("remove", machine, name)

    def log(self, machine: str) -> bytes:
        """Return a server's log."""
        data: bytes = self._ask("log", machine)
        return data

    def restarted(self, name: str) -> bool:
        """Return whether the connection of a terminal ended with its server, which was restarted by itself."""
        return bool(self._ask("restarted", name))

    def hold(self, held: bool) -> None:
        """Have the time of the machines stand still, or go on from where it stands."""
        self._ask("hold", held)

    def continue_from(self, lines: list[dict[str, Any]], end: dict[str, Any]) -> int:
        """Go on from another branch: its actions and its end; returns the place where it leaves the present one.

        Raises HostError if it does not run here as it did there; the machines are then as they were.
        """
        place: int = self._ask("continue_from", lines, end)
        if place < 0:
            raise HostError("That branch does not run the same here: the lesson's servers are as they were.")
        return place

    def history(self) -> bytes:
        """Return all that has happened, as a file of the laboratory."""
        data: bytes = self._ask("history")
        return data


def _end(status: int) -> str:
    """Return how a process ended, as the end of a sentence."""
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return "has shut down" if status == 0 else "has crashed"


def _end_process(process: ForkedProcess, channel: socket.socket) -> int:
    """Close the channel, which ends a server; returns its exit status."""
    with contextlib.suppress(OSError):
        channel.shutdown(socket.SHUT_RDWR)
    channel.close()
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()
    return process.wait()
