"""The console of a Python terminal: a separate program, which runs what the learner types and can go back.

It is started with `python -I` and knows nothing of the tutor; `python_process` is the tutor's side. On the channel,
whose descriptor is its first argument, both sides write JSON, an object a line:

    → {"run": source}            a whole statement
      ← {"began": true}          unless Python cannot read it; from now on, SIGINT interrupts it
      ← {"out": text}            what it prints, at once
      ← {"sent": [N, server, base64]}    what it sends on connection N; None when that connection is closed
      ← {"over": failed}
    → {"complete": text}         ← {"completions": [text, …]}
    → {"clone": ""}              with a socket, which becomes the channel of a copy of this process
      ← {"pid": number}          also the first thing that a process says

A copy has all variables; one that waits is a moment to go back to. Its connections are closed, since the server goes
back as well.

The second argument is JSON: each address of the lesson, where it really is on this computer, and the server's name.
To the program, the lesson's server is at 127.0.0.1:6379, as its prompt says. No other address can be reached, so that
a mistake in a line cannot reach the learner's own Redis.
"""

import base64
import builtins
import contextlib
import errno
import io
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
import warnings
import weakref
from types import FrameType
from typing import Any, ClassVar, NoReturn

FILE = "<stdin>"
MOST_CHARACTERS = 200_000  # that a statement may print
MOST_COMPLETIONS = 60
LOOK_SECONDS = 0.5  # between two looks whether the tutor is still there
MISSING = "This terminal needs redis-py: install it with `pip install redis`, where redis-tutor is installed."
STAYS = "Python stays, as long as the lesson lasts. To leave the lesson, type :quit."

# What compiling a source raises that Python cannot read.
UNREADABLE = (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError)

Address = tuple[str, int]


class Channel:
    """The connection to the tutor."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._unread = b""
        self._lock = threading.Lock()  # the learner's threads print, too
        self.is_sending = self.was_interrupted = False  # the main thread

    def send(self, **message: object) -> None:
        """Send a whole object, even if Ctrl-C comes meanwhile. A process that the tutor has left ends here."""
        is_main = threading.current_thread() is threading.main_thread()
        try:
            with self._lock:
                self.is_sending = is_main
                self.end.sendall(json.dumps(message).encode() + b"\n")
                self.is_sending = False
        except OSError:
            os._exit(0)
        if is_main and self.was_interrupted:
            self.was_interrupted = False
            raise KeyboardInterrupt

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Return the next object, with the descriptors that came with it."""
        descriptors: list[int] = []
        while b"\n" not in self._unread:
            try:
                data, found, _, _ = socket.recv_fds(self.end, 1 << 16, 1)
            except OSError:
                data, found = b"", []
            if not data:
                os._exit(0)
            self._unread += data
            descriptors += found
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line), descriptors

    def is_open(self) -> bool:
        """Return whether the tutor is still there."""
        poll = select.poll()
        poll.register(self.end, 0)
        return not poll.poll(0)


class Printed(io.TextIOBase):
    """What the program prints, line by line and not without end."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._line = ""
        self.left = MOST_CHARACTERS
        self.left_out = 0

    def writable(self) -> bool:
        """See `io.TextIOBase`."""
        return True

    def write(self, text: str) -> int:
        """Print text."""
        kept = text[: self.left]
        self.left -= len(kept)
        self.left_out += len(text) - len(kept)
        self._line += kept
        if "\n" in kept:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Pass on what was printed."""
        text, self._line = self._line, ""
        if text:
            self._console.channel.send(out=text)

    def end(self) -> None:
        """Pass on the rest of what a statement printed, with an end to its last line."""
        if self._line:
            self._line += "\n"
        self.flush()
        if self.left_out:
            self._console.channel.send(out=f"… and {self.left_out:,} more characters\n")
        self.left, self.left_out = MOST_CHARACTERS, 0


class LessonSocket(socket.socket):
    """A socket that reaches the servers of the lesson, and reports what is sent on it."""

    console: "Console"
    routes: dict[Address, Address]
    names: dict[Address, str]
    all: ClassVar["weakref.WeakSet[LessonSocket]"] = weakref.WeakSet()
    number = 0  # of the connection; 0: it is none of the lesson's
    server = ""

    def connect(self, address: Any) -> None:
        """See `socket.socket`."""
        real = self.routes.get(address[:2]) if isinstance(address, tuple) else None
        if real is None or self.family != socket.AF_INET:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        super().connect(real)
        self.console.connections += 1
        self.number, self.server = self.console.connections, self.names[address[:2]]
        self.all.add(self)

    def connect_ex(self, address: Any) -> int:
        """See `socket.socket`."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or errno.ECONNREFUSED
        return 0

    def getpeername(self) -> Any:
        """See `socket.socket`: the address that the lesson knows."""
        real = super().getpeername()
        return next((known for known, there in self.routes.items() if there == real), real)

    def send(self, data: Any, *flags: int) -> int:
        """See `socket.socket`."""
        size = super().send(data, *flags)
        self._tell(bytes(data)[:size])
        return size

    def sendall(self, data: Any, *flags: int) -> None:
        """See `socket.socket`."""
        self._tell(bytes(data))
        super().sendall(data, *flags)

    def shutdown(self, how: int) -> None:
        """See `socket.socket`."""
        self._ended()
        super().shutdown(how)

    def close(self) -> None:
        """See `socket.socket`."""
        self._ended()
        super().close()

    def _ended(self) -> None:
        if self.number:
            self._tell(None)
            self.number = 0

    def _tell(self, data: bytes | None) -> None:
        if self.number:
            text = None if data is None else base64.b64encode(data).decode()
            self.console.channel.send(sent=[self.number, self.server, text])


class Leave:
    """What `exit` and `quit` are here."""

    def __repr__(self) -> str:
        return STAYS

    def __call__(self, *status: object) -> NoReturn:
        """Do as in Python; `Console` answers it."""
        raise SystemExit(*status)


class Console:
    """The console of one process."""

    def __init__(self, channel: Channel) -> None:
        import rlcompleter  # here alone: it makes itself the completer of readline, which the plain mode reads with

        self.channel = channel
        self.connections = 0
        self.names: dict[str, Any] = {"__name__": "__main__", "__doc__": None}
        self.output = Printed(self)
        self._complete = rlcompleter.Completer(self.names).complete
        self._runs = False
        self._is_missing = False
        try:
            import redis  # noqa: F401 - so that the learner's import takes no time
        except ImportError:
            self._is_missing = True

    def serve(self) -> NoReturn:
        """Do what the tutor asks for, until it is gone."""
        self.channel.send(pid=os.getpid())
        while True:
            message, descriptors = self.channel.receive()
            if "run" in message:
                self._run(message["run"])
            elif "complete" in message:
                self.channel.send(completions=self._completions(message["complete"]))
            elif "clone" in message:
                self._clone(*descriptors)

    def interrupted(self, signum: int, frame: FrameType | None) -> None:
        """Handle Ctrl-C, which is meant for the statement that runs."""
        if self.channel.is_sending:
            self.channel.was_interrupted = self._runs
        elif self._runs:
            raise KeyboardInterrupt

    def look(self, signum: int, frame: FrameType | None) -> None:
        """End with the tutor, whatever runs."""
        if not self.channel.is_open():
            os._exit(0)

    def _run(self, source: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
        failed = True
        try:
            failed = self._statement(source)
        except KeyboardInterrupt:  # it came at the very end
            self.output.write("KeyboardInterrupt\n")
        finally:
            self._runs = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.output.end()
        self.channel.send(over=failed)

    def _statement(self, source: str) -> bool:
        """Run a statement; returns whether it failed."""
        if self._is_missing:
            self.output.write(f"{MISSING}\n")
            return True
        try:
            compiled = compile(source + "\n", FILE, "single", dont_inherit=True)
        except UNREADABLE as error:
            self.output.write("".join(traceback.format_exception_only(error)))
            return True
        try:
            self._runs = True
            self.channel.send(began=True)
            exec(compiled, self.names)
        except SystemExit:
            self.output.write(f"{STAYS}\n")
            return False
        except BaseException as error:
            self._runs = False
            self.output.write(trimmed(error))
            return True
        self._runs = False
        return False

    def _completions(self, text: str) -> list[str]:
        found: list[str] = []
        with contextlib.suppress(Exception):
            while len(found) < MOST_COMPLETIONS and (each := self._complete(text, len(found))) is not None:
                found.append(each)
        return found

    def _clone(self, descriptor: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a copy has none of the learner's threads
            pid = os.fork()
        if pid:
            os.close(descriptor)
            return
        self.channel.end.close()
        self.channel = Channel(socket.socket(fileno=descriptor))
        for each in list(LessonSocket.all):
            each.number = 0
            each.close()
        self.channel.send(pid=os.getpid())


def trimmed(error: BaseException) -> str:
    """Return a traceback with the learner's own lines alone, and the exception that came out of them."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f'  File "{FILE}", line {each.lineno}, in {each.name}\n' for each in frames if each.filename == FILE]
    head = ["Traceback (most recent call last):\n"] if own else []
    return "".join([*head, *own, *traceback.format_exception_only(error)])


def main() -> NoReturn:
    """Begin: `python_console.py CHANNEL ROUTES`."""
    console = Console(Channel(socket.socket(fileno=int(sys.argv[1]))))
    LessonSocket.console = console
    routes = json.loads(sys.argv[2])
    LessonSocket.routes = {(host, port): (real, there) for host, port, real, there, _ in routes}
    LessonSocket.names = {(host, port): name for host, port, _, _, name in routes}
    socket.socket = LessonSocket  # type: ignore[misc]
    signal.signal(signal.SIGINT, console.interrupted)
    signal.signal(signal.SIGALRM, console.look)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # copies leave nothing behind
    sys.stdout = sys.stderr = console.output
    sys.argv = [""]
    builtins.exit = builtins.quit = Leave()  # type: ignore[assignment]
    console.serve()


if __name__ == "__main__":
    main()
