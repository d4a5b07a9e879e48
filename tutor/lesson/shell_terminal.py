"""A terminal that is the shell of a lesson's machine: the same face as `Link`, and a thread of its own too."""

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from engine.protocol.resp import Reply
from tutor.lesson.machines import Machines
from tutor.lesson.server import Said
from tutor.lesson.shell import COMMANDS, PHRASES, Shell
from tutor.lesson.terminal import MAX_ROWS, Done
from tutor.lesson_server.parent import HostError
from tutor.prompt import CommandDocs, LineHistory, split_args
from tutor.prompt.rows import Row, Span, clean, row


@dataclass(slots=True)
class ShellState:
    """What a shell's prompt is made of; the rest is what a connection's would say."""

    shell: Shell
    db: int = 0
    connected: bool = True
    in_multi: bool = False

    def prompt(self) -> str:
        """Return the prompt."""
        return self.shell.prompt

    def restore(self, earlier: Any) -> None:
        """Do nothing: what a shell shows is the machine's, which goes back by itself."""


class ShellLink:
    """A shell terminal. The callbacks are called from its thread."""

    def __init__(
        self,
        name: str,
        machines: Machines,
        server: str,
        output: Callable[[list[Row], bool], None],
        changed: Callable[[bool], None],
        done: Callable[[Done], None],
    ) -> None:
        self.name = name
        self.shell = Shell(machines, server)
        self.state = ShellState(self.shell)
        self.muted = False
        self.busy = False
        self.monitors = False
        self.names: list[str] = []  # of the files, for completion
        self._show, self._changed, self._done = output, changed, done
        self._lines: queue.SimpleQueue[tuple[str, str | None] | Future[None] | None] = queue.SimpleQueue()
        self._left = 0  # lines that have not been carried out
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"shell-{name}", daemon=True)

    def there(self) -> bool:
        """Return that a shell needs no server."""
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
        """Do nothing: what the course does in a shell it does without a terminal."""
        return []

    def read_all(self) -> "Future[None]":
        """Return what is done once everything that was submitted by now has been carried out."""
        read: Future[None] = Future()
        self._lines.put(read)
        return read

    def abandon(self) -> None:
        """Do nothing: no command of a shell waits for long."""

    def interrupt(self) -> None:
        """Do nothing, as above."""

    def reopen(self, fresh: bool = False) -> None:
        """Do nothing: a shell has no connection."""

    def close(self) -> None:
        """End the thread."""
        self._lines.put(None)

    def _look(self) -> None:
        with contextlib.suppress(HostError):
            self.names = sorted({path.partition("/")[0] for path in self.shell.machine.files()})

    def _run(self) -> None:
        self._look()
        while (item := self._lines.get()) is not None:
            if isinstance(item, Future):
                item.set_result(None)
                continue
            line, typed_for = item
            text = self.shell.run(line)
            rows = [row(clean(each), "plain") for each in text.splitlines()]
            if len(rows) > MAX_ROWS:
                rows = [*rows[:MAX_ROWS], row(f"… and {len(rows) - MAX_ROWS:,} more lines", "note")]
            if rows and not self.muted:
                self._show(rows, False)
            self._look()
            words = split_args(line) or [word.encode() for word in line.split()]
            self._done(Done(line, tuple(words), (Said(text),), 0, typed_for))
            with self._lock:
                self._left -= 1
                self.busy = self._left > 0
            self._changed(False)


class ShellCompleter:
    """Completion of the shell's commands and files, and history; a shell's syntax is not hinted at."""

    def __init__(self, link: ShellLink) -> None:
        self._link = link
        self._history = LineHistory()

    def complete(self, text: str) -> Sequence[str]:
        """Return whole lines that `text` may become."""
        whole = [phrase for phrase in PHRASES if phrase.startswith(text)] if " " in text else []
        if whole:
            return whole
        head, _, word = text.rpartition(" ")
        if not head:
            return [f"{name} " for name in COMMANDS if name.startswith(word)]
        files = self._link.names
        return [f"{head} {name}" for name in files if name.startswith(word)]

    def hint(self, text: str) -> Sequence[Span]:
        """Return nothing."""
        return ()

    def is_command(self, line: str, whole: bool = False) -> bool:
        """See `Completer`."""
        words = line.split()
        if words[:1] != [] and words[0] in COMMANDS:
            return len(words) > 1 or not whole
        return line.startswith(":") or CommandDocs.load().means_command(line)

    def ghost(self, text: str) -> str:
        """Return the rest of the newest line that begins like this one."""
        found = self._history.starting_with(text)
        return found[len(text) :] if found else ""

    def highlight(self, text: str) -> Sequence[Span]:
        """Return the line as spans."""
        head, space, rest = text.partition(" ")
        return [(head, "command"), (space + rest, "plain")]

    def keep(self, line: str) -> None:
        """Remember a line."""
        self._history.add(line)
