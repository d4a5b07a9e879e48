"""The prompt's mind (tutor.prompt) in the shape that the terminal widget asks for."""

from collections.abc import Callable, Sequence

from tutor.prompt import CommandTable, Context, History, complete, highlight, hint, syntax
from tutor.widgets.rows import Span

LOOKS = {
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


class PromptAssist:
    """Completion, hints, history and highlighting for one terminal. `keys` gives names of keys, without waiting."""

    def __init__(
        self, history: History, keys: Callable[[bytes, int], list[bytes]], client_commands: dict[str, str]
    ) -> None:
        self._history = history
        self._keys = keys
        self._client_commands = client_commands
        self._context: Context | None = None

    def _known(self) -> Context:
        if self._context is None:
            self._context = Context(
                commands=CommandTable.load(), keys=self._keys, client_commands=self._client_commands
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
        return [(part, LOOKS.get(style, "argument")) for style, part in highlight(text, self._known().commands)]

    def keep(self, line: str) -> None:
        """Remember a line, unless it says a secret."""
        self._history.add(line)
