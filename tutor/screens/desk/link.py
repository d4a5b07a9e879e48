"""One terminal's connection to its server, in a thread of its own.

The thread sends what is entered, one command at a time, and reads whatever comes: replies, published messages,
MONITOR's lines. It formats as redis-cli does and hands rows over; a reply of a million elements is read and cut here,
so that the screen never waits for it.
"""

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from engine.errors import ReplyError
from engine.resp import Push, Reply
from tutor.client import Connection, LinkError
from tutor.course.server import patience
from tutor.prompt import (
    PromptState,
    format_invalidate,
    help_text,
    is_invalidate,
    plain,
    prints_raw,
    reply_spans,
    split_args,
    to_text,
)
from tutor.prompt.replies import INCOMPLETE
from tutor.prompt.state import SUBSCRIBE, UNSUBSCRIBE
from tutor.widgets.rows import Row, Span, clean, row

BLOCKING = frozenset(
    b"blpop brpop brpoplpush blmove blmpop bzpopmin bzpopmax bzmpop wait waitaof xread xreadgroup".split()
)
PATIENCE_SECONDS = 0.15  # how long the course gives a command that may wait
ANSWER_SECONDS = 30.0
MAX_ROWS = 1000  # of one reply
SLOW_SECONDS = 0.5  # from here on redis-cli says how long a command took

LOOKS = {
    "status": "reply",
    "error": "error",
    "integer": "number",
    "double": "number",
    "string": "string",
    "nil": "dim",
    "empty": "dim",
    "boolean": "number",
    "index": "dim",
    "verbatim": "plain",
}


@dataclass(frozen=True, slots=True)
class Done:
    """A line was carried out. `argv` is empty when nothing went to the server."""

    line: str
    argv: tuple[bytes, ...]
    replies: tuple[Reply, ...]
    db: int
    typed_for: str | None

    @property
    def error(self) -> ReplyError | None:
        """The error that it was answered with, if any."""
        return next((reply for reply in self.replies if isinstance(reply, ReplyError)), None)


@dataclass(slots=True)
class _Quiet:
    """A command that the course runs in this terminal, unseen."""

    argv: list[bytes]
    replies: "Future[list[Reply]]"


@dataclass(frozen=True, slots=True)
class _Reopen:
    """The server is there again; `fresh` makes it a terminal that was just opened."""

    fresh: bool


class _Abandoned(Exception):  # noqa: N818
    """Nobody waits for this reply any more: the server went back to before it was asked for."""


def reply_rows(reply: Reply, verbatim: bool = False) -> list[Row]:
    """Return a reply as rows, as redis-cli prints it for people; a very long one is cut, and says so."""
    rows: list[Row] = []
    spans: list[Span] = []
    cut = 0
    if isinstance(reply, list) and len(reply) > MAX_ROWS:
        cut = len(reply) - MAX_ROWS
        reply = type(reply)(reply[:MAX_ROWS])
    for style, text in reply_spans(reply, verbatim=verbatim):
        look = LOOKS.get(style, "plain")
        *whole, rest = text.split("\n")
        for line in whole:
            if len(rows) < MAX_ROWS:
                rows.append(Row((*spans, (clean(line.rstrip("\r")), look)), indent=0))
            else:
                cut += 1
            spans = []
        if rest:
            spans.append((clean(rest), look))
    if spans:
        rows.append(Row(tuple(spans)))
    while rows and not rows[-1].text.strip() and len(rows) > 1:
        rows.pop()
    if cut:
        rows.append(row(f"… and {cut:,} more lines", "note"))
    return rows


class Link:
    """A terminal's connection. `output`, `changed`, `done` and `arrived` are called from the link's thread.

    `connect` opens a new connection and is called again after one was lost or interrupted.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], socket.socket],
        state: PromptState,
        output: Callable[[list[Row]], None],
        changed: Callable[[bool], None],
        done: Callable[[Done], None],
        arrived: Callable[[Reply], None],
    ) -> None:
        self.name = name
        self.state = state
        self._connect = connect
        self._show, self._changed, self._done, self._arrived = output, changed, done, arrived
        self._lines: queue.SimpleQueue[tuple[str, str | None] | _Quiet | _Reopen | None] = queue.SimpleQueue()
        self.there: Callable[[], bool] = lambda: True  # whether its server runs
        self.muted = False  # while the course does something in here that the learner is not to see
        self.busy = False
        self._abandoned = False
        self._wake_r, self._wake_w = os.pipe()
        self._connection: Connection | None = None
        self._interrupted = False
        self._closing = False
        self._subscribed: dict[bytes, set[bytes]] = {}
        self._thread = threading.Thread(target=self._run, name=f"terminal-{name}", daemon=True)

    def start(self) -> None:
        """Connect, if there is a server, and begin."""
        if self.there():
            self._open()
        self._thread.start()

    def submit(self, line: str, typed_for: str | None = None) -> None:
        """Carry out a line."""
        self._lines.put((line, typed_for))
        self._wake()

    def quietly(self, argv: list[bytes]) -> list[Reply]:
        """Run a command unseen and return its replies; none for one that waits. Not from the link's own thread."""
        quiet = _Quiet(argv, Future())
        self._lines.put(quiet)
        self._wake()
        blocking = argv[0].lower() in BLOCKING and not self.state.in_multi
        try:
            return quiet.replies.result(patience(argv) if blocking else ANSWER_SECONDS)
        except TimeoutError:
            return []

    def abandon(self) -> None:
        """Stop waiting for a reply that will not come; the connection stays."""
        if self.busy:
            self._abandoned = True
            self._wake()

    def reopen(self, fresh: bool = False) -> None:
        """Connect again after the server was away. With `fresh`, forget what the terminal was in the middle of."""
        if fresh:
            self.abandon()
        self._lines.put(_Reopen(fresh))
        self._wake()

    def _reopen(self, fresh: bool) -> None:
        if fresh:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._subscribed.clear()
            self.state.connection_lost()
            self.state.db = self.state.wanted_db = 0
        if self._connection is None and self.there():
            self._open()

    def interrupt(self) -> None:
        """Give up what runs, as Ctrl-C in redis-cli does while it waits: the connection is closed and opened anew."""
        self._interrupted = True
        self._wake()

    def close(self) -> None:
        """End the thread and the connection."""
        self._closing = True
        self._lines.put(None)
        self._wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(2)
        if self._connection is not None:
            self._connection.close()
        for end in (self._wake_r, self._wake_w):
            with contextlib.suppress(OSError):
                os.close(end)

    @property
    def socket(self) -> socket.socket | None:
        """The connection's socket."""
        return self._connection.socket if self._connection else None

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_w, b"!")

    def _open(self) -> bool:
        try:
            self._connection = Connection(self._connect())
        except (OSError, LinkError, RuntimeError) as error:
            self._connection = None
            self.state.connection_lost()
            told = str(error)
            self._output([row(told if told.startswith("Could") else f"Could not connect: {told}", "error")])
            return False
        self.state.connected = True
        return True

    def _lost(self, error: LinkError | None) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._subscribed.clear()
        self.state.connection_lost()
        if error is not None:
            self._output([row(f"Error: {error}", "error")])

    def _output(self, rows: list[Row]) -> None:
        if not self.muted:
            self._show(rows)

    # -- the thread

    def _run(self) -> None:
        while not self._closing:
            try:
                self._idle()
            except LinkError as error:
                if self._closing:
                    return
                self._lost(None if self._interrupted else error)
                if self._interrupted:
                    self._interrupted = False
                    self._open()
                self._changed(False)

    def _idle(self) -> None:
        connection = self._connection
        while not self._closing:
            if connection is None:
                os.read(self._wake_r, 4096)
                ready = False
            else:
                ready = connection.wait(self._wake_r)
                if not ready:
                    os.read(self._wake_r, 4096)
            if ready and connection is not None:
                connection.receive()
                while (reply := connection.buffered()) is not INCOMPLETE:
                    self._pushed(reply)
            self._interrupted = False  # Ctrl-C at an idle prompt only clears the line
            while not self._lines.empty():
                item = self._lines.get()
                if item is None:
                    return
                self.busy = True
                self._abandoned = False
                try:
                    if isinstance(item, _Quiet):
                        self._run_quietly(item)
                    elif isinstance(item, _Reopen):
                        self._reopen(item.fresh)
                    else:
                        self._carry_out(*item)
                except _Abandoned:
                    pass
                finally:
                    self.busy = False
                self._changed(False)
                connection = self._connection

    def _run_quietly(self, quiet: _Quiet) -> None:
        if self._connection is None and not self._open():
            quiet.replies.set_result([])
            return
        try:
            replies = self._call(quiet.argv, quiet=True)
        except LinkError as error:
            quiet.replies.set_result([ReplyError(f"Error: {error}".encode())])
            raise
        quiet.replies.set_result(replies)

    def _pushed(self, reply: Reply) -> None:
        """Show what came unasked: a published message, an invalidation."""
        if self.muted:
            return
        self._arrived(reply)
        if is_invalidate(reply):
            self._output([row(to_text(format_invalidate(reply)).rstrip(), "note")])
        else:
            self._output(reply_rows(reply))

    def _carry_out(self, line: str, typed_for: str | None) -> None:
        argv = split_args(line)
        if argv is None:
            self._output([row("Invalid argument(s)", "error")])
            self._done(Done(line, (), (), self.state.db, typed_for))
            return
        repeat = 1
        if len(argv) > 1 and argv[0].isdigit():
            repeat, argv = min(int(argv[0]), 100_000), argv[1:]
        if not argv:
            self._done(Done(line, (), (), self.state.db, typed_for))
            return
        if argv[0].lower() in (b"help", b"?"):
            text = plain(help_text(argv[1:]))
            self._output([row(each, "note") for each in text.strip("\n").splitlines()])
            self._done(Done(line, (), (), self.state.db, typed_for))
            return
        for _ in range(max(1, repeat)):
            if self._connection is None and not self._open():
                self._done(Done(line, (), (), self.state.db, typed_for))
                return
            db = self.state.db
            try:
                replies = self._call(argv)
            except (LinkError, _Abandoned):
                ended = argv[0].lower() == b"shutdown"  # which answers by ending the connection
                self._done(Done(line, tuple(argv) if ended else (), (), db, typed_for))
                raise
            self._done(Done(line, tuple(argv), tuple(replies), db, typed_for))

    def _call(self, argv: list[bytes], quiet: bool = False) -> list[Reply]:
        connection = self._connection
        assert connection is not None
        started = time.monotonic()
        connection.send(argv)
        name = argv[0].lower()
        replies: list[Reply] = []
        for number in range(self._expected(name, argv)):
            reply = self._read(name)
            replies.append(reply)
            self.state.after(argv, reply)
            self._note_subscription(name, reply)
            if not quiet:
                rows = reply_rows(reply, verbatim=prints_raw(argv))
                elapsed = time.monotonic() - started
                if elapsed >= SLOW_SECONDS and number == 0:
                    rows.append(row(f"({elapsed:.2f}s)", "dim"))
                self._output(rows)
            if isinstance(reply, ReplyError):
                break
        if name == b"monitor" and not quiet and not isinstance(replies[0], ReplyError):
            self._done(Done("MONITOR", tuple(argv), tuple(replies), self.state.db, None))
            self._output([row("(Ctrl-C stops it)", "note")])
            while True:
                self._output(reply_rows(self._read(name)))
        if name == b"quit":
            self._lost(None)
        return replies

    def _read(self, name: bytes) -> Reply:
        """Return the next reply, showing what is pushed before it. LinkError when interrupted."""
        connection = self._connection
        assert connection is not None
        subscribing = name in SUBSCRIBE or name in UNSUBSCRIBE
        while True:
            reply = connection.buffered()
            if reply is INCOMPLETE:
                if connection.wait(self._wake_r):
                    connection.receive()
                else:
                    os.read(self._wake_r, 4096)
                if self._abandoned:
                    raise _Abandoned
                if self._interrupted or self._closing:
                    raise LinkError("interrupted")
            elif subscribing and not isinstance(reply, ReplyError):
                if self.state.is_pubsub(reply) and not reply[0].endswith(b"subscribe"):
                    self._pushed(reply)
                else:
                    return reply
            elif isinstance(reply, Push) or (self.state.subscribed and self.state.is_pubsub(reply)):
                self._pushed(reply)
            else:
                return reply

    def _expected(self, name: bytes, argv: list[bytes]) -> int:
        """Return how many replies the command has: (un)subscribing answers once a channel."""
        if self.state.in_multi:
            return 1
        if name in SUBSCRIBE:
            return max(1, len(argv) - 1)
        if name in UNSUBSCRIBE:
            kind = name.replace(b"un", b"", 1)
            return max(1, len(argv) - 1 or len(self._subscribed.get(kind, ())))
        return 1

    def _note_subscription(self, name: bytes, reply: Reply) -> None:
        if (name not in SUBSCRIBE and name not in UNSUBSCRIBE) or not self.state.is_pubsub(reply):
            return
        kind, channel, left = bytes(reply[0]), reply[1], reply[2]
        if kind in SUBSCRIBE:
            self._subscribed.setdefault(kind, set()).add(channel)
        else:
            self._subscribed.get(kind.replace(b"un", b"", 1), set()).discard(channel)
            if left == 0:
                self.state.subscribed = False
