"""A text over the laboratory that can be read, scrolled and copied: the seed and the actions, an export."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from tutor.screens.base import TutorDialog
from tutor.widgets.keybar import KeyBar

SHOWN = 200_000  # characters: a long text is copied whole, but not shown whole


class Sheet(TutorDialog[None]):
    """A text with a title."""

    BINDINGS: ClassVar = [
        Binding("c", "copy", "copy"),
        Binding("down", "scroll('line_down')", "scroll", key_display="↑↓"),
        Binding("up", "scroll('line_up')", "scroll", show=False),
        Binding("pagedown", "scroll('page_down')", "scroll", show=False),
        Binding("pageup", "scroll('page_up')", "scroll", show=False),
        Binding("home", "scroll('home')", "top", show=False),
        Binding("end", "scroll('end')", "bottom", show=False),
        Binding("escape,q", "dismiss(None)", "close", key_display="Esc"),
    ]
    DEFAULT_CSS = """
    Sheet { align: center middle; background: $background 60%; }
    Sheet > Vertical { width: 90%; height: 90%; background: $surface; border: round $primary;
        border-title-color: $text-primary; border-title-style: bold; padding: 0 1; }
    Sheet VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
    Sheet Static { height: auto; }
    """

    def __init__(self, title: str, text: str, about: str = "") -> None:
        super().__init__()
        self._title, self._text, self._about = title, text, about

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with Vertical() as box:
            box.border_title = self._title
            if self._about:
                yield Static(self._about, markup=False)
            with VerticalScroll(id="sheet", can_focus=False):
                more = "\n…" if len(self._text) > SHOWN else ""
                yield Static(self._text[:SHOWN] + more, markup=False, id="sheet-text")
            yield KeyBar()

    def action_copy(self) -> None:
        """Put the text into the terminal's clipboard."""
        self.app.copy_to_clipboard(self._text)
        self.notify("Copied, if your terminal allows it.", timeout=2)

    def action_scroll(self, how: str) -> None:
        """Scroll: by a line or a page, or to an end."""
        scroller = self.query_one("#sheet", VerticalScroll)
        {
            "line_down": scroller.scroll_down,
            "line_up": scroller.scroll_up,
            "page_down": scroller.scroll_page_down,
            "page_up": scroller.scroll_page_up,
            "home": scroller.scroll_home,
            "end": scroller.scroll_end,
        }[how](animate=False)
