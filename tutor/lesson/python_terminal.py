"""A terminal that is a console of Python, for programs that use the lesson's server.

What the learner enters are lines, what runs are statements: lines are gathered until they are one (`gather`), as
Python itself does it, with `...` as the prompt meanwhile. Everything else in the course knows whole statements.
"""

import codeop
import re
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from tutor.lesson.program_terminal import ProgramCompleter, ProgramLink, ProgramState
from tutor.lesson.python_console import UNREADABLE
from tutor.lesson.python_process import Abandoned, PythonConsole, Ran
from tutor.lesson.terminal import Done
from tutor.lesson.transcript import CONTINUED, PYTHON
from tutor.prompt.rows import Row, Span

INDENT = "    "
LONG_SECONDS = 10.0  # after which a statement may be one that never ends
_NAME = re.compile(r"[A-Za-z_][\w.]*$")


@dataclass(slots=True)
class PythonState(ProgramState):
    """The lines of the statement that is being entered."""

    lines: list[str] = field(default_factory=list, init=False)

    def prompt(self) -> str:
        """Return the prompt."""
        return CONTINUED if self.lines else PYTHON

    def gather(self, line: str) -> str | None:
        """Take a line; return the statement that it completes, or None. Only a whole line of blanks is none."""
        self.lines.append(line)
        source = "\n".join(self.lines)
        if is_incomplete(source):
            return None
        self.lines.clear()
        return source.rstrip()


def is_incomplete(source: str) -> bool:
    """Return whether Python waits for more lines."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return codeop.compile_command(source, "<stdin>", "single") is None
    except UNREADABLE:
        return False  # the console says what is wrong


def rows_of(statement: str) -> list[str]:
    """Return the lines in which a statement is entered: a block ends with an empty one."""
    rows = statement.split("\n")
    return [*rows, ""] if len(rows) > 1 and is_incomplete(statement) else rows


class PythonLink(ProgramLink):
    """A Python terminal. The callbacks are called from its thread."""

    state: PythonState

    def __init__(
        self,
        name: str,
        console: PythonConsole,
        output: Callable[[list[Row], bool], None],
        changed: Callable[[], None],
        done: Callable[[Done], None],
    ) -> None:
        self.console = console
        self._since = 0.0  # when the statement that runs was entered, or interrupted
        super().__init__(name, PythonState(), output, changed, done)

    @property
    def waits(self) -> bool:
        """Whether a statement has been running for so long that it may wait for something."""
        return self.busy and time.monotonic() > self._since + LONG_SECONDS

    def gather(self, line: str) -> str | None:
        """Take a line; return the statement that it completes, or None."""
        return self.state.gather(line)

    def submit(self, line: str, typed_for: str | None = None) -> None:
        """Run a statement."""
        self._since = time.monotonic()
        super().submit(line, typed_for)

    def read_all(self) -> "Future[None]":
        """Return what is done: what a program prints is shown at once."""
        read: Future[None] = Future()
        read.set_result(None)
        return read

    def interrupt(self) -> None:
        """Interrupt what runs, as Ctrl-C does in Python."""
        self._since = time.monotonic()
        self.console.interrupt()

    def _carry_out(self, line: str) -> Ran | None:
        try:
            return self.console.run(line, self._print)
        except Abandoned:
            return None


class PythonCompleter(ProgramCompleter):
    """Completion of Python's names. Redis's commands mean nothing here."""

    def __init__(self, link: PythonLink) -> None:
        super().__init__()
        self._link = link

    def complete(self, text: str) -> Sequence[str]:
        """Return whole lines that `text` may become; at its beginning, it is indented."""
        found = _NAME.search(text)
        if found is None:
            return [text + INDENT] if not text.strip() else []
        return [text[: found.start()] + each for each in self._link.console.complete(found[0])]

    def is_command(self, line: str, whole: bool = False) -> bool:
        """See `Completer`. Any word could be Python; what is meant as a line has a call or an assignment in it."""
        return line.startswith(":") or any(each in line for each in "(=")

    def highlight(self, text: str) -> Sequence[Span]:
        """Return the line as spans."""
        return [(text, "command")]
