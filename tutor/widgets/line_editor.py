"""One line of input with a cursor, a history and a search, without a screen.

A terminal's own editing keys (those of readline and of redis-cli's linenoise) over plain text, so that the prompt
inside the full screen behaves as the fingers expect. Nothing here draws anything: `Terminal` does.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar


def _word_left(text: str, at: int) -> int:
    while at and not text[at - 1].isalnum():
        at -= 1
    while at and text[at - 1].isalnum():
        at -= 1
    return at


def _word_right(text: str, at: int) -> int:
    while at < len(text) and not text[at].isalnum():
        at += 1
    while at < len(text) and text[at].isalnum():
        at += 1
    return at


class LineEditor:
    """The line being typed.

    `history` is oldest first, and shared by all editors that are given the same list; `keep`, if given, adds a line
    to it and decides what is kept.
    """

    def __init__(self, history: list[str] | None = None, keep: Callable[[str], object] | None = None) -> None:
        self._keep = keep
        self.text = ""
        self.cursor = 0
        self.history: list[str] = [] if history is None else history
        self.searching: str | None = None  # what Ctrl-R looks for; None when no search is on
        self._position: int | None = None  # in the history, when an old line is shown
        self._draft = ""  # what was typed before going up
        self._killed = ""
        self._search_from = 0

    def set(self, text: str, cursor: int | None = None) -> None:
        """Replace the line."""
        self.text = text
        self.cursor = len(text) if cursor is None else cursor
        self._position = None

    def insert(self, text: str) -> None:
        """Insert at the cursor."""
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)
        self._position = None

    def take(self) -> str:
        """Return the line, remember it in the history, and start a new one."""
        line = self.text
        self.remember(line)
        self.set("")
        self.searching = None
        return line

    def remember(self, line: str) -> None:
        """Add a line to the history unless it repeats the last one or says nothing."""
        if self._keep is not None:
            self._keep(line)
        elif line.strip() and (not self.history or self.history[-1] != line):
            self.history.append(line)

    # -- keys

    def key(self, key: str, character: str | None) -> bool:
        """Handle a key by Textual's name for it. Returns whether it meant something here."""
        if self.searching is not None and self._search_key(key, character):
            return True
        if handler := self._KEYS.get(key):
            handler(self)
            return True
        if character and character.isprintable():
            self.insert(character)
            return True
        return False

    def left(self) -> None:
        """Move back one character."""
        self.cursor = max(0, self.cursor - 1)

    def right(self) -> None:
        """Move on one character."""
        self.cursor = min(len(self.text), self.cursor + 1)

    def word_left(self) -> None:
        """Move to the start of the word."""
        self.cursor = _word_left(self.text, self.cursor)

    def word_right(self) -> None:
        """Move past the end of the word."""
        self.cursor = _word_right(self.text, self.cursor)

    def home(self) -> None:
        """Move to the start of the line."""
        self.cursor = 0

    def end(self) -> None:
        """Move to the end of the line."""
        self.cursor = len(self.text)

    def backspace(self) -> None:
        """Delete the character before the cursor."""
        self._cut(max(0, self.cursor - 1), self.cursor, keep=False)

    def delete(self) -> None:
        """Delete the character under the cursor."""
        self._cut(self.cursor, self.cursor + 1, keep=False)

    def kill_word(self) -> None:
        """Delete back to the last space, as a shell's Ctrl-W does."""
        start = len(self.text[: self.cursor].rstrip())
        start = self.text.rfind(" ", 0, start) + 1
        self._cut(start, self.cursor)

    def kill_to_end(self) -> None:
        """Delete from the cursor on."""
        self._cut(self.cursor, len(self.text))

    def kill_line(self) -> None:
        """Delete everything before the cursor."""
        self._cut(0, self.cursor)

    def yank(self) -> None:
        """Insert what was deleted last."""
        self.insert(self._killed)

    def transpose(self) -> None:
        """Swap the two characters around the cursor."""
        at = min(self.cursor, len(self.text) - 1)
        if at >= 1:
            self.text = self.text[: at - 1] + self.text[at] + self.text[at - 1] + self.text[at + 1 :]
            self.cursor = at + 1

    def older(self) -> None:
        """Show the line before in the history."""
        if self._position is None:
            if not self.history:
                return
            self._draft = self.text
            self._show(len(self.history) - 1)
        elif self._position:
            self._show(self._position - 1)

    def newer(self) -> None:
        """Show the line after in the history, at last what was being typed."""
        if self._position is None:
            return
        if self._position + 1 < len(self.history):
            self._show(self._position + 1)
        else:
            self.set(self._draft)

    def search(self) -> None:
        """Start to search backwards in the history, or go on to the next match."""
        if self.searching is None:
            self.searching, self._search_from = "", len(self.history)
            self._draft = self.text
        else:
            self._find(self._search_from - 1)

    def _search_key(self, key: str, character: str | None) -> bool:
        if key == "ctrl+r":
            self.search()
        elif key in ("escape", "ctrl+g"):
            self.searching = None
            self.set(self._draft)
        elif key == "backspace":
            self.searching = (self.searching or "")[:-1]
            self._find(len(self.history) - 1)
        elif character and character.isprintable():
            self.searching = (self.searching or "") + character
            self._find(min(self._search_from, len(self.history) - 1))
        else:
            self.searching = None  # any other key takes the line that was found and then acts on it
            return False
        return True

    def _find(self, start: int) -> None:
        for at in range(start, -1, -1):
            if self.searching and self.searching.lower() in self.history[at].lower():
                self._search_from = at
                self.set(self.history[at])
                return

    def _show(self, position: int) -> None:
        self.set(self.history[position])
        self._position = position

    def _cut(self, start: int, end: int, keep: bool = True) -> None:
        if keep and end > start:
            self._killed = self.text[start:end]
        self.text = self.text[:start] + self.text[end:]
        self.cursor = start
        self._position = None

    _KEYS: ClassVar[dict[str, Callable[["LineEditor"], None]]] = {
        "left": left,
        "ctrl+b": left,
        "right": right,
        "ctrl+f": right,
        "ctrl+left": word_left,
        "alt+b": word_left,
        "ctrl+right": word_right,
        "alt+f": word_right,
        "home": home,
        "ctrl+a": home,
        "end": end,
        "ctrl+e": end,
        "backspace": backspace,
        "ctrl+h": backspace,
        "delete": delete,
        "ctrl+w": kill_word,
        "alt+backspace": kill_word,
        "ctrl+k": kill_to_end,
        "ctrl+u": kill_line,
        "ctrl+y": yank,
        "ctrl+t": transpose,
        "up": older,
        "down": newer,
        "ctrl+n": newer,
        "ctrl+r": search,
    }


def columns(items: Sequence[str], width: int) -> list[str]:
    """Lay words out in columns, as a shell lists completions."""
    if not items:
        return []
    cell = max(map(len, items)) + 2
    per_row = max(1, width // cell)
    rows = (items[at : at + per_row] for at in range(0, len(items), per_row))
    return ["".join(item.ljust(cell) for item in cells).rstrip() for cells in rows]
