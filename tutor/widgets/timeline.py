"""A history as one line: the current position, and where steps began. A click goes there."""

from bisect import bisect_left

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.events import Click, MouseMove
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget


class Timeline(Widget):
    """The bar: what is past is drawn heavily, what is known of the future lightly, `┼` is where a step began."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {"timeline--past", "timeline--now", "timeline--future"}  # noqa: RUF012
    DEFAULT_CSS = """
    Timeline { height: 1; background: $surface; color: $foreground; padding: 0 1;
        .timeline--past { color: $text-primary; }
        .timeline--now { color: $text-accent; text-style: bold; }
        .timeline--future { color: $muted; }
    }
    """

    class Chosen(Message):
        """A place was clicked at."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self) -> None:
        super().__init__()
        self.place = self.last = 0
        self.marks: list[int] = []

    def compose(self) -> ComposeResult:
        """Nothing: one line, drawn at once."""
        return ()

    def show(self, place: int, last: int, marks: list[int]) -> None:
        """Show a place among so many, and marks at others, in order."""
        self.place, self.last, self.marks = place, last, marks
        self.refresh()

    def _column(self, place: int, width: int) -> int:
        return place * (width - 1) // self.last if self.last else 0

    def render_line(self, y: int) -> Strip:
        """Draw it."""
        width = max(1, self.content_size.width)
        now = self._column(self.place, width)
        marked = {self._column(mark, width) for mark in self.marks}
        past = "".join("┿" if at in marked else "━" for at in range(now))
        future = "".join("┼" if at in marked else "─" for at in range(now + 1, width))
        base = self.rich_style
        parts = (("past", past), ("now", "●"), ("future", future))
        return Strip(
            [
                Segment(text, base + self.get_component_rich_style(f"timeline--{name}", partial=True))
                for name, text in parts
                if text
            ]
        ).adjust_cell_length(width, base or Style())

    def _choose(self, x: int) -> None:
        width = max(2, self.content_size.width)
        if not self.last or not 0 <= x < width:
            return
        place = -(-x * self.last // (width - 1))
        # A mark is hit by its column, not only by its exact place.
        near = bisect_left(self.marks, place)
        for mark in self.marks[max(0, near - 1) : near + 1]:
            if self._column(mark, width) == x:
                place = mark
        self.post_message(self.Chosen(min(place, self.last)))

    def on_click(self, event: Click) -> None:
        """Go where the click was."""
        offset = event.get_content_offset(self)
        if offset is not None:
            self._choose(offset.x)

    def on_mouse_move(self, event: MouseMove) -> None:
        """Follow a drag."""
        offset = event.get_content_offset(self)
        if event.button == 1 and offset is not None:
            self._choose(offset.x)
