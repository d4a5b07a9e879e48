"""A terminal that is the shell of a lesson's machine."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutor.lesson.machines import Machines
from tutor.lesson.printed import Said
from tutor.lesson.program_terminal import ProgramCompleter, ProgramLink, ProgramState
from tutor.lesson.shell import COMMANDS, PHRASES, Shell
from tutor.lesson.terminal import Done
from tutor.lesson_server.parent import HostError
from tutor.prompt import CommandDocs
from tutor.prompt.rows import Row, Span


@dataclass(slots=True)
class ShellState(ProgramState):
    """What a shell's prompt is made of."""

    shell: Shell

    def prompt(self) -> str:
        """Return the prompt."""
        return self.shell.prompt


class ShellLink(ProgramLink):
    """A shell terminal. The callbacks are called from its thread."""

    def __init__(
        self,
        name: str,
        machines: Machines,
        server: str,
        output: Callable[[list[Row], bool], None],
        changed: Callable[[], None],
        done: Callable[[Done], None],
    ) -> None:
        self.shell = Shell(machines, server)
        self.names: list[str] = []  # of the files, for completion
        super().__init__(name, ShellState(self.shell), output, changed, done)

    def _begin(self) -> None:
        self._look()

    def _look(self) -> None:
        with contextlib.suppress(HostError):
            self.names = sorted({path.partition("/")[0] for path in self.shell.machine.files()})

    def _carry_out(self, line: str) -> Said:
        text = Said(self.shell.run(line))
        self._print(text)
        self._look()
        return text


class ShellCompleter(ProgramCompleter):
    """Completion of the shell's commands and files."""

    def __init__(self, link: ShellLink) -> None:
        super().__init__()
        self._link = link

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

    def is_command(self, line: str, whole: bool = False) -> bool:
        """See `Completer`."""
        words = line.split()
        if words[:1] != [] and words[0] in COMMANDS:
            return len(words) > 1 or not whole
        return line.startswith(":") or CommandDocs.load().means_command(line)

    def highlight(self, text: str) -> Sequence[Span]:
        """Return the line as spans."""
        head, space, rest = text.partition(" ")
        return [(head, "command"), (space + rest, "plain")]
