"""A terminal that is a program, not a connection: with the same methods as `Link`, and its own thread."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from engine.protocol.resp import Reply
from tutor.lesson.lines import words_of
from tutor.lesson.printed import Said
from tutor.lesson.terminal import MAX_ROWS, Done
from tutor.prompt import LineHistory
from tutor.prompt.rows import Row, Span, clean, row


@dataclass(slots=True)
class ProgramState:
    """What the prompt of a program shows; the rest is what a connection's would say."""

    db: int = field(default=0, init=False)
    connected: bool = field(default=True, init=False)
    in_multi: bool = field(default=False, init=False)
    subscribed: bool = field(default=False, init=False)

    def prompt(self) -> str:
        """Return the prompt."""
        raise NotImplementedError

    def restore(self, earlier: Any) -> None:
        """Do nothing: what the program shows goes back by itself."""


class ProgramLink:
    """A terminal of a program. The callbacks are called from its thread."""

    def __init__(
        self,
        name: str,
        state: ProgramState,
        output: Callable[[list[Row], bool], None],
        changed: Callable[[], None],
        done: Callable[[Done], None],
    ) -> None:
        self.name, self.state = name, state
        self.muted = False
        self.busy = False
        self.monitors = False
        self._show, self._changed, self._done = output, changed, done
        self._lines: queue.SimpleQueue[tuple[str, str | None] | Future[None] | None] = queue.SimpleQueue()
        self._left = 0  # lines that have not been carried out
        self._rows_left = MAX_ROWS  # that the line may still print
        self._left_out = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"terminal-{name}", daemon=True)

    def there(self) -> bool:
        """Return that a program needs no server."""
        return True

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, line: str, typed_for: str | None = None) -> None:
        """Carry out a line."""
        with self._lock:
            self._left += 1
            self.busy = True
        self._lines.put((line, typed_for))

    def quietly(self, argv: list[bytes]) -> list[Reply]:
        """Do nothing: what the course does in a program it does without a terminal."""
        return []

    def read_all(self) -> "Future[None]":
        """Return what is done once everything that was submitted by now has been carried out."""
        read: Future[None] = Future()
        self._lines.put(read)
        return read

    def abandon(self) -> None:
        """Do nothing: what goes back ends what runs."""

    def interrupt(self) -> None:
        """Do nothing: no line takes long."""

    def reopen(self, fresh: bool = False, again: bool = False) -> None:
        """Do nothing: a program has no connection."""

    def close(self) -> None:
        """End the thread."""
        self._lines.put(None)

    def _begin(self) -> None:
        """Get ready, in the thread."""

    def _carry_out(self, line: str) -> Said | None:
        """Carry out a line, printing as it goes; None if it never was."""
        raise NotImplementedError

    def _print(self, text: str) -> None:
        rows = [row(clean(each), "plain") for each in text.splitlines()]
        self._left_out += max(0, len(rows) - self._rows_left)
        rows = rows[: self._rows_left]
        self._rows_left -= len(rows)
        if rows and not self.muted:
            self._show(rows, False)

    def _run(self) -> None:
        self._begin()
        while (item := self._lines.get()) is not None:
            if isinstance(item, Future):
                item.set_result(None)
                continue
            line, typed_for = item
            self._rows_left, self._left_out = MAX_ROWS, 0
            said = self._carry_out(line)
            if self._left_out and not self.muted:
                self._show([row(f"… and {self._left_out:,} more lines", "note")], False)
            if said is None:
                self._done(Done(line, (), (), 0, typed_for))
            else:
                self._done(Done(line, tuple(words_of(line)), (said,), 0, typed_for))
            with self._lock:
                self._left -= 1
                self.busy = self._left > 0
            self._changed()


class ProgramCompleter:
    """What completing in all programs has in common: a history; their syntax is not hinted at."""

    def __init__(self) -> None:
        self._history = LineHistory()

    def hint(self, text: str) -> Sequence[Span]:
        """Return nothing."""
        return ()

    def ghost(self, text: str) -> str:
        """Return the rest of the newest line that begins like this one."""
        found = self._history.starting_with(text)
        return found[len(text) :] if found else ""

    def keep(self, line: str) -> None:
        """Remember a line."""
        self._history.add(line)
