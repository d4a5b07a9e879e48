"""The last line of every screen: the keys that work now.

One widget that draws one line, or two where a screen has many keys and room. When there is no room for all of them,
the least needed go first (bindings are listed in the order of need); every key is also a button.
"""

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.events import Click
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

KEYS = {
    "escape": "Esc",
    "enter": "⏎",
    "ctrl+p": "^P",
    "up": "↑",
    "down": "↓",
    "slash": "/",
    "question_mark": "?",
    "comma": ",",
    "space": "Space",
    "delete": "Del",
    "ctrl+underscore": "^_",
    "shift+pageup": "⇧PgUp",
    "shift+pagedown": "⇧PgDn",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "left": "←",
    "right": "→",
}

GAP = 2  # columns between two keys
WIDE = 100  # columns of a window that has room for the longer name of the palette
ALWAYS = ("f1", "question_mark", "ctrl+p", "escape")  # help, all commands, and how to leave


WORDS = {"⏎": "Enter", "⇥": "Tab", "⇧": "Shift+", "↑": "Up", "↓": "Down", "←": "Left", "→": "Right"}


def _spelled(name: str) -> str:
    """Return how a key is written in ASCII."""
    return "".join(WORDS.get(character, character) for character in name)


def key_name(key: str) -> str:
    """Return how a key is written on the screen."""
    if key in KEYS:
        return KEYS[key]
    if key.startswith("ctrl+"):
        return "^" + key[5:].upper()
    if key.startswith("f") and key[1:].isdigit():
        return key.upper()
    return key


class KeyBar(Widget):
    """The footer."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {"keybar--key", "keybar--text"}  # noqa: RUF012
    DEFAULT_CSS = """
    KeyBar {
        dock: bottom; height: 1; background: $panel; color: $foreground; padding: 0 1;
        .keybar--key { color: $text-primary; text-style: bold; }
        .keybar--text { color: $muted; }
    }
    """

    TALL = 36  # rows of a window that has room for a second line

    def __init__(self, lines: int = 1) -> None:
        super().__init__()
        self._lines = lines
        self._places: dict[int, list[tuple[int, int, str]]] = {}  # by line: from column, to column, key

    def compose(self) -> ComposeResult:
        """Nothing: one line, drawn at once."""
        return ()

    def on_mount(self) -> None:
        """Follow the focus."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_resize(self) -> None:
        """Take a second line where there is room."""
        self.styles.height = self._lines if self.app.size.height >= self.TALL else 1

    def _changed(self, _: Screen[object]) -> None:
        self.refresh()

    def items(self) -> list[tuple[str, str, str]]:
        """Return (key, how it is written, what it does) for what works now, one key an action."""
        seen: dict[str, tuple[str, str, str]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled and binding.description and binding.action not in seen:
                display = binding.key_display or key_name(binding.key)
                seen[binding.action] = (binding.key, display, binding.description)
        if self.app.ENABLE_COMMAND_PALETTE and not self.screen.is_modal:
            name = "commands" if self.app.size.width >= WIDE else "all"
            seen["command_palette"] = (self.app.COMMAND_PALETTE_BINDING, "^P", name)
        if getattr(self.app, "in_ascii", False):
            return [(key, _spelled(display), text) for key, display, text in seen.values()]
        return list(seen.values())

    def _laid_out(self, width: int, lines: int) -> list[list[tuple[str, str, str]]]:
        """Return the keys that fit, line by line."""
        items = self.items()
        always = [item for item in items if item[0].split(",")[0] in ALWAYS]
        while True:
            rows: list[list[tuple[str, str, str]]] = [[]]
            used = 0
            for item in items:
                size = cell_len(item[1]) + 1 + cell_len(item[2])
                if rows[-1] and used + GAP + size > width:
                    rows.append([])
                    used = 0
                used += size + (GAP if rows[-1] else 0)
                rows[-1].append(item)
            if len(rows) <= lines or len(items) == len(always):
                return rows[:lines]
            items.remove(next(item for item in reversed(items) if item not in always))

    def render_line(self, y: int) -> Strip:
        """Draw the keys that fit."""
        base = self.rich_style
        key_style = base + self.get_component_rich_style("keybar--key", partial=True)
        text_style = base + self.get_component_rich_style("keybar--text", partial=True)
        width = self.content_size.width
        rows = self._laid_out(width, self.content_size.height)
        segments: list[Segment] = []
        places = self._places[y] = []
        at = 0
        for key, display, text in rows[y] if y < len(rows) else []:
            if at:
                segments.append(Segment(" " * GAP, base))
                at += GAP
            size = cell_len(display) + 1 + cell_len(text)
            places.append((at, at + size, key))
            segments += [Segment(display, key_style), Segment(" " + text, text_style)]
            at += size
        return Strip(segments).adjust_cell_length(width, base or Style())

    def on_click(self, event: Click) -> None:
        """Press the key that was clicked."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        for start, end, key in self._places.get(offset.y, []):
            if start <= offset.x < end:
                self.app.simulate_key(key)
