"""A Redis or Valkey of the learner's in the place of a lesson's own server.

It is looked at over one connection: reading commands alone, few and small (see `tutor.pictures.readings`), with
`CLIENT NO-TOUCH` where the server knows it. Without `writes` nothing but what the learner types reaches the server
otherwise, and of that only what reads.

With `writes` the server takes a lesson. It has to be empty: `mark` copies keys and settings, `undo` removes what is
there and restores the copy, and `stop` leaves the server empty and as it was set.
"""

import contextlib
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from engine.protocol.errors import ReplyError
from engine.table.declarations import READONLY
from tutor.client import TLS, Connection, LinkError
from tutor.lesson import model
from tutor.lesson.key_view import databases
from tutor.lesson.session import only_looks, words_of
from tutor.lesson.typed import declared
from tutor.lesson_server.parent import HostError
from tutor.prompt import to_text

ANSWER_SECONDS = 5.0
MOST_KEYS = 5000  # that a mark copies
READ_ONLY = 'This connection is read-only: {} may write or change the server. ":connect {} write" allows it.'
NOT_SENT = "{} is not sent to your server: it could end it, change its role or write its files."
NOT_TAKEN_BACK = "Nothing is taken back on a real server."
# What a lesson must not do to a server that is not its own: end it, change its role, write its files.
NEVER = frozenset(
    b"shutdown debug replicaof slaveof failover migrate module cluster save bgsave bgrewriteaof psync sync".split()
)
_HARMLESS = frozenset(  # they change the connection, and nothing else
    b"select hello auth ping quit reset multi exec discard watch unwatch subscribe psubscribe ssubscribe unsubscribe"
    b" punsubscribe sunsubscribe client|setname client|setinfo client|no-touch client|tracking client|reply help"
    b" asking readonly".split()
)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server is."""

    host: str = "127.0.0.1"
    port: int = 6379
    user: str = ""
    password: str = ""
    db: int = 0
    tls: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_address(text: str) -> ServerAddress:
    """Read `HOST`, `HOST:PORT` or `redis[s]://[user:password@]host[:port][/db]`. Raises ValueError."""
    parts = urlsplit(text if "://" in text else f"redis://{text}")
    path = parts.path.strip("/")
    if parts.scheme not in ("redis", "rediss", "valkey", "valkeys") or not parts.hostname or path.strip("0123456789"):
        raise ValueError(f"{text!r} is not an address: HOST:PORT or redis://user:password@host:port/db.")
    password, user = unquote(parts.password or ""), unquote(parts.username or "")
    if parts.username is not None and parts.password is None:  # as redis-cli reads it
        password, user = user, ""
    tls = parts.scheme in ("rediss", "valkeys")
    return ServerAddress(parts.hostname, parts.port or 6379, user, password, int(path or 0), tls)


def may_run(argv: Sequence[bytes]) -> bool:
    """Return whether a command changes nothing on the server."""
    name = argv[0].lower()
    pair = name + b"|" + argv[1].lower() if len(argv) > 1 else name
    command = declared(name)
    reads = command is not None and bool(command.flags & READONLY)
    return reads or name in _HARMLESS or pair in _HARMLESS or (only_looks(argv) and name != b"publish")


class RealServer:
    """The server, as a controller uses it (see `LessonServer`)."""

    directory = ""
    running = True

    def __init__(self, address: ServerAddress, writes: bool = False) -> None:
        self.address, self.writes = address, writes
        self._lock = threading.Lock()
        self._look: Connection | None = None
        self._db = 0
        self._numbers: dict[int, int] = {}  # clients, by file descriptor
        self._kept: dict[int, Any] = {}
        self._settings: dict[bytes, bytes] = {}

    # -- connections

    def _connect(self) -> Connection:
        """Return a connection that has authenticated. Raises LinkError."""
        at = self.address
        connection = Connection.tcp(at.host, at.port, timeout=ANSWER_SECONDS, tls=TLS() if at.tls else None)
        if at.password:
            reply = connection.call("AUTH", *([at.user] if at.user else []), at.password)
            if isinstance(reply, ReplyError):
                connection.close()
                raise LinkError(to_text(reply.text))
        return connection

    def connect(self, name: str = "") -> socket.socket:
        """Open a connection for a terminal. Raises LinkError."""
        try:
            connection = self._connect()
        except LinkError as error:
            raise LinkError(f"Could not connect to Redis at {self.address}: {error}") from error
        number = connection.call("CLIENT", "ID")
        self._numbers[connection.fileno()] = number if isinstance(number, int) else 0
        connection.socket.settimeout(None)
        return connection.socket

    def client_id(self, sock: socket.socket) -> int:
        """Return the server's number for a connection."""
        return self._numbers.get(sock.fileno(), 0)

    def took_along(self, sock: socket.socket) -> bool:
        """Return False: this server is never restarted."""
        return False

    # -- looking

    def _call(self, requests: Sequence[tuple[Sequence[bytes], int]]) -> list[Any]:
        """Run commands at once, each in its database. Raises HostError."""
        with self._lock:
            try:
                if self._look is None:
                    self._look, self._db = self._connect(), 0
                    self._look.call("CLIENT", "NO-TOUCH", "ON")
                    self._look.call("CLIENT", "SETNAME", "redis-tutor")
                wanted: list[bool] = []
                for argv, db in requests:
                    if db != self._db:
                        self._look.send([b"SELECT", b"%d" % db])
                        self._db = db
                        wanted.append(False)
                    self._look.send(list(argv))
                    wanted.append(True)
                replies = [self._look.read() for _ in wanted]
            except LinkError as error:
                if self._look is not None:
                    self._look.close()
                    self._look = None
                raise HostError(f"{self.address}: {error}") from error
        return [reply for reply, is_wanted in zip(replies, wanted, strict=True) if is_wanted]

    def inspect(self, argv: Sequence[bytes], db: int = 0) -> Any:
        """Run a reading command. Raises HostError; ValueError for another command."""
        return self.inspect_all([(argv, db)])[0]

    def inspect_all(self, requests: Sequence[tuple[Sequence[bytes], int]]) -> list[Any]:
        """Run reading commands, in one round trip."""
        asked = [each for each in requests if each[0][0].upper() != b"INSPECT"]  # which is our own servers'
        for argv, _ in asked:
            if not may_run(argv):
                raise ValueError(f"{to_text(argv[0])} is not a command that only reads")
        replies = iter(self._call(asked))
        return [
            next(replies) if each[0][0].upper() != b"INSPECT" else ReplyError(b"ERR not there") for each in requests
        ]

    # -- a lesson

    def refusal(self, lesson: model.Lesson) -> str:
        """Return why a lesson cannot be taken on this server, in one line; "" if it can. Raises HostError."""
        title, at = lesson.title, self.address
        if lesson.on_machines:
            return f"“{title}” needs several machines, a shell, or faults, which only the tutor's own servers have."
        if word := _never_in(lesson):
            return f"“{title}” uses {word}, which the tutor does only to its own servers."
        (about,) = self._call([((b"INFO",), 0)])
        if isinstance(about, ReplyError):
            return f"{at} answers {to_text(about.text)}"
        text = to_text(bytes(getattr(about, "text", about)))
        facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if facts.get("redis_mode", "standalone") != "standalone" or facts.get("role", "master") != "master":
            return f"{at} is not a standalone master: redis_mode {facts.get('redis_mode')}, role {facts.get('role')}."
        if keys := sum(databases(text.encode(errors="surrogateescape")).values()):
            held = "1 key" if keys == 1 else f"{keys:,} keys"
            return (
                f"{at} holds {held}. A lesson takes an empty server, and leaves it empty. (If an interrupted lesson "
                "left them there, FLUSHALL removes them.)"
            )
        return ""

    def begin(self, arguments: Sequence[str]) -> None:
        """Set what a lesson needs set. Raises HostError."""
        self._settings = self._read_settings()
        for name, values in _directives(arguments):
            (reply,) = self._call([((b"CONFIG", b"SET", name.encode(), values.encode()), 0)])
            if isinstance(reply, ReplyError):
                self.stop()
                raise HostError(f"The lesson needs `{name} {values}`: {to_text(reply.text)}")

    def _read_settings(self) -> dict[bytes, bytes]:
        (reply,) = self._call([((b"CONFIG", b"GET", b"*"), 0)])
        words = [bytes(each) for each in reply] if isinstance(reply, list) else []
        return dict(zip(words[::2], words[1::2]))

    def mark(self) -> int:
        """Copy keys, functions and settings; returns the copy's place. Raises HostError."""
        if not self.writes:
            return 0
        (about,) = self._call([((b"INFO", b"keyspace"), 0)])
        counts = databases(about)
        place = max(self._kept, default=0) + 1
        if sum(counts.values()) > MOST_KEYS:
            self._kept[place] = None
            return place
        names = zip(counts, self._call([((b"KEYS", b"*"), db) for db in counts]))
        keys = [(db, bytes(key)) for db, found in names for key in found]
        copied = self._call([(argv, db) for db, key in keys for argv in ((b"DUMP", key), (b"PTTL", key))])
        data = list(zip(keys, copied[::2], copied[1::2]))
        self._kept[place] = data, self._call([((b"FUNCTION", b"DUMP"), 0)])[0], self._read_settings()
        return place

    def undo(self, place: int) -> int:
        """Restore a copy. Raises HostError."""
        kept = self._kept.get(place)
        if kept is None:
            why = f"there were more than {MOST_KEYS:,} keys" if self.writes and place in self._kept else ""
            raise HostError(f"This cannot be taken back: {why}." if why else NOT_TAKEN_BACK)
        data, functions, settings = kept
        self._empty()
        self._call(
            [
                ((b"RESTORE", key, b"%d" % max(0, ttl), dump), db)
                for (db, key), dump, ttl in data
                if isinstance(dump, bytes) and isinstance(ttl, int) and ttl != -2
            ]
        )
        if isinstance(functions, bytes):
            self._call([((b"FUNCTION", b"RESTORE", functions), 0)])
        self._set(settings)
        self._kept = {number: copy for number, copy in self._kept.items() if number <= place}
        return 0

    def _empty(self) -> None:
        self._call([((b"FLUSHALL",), 0), ((b"FUNCTION", b"FLUSH"), 0), ((b"SCRIPT", b"FLUSH"), 0)])

    def _set(self, settings: dict[bytes, bytes]) -> None:
        now = self._read_settings()
        changed = [(name, value) for name, value in settings.items() if now.get(name) != value]
        self._call([((b"CONFIG", b"SET", name, value), 0) for name, value in changed])

    def stop(self) -> None:
        """Leave the server: after a lesson empty, and set as it was."""
        if self.writes and self._settings:
            with contextlib.suppress(HostError):
                self._empty()
                self._set(self._settings)
            self._settings = {}
        with self._lock:
            if self._look is not None:
                self._look.close()
                self._look = None


def why_not(lesson: str, server: str) -> str:
    """Return why a lesson cannot be taken on a server, in one line; "" if it can."""
    from tutor.lesson.catalogue import installed_course
    from tutor.lesson.reading import Problems

    try:
        real = RealServer(parse_address(server))
        try:
            return real.refusal(installed_course().open(lesson))
        finally:
            real.stop()
    except Problems:
        return ""  # which are told where the lesson is opened
    except (ValueError, LookupError, HostError) as error:
        return str(error.args[0])


def why_never(argv: Sequence[bytes]) -> str:
    """Return why a lesson does not send a command to a server that is not its own; "" if it does."""
    name = argv[0].lower()
    if name in NEVER or (name == b"config" and argv[1:2] and argv[1].lower() == b"rewrite"):
        return NOT_SENT.format(to_text(argv[0]).upper())
    return ""


def _never_in(lesson: model.Lesson) -> str:
    """Return a command of a lesson that is not done to other people's servers, if it has one."""
    for step in lesson.steps:
        lines = [each.command for example in step.examples for each in example.exchanges if each.command]
        lines += [line for task in step.tasks for line in (*task.setup, *task.solution)]
        for line in lines:
            argv = words_of(model.split_line(line, lesson.terminals)[1]) or [b""]
            if why_never(argv):
                return to_text(argv[0]).upper()
    return ""


def _directives(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Return the directives of a server's command line."""
    found: list[tuple[str, list[str]]] = []
    for word in arguments:
        if word.startswith("--"):
            found.append((word.removeprefix("--"), []))
        elif found:
            found[-1][1].append(word)
    return [(name, " ".join(values)) for name, values in found]
