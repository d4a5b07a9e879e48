"""Python for a lesson's terminal: a child process with a console (`python_console`), and the way back.

What the learner's program sends to the servers of the lesson is kept as the bytes that it was (`Ran.sent`): these can
be sent again, and Python never runs again for it. An undo brings back variables as well: at each moment to which it
can go back, a copy of the process waits.
"""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from engine.protocol.resp import ProtocolError, Request, RequestLimits
from tutor.lesson.checks import Attempt, kept
from tutor.lesson.printed import Said
from tutor.lesson.python_console import UNREADABLE, Address
from tutor.lesson.side_effects import changes

PROGRAM = Path(__file__).with_name("python_console.py")
OFF = "REDIS_TUTOR_NO_PYTHON"  # set this where others type: Python would run with the rights of your account
IS_OFF = f"Python is switched off here ({OFF} is set).\n"
ENDED = "Python ended. It was started again: its variables are lost.\n"
START_SECONDS = 60.0
COMPLETE_SECONDS = 0.5
MOST_COPIES = 40  # that wait; older moments get Python without its variables
MOST_INTERRUPTS = 3  # of a statement: the last one ends Python
MOST_COMMANDS = 50  # of a statement, which count as typed
MOST_BYTES = 1 << 20  # of a statement, which are kept

Route = tuple[Address, Address, str]  # an address of the lesson, where it is on this computer, the server's name


class Piece(NamedTuple):
    """What was sent at once on a connection; None: it was closed. Connections of one process have one `life`."""

    life: int
    number: int
    server: str
    data: bytes | None


class Ran(Said):
    """What a statement printed, whether it failed, and what it sent: None if that was too much to be kept."""

    failed: bool
    sent: "list[Piece] | None"
    assigns: bool  # whether it is more than an expression

    def __new__(cls, text: str, failed: bool, sent: "list[Piece] | None", assigns: bool = False) -> "Ran":
        """Make it of what was printed."""
        ran = super().__new__(cls, text)
        ran.failed, ran.sent, ran.assigns = failed, sent, assigns
        return ran

    @cached_property
    def pieces(self) -> list[list[tuple[bytes, ...]]]:
        """The commands that the server got, those that were sent at once together."""
        parsers: dict[int, Request] = {}
        return [
            requests(parsers.setdefault(each.number, Request()), each.data)
            for each in self.sent or ()
            if each.data is not None
        ]

    @property
    def changes(self) -> bool:
        """Whether it changed something that an undo would have to bring back."""
        return self.assigns or self.sent is None or any(changes(argv) for piece in self.pieces for argv in piece)

    def attempts(self, terminal: str, own: bool) -> list[Attempt]:
        """Return its commands, the first of them: they count as if they had been typed."""
        commands = [(argv, len(piece)) for piece in self.pieces for argv in piece if argv]
        return [
            Attempt(terminal, kept(argv), "", own=own, together=together)
            for argv, together in commands[:MOST_COMMANDS]
        ]

    def as_row(self) -> dict[str, Any]:
        """Return it as a row of the journal."""
        kept = None
        if self.sent is not None:
            kept = [[*each[:3], None if each.data is None else each.data.decode("latin-1")] for each in self.sent]
        return {"printed": str(self), "failed": self.failed, "assigns": self.assigns, "sent": kept}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Ran":
        """Return it from a row of the journal. Raises ValueError if the row does not have all that was sent."""
        if row["sent"] is None:
            raise ValueError("it sent more than the journal keeps")
        sent = [
            Piece(int(life), int(number), str(server), None if data is None else str(data).encode("latin-1"))
            for life, number, server, data in row["sent"]
        ]
        return cls(str(row["printed"]), bool(row["failed"]), sent, bool(row["assigns"]))


def ran_in(replies: Iterable[Any]) -> Ran | None:
    """Return what a statement of Python did, if the replies to a line are that."""
    return next((reply for reply in replies if isinstance(reply, Ran)), None)


def requests(parser: Request, data: bytes) -> list[tuple[bytes, ...]]:
    """Return the requests that are complete with these bytes; what cannot be read as requests is left out."""
    parser.buffer += data
    found: list[tuple[bytes, ...]] = []
    with contextlib.suppress(ProtocolError):
        while (argv := parser.next(RequestLimits())) is not None:
            found.append(tuple(argv))
    return found


class Abandoned(Exception):  # noqa: N818
    """The statement that ran is one that never was: the lesson went back to before it."""


@dataclass(slots=True, eq=False)
class _Process:
    """A process with a console."""

    channel: socket.socket
    popen: "subprocess.Popen[bytes] | None" = None  # of one that is not a copy
    pid: int = 0
    unread: bytes = field(default=b"")

    def send(self, **message: object) -> None:
        self.channel.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """Return the next message. Raises OSError when the process has ended."""
        while b"\n" not in self.unread:
            data = self.channel.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            self.unread += data
        line, _, self.unread = self.unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def begin(self) -> "_Process":
        """Take note of its number. Raises OSError."""
        self.channel.settimeout(START_SECONDS)
        self.pid = self.receive()["pid"]
        self.channel.settimeout(None)
        return self

    def copy(self) -> "_Process":
        """Return a copy, while nothing runs. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.channel, [b'{"clone": ""}\n'], [theirs.fileno()])
        return _Process(ours).begin()

    def end(self, kill: bool = False) -> None:
        if kill:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)  # which wakes the reader
        self.channel.close()
        if self.popen is not None:
            self.popen.wait()


class PythonConsole:
    """The Python of one terminal. It starts with the first statement. `routes`: see `python_console`."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [[*known, *real, name] for known, real, name in routes]
        self._life = 0  # of the process, or that it is a copy of
        self._folder = tempfile.TemporaryDirectory(prefix="redis-tutor-")
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._runs = False
        self._interrupts = 0  # of the statement that runs
        self._latest: _Process | None = None  # the copy with the variables of now, unless something ran since
        self._ran = False
        self._copies: dict[int, _Process | None] = {}  # by place; None: Python had not begun
        self._lost: set[int] = set()  # places whose copies have been given up

    def run(self, source: str, show: Callable[[str], object] = lambda text: None) -> Ran:
        """Run a statement; `show` gets what it prints, at once. Raises Abandoned."""
        if os.environ.get(OFF):
            show(IS_OFF)
            return Ran(IS_OFF, True, [])
        printed: list[str] = []
        sent: list[Piece] = []
        size, failed = 0, True

        def out(text: str) -> None:
            printed.append(text)
            show(text)

        with self._lock:
            try:
                process = self._process = self._process or self._start()
            except OSError as error:
                out(f"Python cannot be started: {error}\n")
                return Ran("".join(printed), True, [])
            self._runs = self._ran = True
            self._interrupts = 0
        try:
            process.send(run=source)
            while "over" not in (message := process.receive()):
                if "began" in message and self._interrupts:  # Ctrl-C came too early
                    self._signal(signal.SIGINT)
                elif "out" in message:
                    out(message["out"])
                elif "sent" in message and size <= MOST_BYTES:
                    number, server, data = message["sent"]
                    sent.append(Piece(self._life, number, server, None if data is None else base64.b64decode(data)))
                    size += len(data or "")
            failed = message["over"]
        except OSError:
            with self._lock:
                if self._process is not process:
                    raise Abandoned from None
                process.end()
                self._process = None
            out(ENDED)
        finally:
            self._runs = False
        return Ran("".join(printed), failed, sent if size <= MOST_BYTES else None, is_statement(source))

    def _start(self) -> _Process:
        ours, theirs = socket.socketpair()
        program = [sys.executable, "-I", str(PROGRAM), str(theirs.fileno()), json.dumps(self._routes)]
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with theirs:
            popen = subprocess.Popen(
                program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True, cwd=self._folder.name, env=environment,
            )  # fmt: skip
        self._life = time.time_ns()
        return _Process(ours, popen).begin()

    def interrupt(self) -> None:
        """Interrupt what runs, as Ctrl-C does; a program that does not listen is ended at last."""
        with self._lock:
            self._interrupts += 1
            self._signal(signal.SIGINT if self._interrupts < MOST_INTERRUPTS else signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._runs and self._process is not None:
            os.kill(self._process.pid, number)

    def complete(self, text: str) -> Sequence[str]:
        """Return what a name may become; nothing while a statement runs."""
        if not self._lock.acquire(blocking=False):
            return ()
        try:
            if self._process is None or self._runs:
                return ()
            self._process.channel.settimeout(COMPLETE_SECONDS)
            self._process.send(complete=text)
            while "completions" not in (message := self._process.receive()):
                pass  # what a thread of the program printed
            found: list[str] = message["completions"]
            self._process.channel.settimeout(None)
            return found
        except OSError:
            assert self._process is not None
            self._process.end(kill=True)
            self._process = None
            return ()
        finally:
            self._lock.release()

    def mark(self, place: int) -> None:
        """Keep this moment. While a statement runs, it is the one before it."""
        with self._lock:
            if self._process is not None and self._ran and not self._runs:
                with contextlib.suppress(OSError):  # it has ended, which the next statement will tell
                    self._latest, self._ran = self._process.copy(), False
            self._copies[place] = self._latest
            copies = list(dict.fromkeys(each for each in self._copies.values() if each is not None))
            if len(copies) > MOST_COPIES:
                self._lost |= {at for at, each in self._copies.items() if each is copies[0]}
                self._copies = {at: each for at, each in self._copies.items() if each is not copies[0]}
                copies[0].end()

    def undo(self, place: int) -> bool:
        """Go back to a moment that was kept; returns whether the variables are those that it had."""
        with self._lock:
            self._lost -= {each for each in self._lost if each > place}
            for at in [each for each in self._copies if each > place]:
                later = self._copies.pop(at)
                if later is not None and later is not self._latest and later not in self._copies.values():
                    later.end()
            copy = self._copies.get(place)
            if self._process is not None:
                before, self._process = self._process, None
                before.end(kill=True)
            if self._latest is not None and self._latest not in self._copies.values():
                self._latest.end()
            self._latest, self._ran = copy, False
            if copy is not None:
                with contextlib.suppress(OSError):
                    self._process = copy.copy()
            return place not in self._lost

    def close(self) -> None:
        """End it, with all its copies."""
        with self._lock:
            ended = {each for each in (self._process, self._latest, *self._copies.values()) if each is not None}
            self._process = self._latest = None
            self._copies.clear()
            for each in ended:
                each.end(kill=True)
        self._folder.cleanup()


def is_statement(source: str) -> bool:
    """Return whether a line is more than an expression: an assignment, an import, a block.

    What cannot be compiled does nothing.
    """
    kinds = []
    for mode in ("eval", "exec"):
        with contextlib.suppress(*UNREADABLE), warnings.catch_warnings(action="ignore"):
            compile(source, "", mode)
            kinds.append(mode)
    return kinds == ["exec"]
