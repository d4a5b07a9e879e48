"""What helps with typing in a terminal, and the prompt core in that shape."""

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from tutor.prompt import CommandDocs, CompletionContext, LineHistory, complete, highlight, hint, syntax
from tutor.prompt.rows import Span


class Completer(Protocol):
    """What helps with typing in a terminal."""

    def complete(self, text: str) -> Sequence[str]:
        """Return whole lines that `text` may become."""

    def hint(self, text: str) -> Sequence[Span]:
        """Return the syntax of the command being typed, as spans; empty when there is none."""

    def ghost(self, text: str) -> str:
        """Return what the line will probably go on with (from the history); empty when unknown."""

    def highlight(self, text: str) -> Sequence[Span]:
        """Return the line as spans; joined they are the line again."""

    def keep(self, line: str) -> None:
        """Remember a line in the history."""

    def is_command(self, line: str, whole: bool = False) -> bool:
        """Return whether a line is a command, mistyped or not, and no answer; if `whole`, only with an argument."""


_OF_THE_TUTOR = re.compile(r":[a-z]", re.I)  # `:hint`; a colon alone may be an answer

STYLES_OF = {
    "command": "command",
    "unknown": "argument",
    "client": "note",
    "repeat": "number",
    "token": "title",
    "key": "argument",
    "number": "number",
    "string": "string",
    "argument": "argument",
    "error": "error",
    "hint": "ghost",
    "": "plain",
}


class PromptCompleter:
    """Completion, hints, history and highlighting for one terminal. `keys` gives names of keys, without waiting."""

    def __init__(
        self, history: LineHistory, keys: Callable[[bytes, int], list[bytes]], client_commands: dict[str, str]
    ) -> None:
        self._history = history
        self._keys = keys
        self._client_commands = client_commands
        self._context: CompletionContext | None = None

    def _known(self) -> CompletionContext:
        if self._context is None:
            self._context = CompletionContext(
                commands=CommandDocs.load(), keys=self._keys, client_commands=self._client_commands
            )
        return self._context

    def complete(self, text: str) -> Sequence[str]:
        """Return whole lines that `text` may become."""
        return [text[: each.start] + each.text for each in complete(text, len(text), self._known())]

    def hint(self, text: str) -> Sequence[Span]:
        """Return the syntax of the command being typed: what is still to come stands out."""
        if not text.strip() or text.startswith(":"):
            return ()
        table = self._known().commands
        whole = syntax(text, table)
        if not whole:
            return ()
        rest = hint(text, table) or ""
        if rest and whole.endswith(rest):
            return ((whole[: -len(rest)], "ghost"), (rest, "dim"))
        return ((whole, "dim"),)

    def ghost(self, text: str) -> str:
        """Return the rest of the newest line of the history that begins like this one."""
        found = self._history.starting_with(text)
        return found[len(text) :] if found else ""

    def highlight(self, text: str) -> Sequence[Span]:
        """Return the line as spans."""
        return [(part, STYLES_OF.get(style, "argument")) for style, part in highlight(text, self._known().commands)]

    def keep(self, line: str) -> None:
        """Remember a line, unless it says a secret."""
        self._history.add(line)

    def is_command(self, line: str, whole: bool = False) -> bool:
        """See `Completer`."""
        words = line.split()
        if len(words) > 1 and words[0].isdigit():  # a number in front repeats the command
            words = words[1:]
        if self._known().commands.find(words) is not None:
            return not whole or len(words) > 1
        if self._known().commands.means_command(line):
            return True
        return _OF_THE_TUTOR.match(line) is not None or words in (["clear"], ["exit"], ["quit"])
