"""A terminal that is the shell of a lesson's machine: the same face as `Link`, and a thread of its own too."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.resp import Reply
from tutor.course.machines import Machines
from tutor.course.server import Said
from tutor.course.shell import COMMANDS, PHRASES, Shell
from tutor.prompt import History, split_args
from tutor.screens.desk.link import MAX_ROWS, Done
from tutor.widgets.rows import Row, Span, clean, row


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


class ShellLink:
    """A shell terminal. The callbacks are called from its thread."""

    def __init__(
        self,
        name: str,
        machines: Machines,
        server: str,
        output: Callable[[list[Row]], None],
        changed: Callable[[bool], None],
        done: Callable[[Done], None],
    ) -> None:
        self.name = name
        self.shell = Shell(machines, server)
        self.state = ShellState(self.shell)
        self.muted = False
        self.busy = False
        self._show, self._changed, self._done = output, changed, done
        self._lines: queue.SimpleQueue[tuple[str, str | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"shell-{name}", daemon=True)

    def there(self) -> bool:
        """Return that a shell needs no server."""
        return True

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, line: str, typed_for: str | None = None) -> None:
        """Carry out a line."""
        self._lines.put((line, typed_for))

    def quietly(self, argv: list[bytes]) -> list[Reply]:
        """Do nothing: what the course does in a shell it does without a terminal."""
        return []

    def abandon(self) -> None:
        """Do nothing: no command of a shell waits for long."""

    def interrupt(self) -> None:
        """Do nothing, as above."""

    def reopen(self, fresh: bool = False) -> None:
        """Do nothing: a shell has no connection."""

    def close(self) -> None:
        """End the thread."""
        self._lines.put(None)

    def _run(self) -> None:
        while (item := self._lines.get()) is not None:
            line, typed_for = item
            self.busy = True
            text = self.shell.run(line)
            rows = [row(clean(each), "plain") for each in text.splitlines()]
            if len(rows) > MAX_ROWS:
                rows = [*rows[:MAX_ROWS], row(f"… and {len(rows) - MAX_ROWS:,} more lines", "note")]
            if rows and not self.muted:
                self._show(rows)
            self.busy = False
            self._changed(False)
            words = split_args(line) or [word.encode() for word in line.split()]
            self._done(Done(line, tuple(words), (Said(text),), 0, typed_for))


class ShellAssist:
    """Completion of the shell's commands and files, and history; a shell's syntax is not hinted at."""

    def __init__(self, link: ShellLink) -> None:
        self._link = link
        self._history = History()

    def complete(self, text: str) -> Sequence[str]:
        """Return whole lines that `text` may become."""
        whole = [phrase for phrase in PHRASES if phrase.startswith(text)] if " " in text else []
        if whole:
            return whole
        head, _, word = text.rpartition(" ")
        if not head:
            return [f"{name} " for name in COMMANDS if name.startswith(word)]
        files = sorted(path.name for path in self._link.shell.machine.folder.iterdir())
        return [f"{head} {name}" for name in files if name.startswith(word)]

    def hint(self, text: str) -> Sequence[Span]:
        """Return nothing."""
        return ()

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
