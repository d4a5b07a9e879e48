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

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Reply
from tutor.client import LinkError
from tutor.lesson.connection import TerminalConnection, answers_by_ending
from tutor.lesson_server.parent import HostError
from tutor.prompt import (
    PromptState,
    format_invalidate,
    help_in_lesson,
    is_invalidate,
    prints_raw,
    reply_spans,
    split_args,
    to_text,
)
from tutor.prompt.conversation import BLOCKING, patience
from tutor.prompt.replies import INCOMPLETE
from tutor.prompt.rows import Row, Span, clean, row

ANSWER_SECONDS = 30.0
MAX_ROWS = 1000  # of one reply
SLOW_SECONDS = 0.5  # from here on redis-cli says how long a command took

STYLES_OF = {
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
    lost: bool = False  # the connection ended before it was answered, and its server does not restart by itself

    @property
    def error(self) -> ReplyError | None:
        """The error that it was answered with, if any."""
        return next((reply for reply in self.replies if isinstance(reply, ReplyError)), None)


@dataclass(slots=True)
class _Quiet:
    """A command that the course runs in this terminal, unseen."""

    argv: list[bytes]
    replies: "Future[list[Reply]]"
    answered: bool  # see `Server.execute`


@dataclass(frozen=True, slots=True)
class _Reopen:
    """The server is there again; `fresh` makes it a terminal that was just opened, `again` a new connection."""

    fresh: bool
    again: bool


class _RestartError(LinkError):
    """The connection ended with its server, which starts again."""


class _Abandoned(Exception):  # noqa: N818
    """This reply is no longer awaited: the server went back to before its request."""


def reply_rows(reply: Reply, verbatim: bool = False) -> list[Row]:
    """Return a reply as rows, as redis-cli prints it for people; a very long one is cut, and says so."""
    rows: list[Row] = []
    spans: list[Span] = []
    cut = 0
    if isinstance(reply, list) and len(reply) > MAX_ROWS:
        cut = len(reply) - MAX_ROWS
        reply = type(reply)(reply[:MAX_ROWS])
    for style, text in reply_spans(reply, verbatim=verbatim):
        look = STYLES_OF.get(style, "plain")
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
        rows.append(Row(tuple(spans), words=isinstance(reply, ReplyError)))
    while rows and not rows[-1].text.strip() and len(rows) > 1:
        rows.pop()
    if cut:
        rows.append(row(f"… and {cut:,} more lines", "note"))
    return rows


class Link:
    """A terminal's connection. `output`, `changed`, `done` and `arrived` are called from the link's thread.

    `output` takes rows, and whether they came unasked.

    `connect` opens a new connection and is called again after one was lost or interrupted.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], socket.socket],
        state: PromptState,
        output: Callable[[list[Row], bool], None],
        changed: Callable[[], None],
        done: Callable[[Done], None],
        arrived: Callable[[Reply], None],
    ) -> None:
        self.name = name
        self._line = TerminalConnection(connect, state)
        self._show, self._changed, self._done, self._arrived = output, changed, done, arrived
        self._lines: queue.SimpleQueue[tuple[str, str | None] | _Quiet | _Reopen | None] = queue.SimpleQueue()
        self._read_all: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()  # see `read_all`
        self.there: Callable[[], bool] = lambda: True  # whether its server runs
        self.comes_back: Callable[[socket.socket], bool] = lambda lost: (
            False
        )  # its server has ended, and starts again
        # called when a command has been sent: whether by the course, unseen; and whether it is answered by itself
        self.sent: Callable[[list[bytes], bool, bool], None] = lambda argv, quiet, answered: None
        self.shows_answers: Callable[[str | None], bool] = lambda example: False
        self.muted = False  # while the course does something in here that the learner is not to see
        self.busy = False
        self._in_line = False  # whether a line is being carried out that was typed
        self._left = 0  # lines that have not been carried out
        self._lock = threading.Lock()
        self.monitors = False
        self._abandoned = False
        self._wake_r, self._wake_w = os.pipe()
        self._interrupted = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"terminal-{name}", daemon=True)

    def start(self) -> None:
        """Connect, if there is a server, and begin."""
        if self.there():
            self._open()
        self._thread.start()

    def submit(self, line: str, typed_for: str | None = None) -> None:
        """Carry out a line. From now on, an interruption means this line."""
        self._interrupted = False
        with self._lock:
            self._left += 1
            self.busy = True
        self._lines.put((line, typed_for))
        self._wake()

    def quietly(self, argv: list[bytes], answer_s: float = ANSWER_SECONDS, answered: bool = False) -> list[Reply]:
        """Run a command unseen and return its replies; none for one that waits. Not from the link's own thread."""
        quiet = _Quiet(argv, Future(), answered)
        self._lines.put(quiet)
        self._wake()
        blocking = argv[0].lower() in BLOCKING and not self.state.in_multi and not answered
        try:
            return quiet.replies.result(patience(argv) if blocking else answer_s)
        except TimeoutError:
            return []

    def read_all(self) -> "Future[None]":
        """Return what is done once everything that has come by now has been shown."""
        read: Future[None] = Future()
        self._read_all.put(read)
        self._wake()
        return read

    def abandon(self) -> None:
        """Stop waiting for a reply that will not come; the connection stays."""
        if self.busy:
            self._abandoned = True
            self._wake()

    def reopen(self, fresh: bool = False, again: bool = False) -> None:
        """Connect again after the server was away. With `fresh`, forget what the terminal was in the middle of.

        With `again`, close the connection first, as Ctrl-C does in redis-cli to leave the subscribed mode.
        """
        if fresh:
            self.abandon()
        self._lines.put(_Reopen(fresh, again))
        self._wake()

    def _reopen(self, fresh: bool, again: bool) -> None:
        if fresh or again:
            self._line.close()
        if fresh:
            self.state.db = self.state.wanted_db = 0
        if self._line.connection is None and self.there():
            self._open()

    def interrupt(self) -> None:
        """Give up what runs, as Ctrl-C in redis-cli does while it waits: the connection is reopened."""
        self._interrupted = True
        self._wake()

    def close(self) -> None:
        """End the thread and the connection."""
        self._closing = True
        self._lines.put(None)
        self._wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(2)
        self._all_is_read()
        if self._line.connection is not None:
            self._line.connection.close()
        for end in (self._wake_r, self._wake_w):
            with contextlib.suppress(OSError):
                os.close(end)

    @property
    def socket(self) -> socket.socket | None:
        """The connection's socket."""
        return self._line.connection.socket if self._line.connection else None

    @property
    def state(self) -> PromptState:
        """What the prompt shows."""
        return self._line.state

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_w, b"!")

    def _woken(self) -> None:
        """Take note that the link was woken while its connection had nothing to read."""
        os.read(self._wake_r, 4096)
        self._all_is_read()

    def _all_is_read(self) -> None:
        while not self._read_all.empty():
            self._read_all.get().set_result(None)

    def _open(self) -> bool:
        try:
            self._line.open()
        except (OSError, LinkError, HostError, RuntimeError) as error:
            self._line.close()
            told = str(error)
            self._output([row(told if told.startswith("Could") else f"Could not connect: {told}", "error")])
            return False
        return True

    def _comes_back(self, error: LinkError) -> bool:
        """Return whether the connection ended with its server, which starts again."""
        assert self._line.connection is not None
        return isinstance(error, _RestartError) or self.comes_back(self._line.connection.socket)

    def _lost(self, error: LinkError | None) -> bool:
        """Note that the connection is lost; returns whether its server starts again, which the controller reports."""
        comes_back = self._line.connection is not None and error is not None and self._comes_back(error)
        self._line.close()
        if error is not None and not comes_back:
            self._output([row(f"Error: {error}", "error")], unasked=not self._in_line)
        return comes_back

    def _output(self, rows: list[Row], unasked: bool = False) -> None:
        if not self.muted:
            self._show(rows, unasked)

    # -- the thread

    def _run(self) -> None:
        while not self._closing:
            try:
                self._idle()
            except LinkError as error:
                if self._closing:
                    return
                comes_back = self._lost(None if self._interrupted else error)
                self._in_line = False
                if self._interrupted or comes_back:
                    self._interrupted = False
                    self._open()  # which waits for a server that starts again
                self._changed()

    def _idle(self) -> None:
        connection = self._line.connection
        while not self._closing:
            ready = connection is not None and connection.wait(self._wake_r)
            if not ready:
                self._woken()
            if ready and connection is not None:
                connection.receive()
                while (reply := connection.buffered()) is not INCOMPLETE:
                    self._pushed(reply)
            if self._lines.empty():
                self._interrupted = False  # Ctrl-C at an idle prompt only clears the line
            while not self._lines.empty():
                item = self._lines.get()
                if item is None:
                    return
                self.busy, self._in_line = True, isinstance(item, tuple)
                self._abandoned = False
                try:
                    if isinstance(item, _Quiet):
                        self._run_quietly(item)
                    elif isinstance(item, _Reopen):
                        self._reopen(item.fresh, item.again)
                    else:
                        self._carry_out(*item)
                except _Abandoned:
                    pass
                finally:
                    with self._lock:
                        self._left -= isinstance(item, tuple)
                        self.busy = self._left > 0
                self._in_line = False
                self._changed()
                connection = self._line.connection

    def _run_quietly(self, quiet: _Quiet) -> None:
        if self._line.connection is None and not self._open():
            quiet.replies.set_result([])
            return
        try:
            replies = self._call(quiet.argv, quiet)
        except LinkError as error:
            ended = answers_by_ending(quiet.argv)
            quiet.replies.set_result([] if ended else [ReplyError(f"Error: {error}".encode())])
            raise
        quiet.replies.set_result(replies)

    def _pushed(self, reply: Reply) -> None:
        """Show what came unasked: a published message, an invalidation."""
        if self.muted:
            return
        self._arrived(reply)
        if is_invalidate(reply):
            self._output([row(to_text(format_invalidate(reply)).rstrip(), "note")], unasked=True)
        else:
            self._output(reply_rows(reply), unasked=True)

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
            text = help_in_lesson(argv[1:])
            self._output([row(each, "note") for each in text.strip("\n").splitlines()])
            self._done(Done(line, (), (), self.state.db, typed_for))
            return
        replies: list[Reply] = []
        db = self.state.db
        for _ in range(max(1, repeat)):
            if self._line.connection is None and not self._open():
                break
            try:
                replies += self._call(argv, typed_for=typed_for)
            except _Abandoned:
                self._done(Done(line, tuple(argv) if replies else (), tuple(replies), db, typed_for))
                raise
            except LinkError as error:
                # Before anyone hears of it: then the server that comes back is not mistaken for one that has ended.
                ours = self._interrupted or self._closing
                comes_back = not ours and self._comes_back(error)
                lost = not (ours or comes_back)
                ended = answers_by_ending(argv)
                self._done(Done(line, tuple(argv) if ended or replies else (), tuple(replies), db, typed_for, lost))
                if comes_back:
                    raise _RestartError(str(error)) from error
                raise
        self._done(Done(line, tuple(argv) if replies else (), tuple(replies), db, typed_for))

    def _call(self, argv: list[bytes], quiet: _Quiet | None = None, typed_for: str | None = None) -> list[Reply]:
        started = time.monotonic()
        name = argv[0].lower()
        replies: list[Reply] = []

        def sent() -> None:
            self.sent(argv, quiet is not None, quiet.answered if quiet else self.shows_answers(typed_for))

        for reply in self._line.run(argv, self._read, self._pushed, sent=sent):
            replies.append(reply)
            if not quiet:
                rows = reply_rows(reply, verbatim=prints_raw(argv))
                elapsed = time.monotonic() - started
                if elapsed >= SLOW_SECONDS and len(replies) == 1:
                    rows.append(row(f"({elapsed:.2f}s)", "dim"))
                self._output(rows)
        if name == b"monitor" and not quiet and not isinstance(replies[0], ReplyError):
            self._done(Done("MONITOR", tuple(argv), tuple(replies), self.state.db, None))
            self._output([row("(Ctrl-C stops it)", "note")])
            self.monitors = True
            try:
                while True:
                    reply = self._read()
                    if self._line.conversation.is_unasked(reply):
                        self._pushed(reply)
                    else:
                        self._output(reply_rows(reply))
            finally:
                self.monitors = False
        if name == b"quit":
            self._lost(None)
        return replies

    def _read(self) -> Reply:
        """Return the next reply, or what comes unasked before it. LinkError when interrupted."""
        connection = self._line.connection
        assert connection is not None
        while (reply := connection.buffered()) is INCOMPLETE:
            if self._interrupted:
                pass  # it came before the command was sent
            elif connection.wait(self._wake_r):
                connection.receive()
            else:
                self._woken()
            if self._abandoned:
                raise _Abandoned
            if self._interrupted or self._closing:
                raise LinkError("interrupted")
        return reply
