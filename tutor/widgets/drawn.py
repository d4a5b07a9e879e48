"""Rows of styled text, as the laboratory draws them, on a screen."""

from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import Static

from tutor.lab.drawing import Text

STYLES = {"": "", "strong": "bold", "dim": "$muted", "good": "$text-success", "bad": "$text-error",
          "accent": "$text-accent"}  # fmt: skip


def content(rows: list[Text]) -> Content:
    """Return rows as what a Static shows."""
    lines = [Content.assemble(*((text, STYLES[style]) for text, style in row)) for row in rows]
    return Content("\n").join(lines)


class Drawn(Static):
    """Rows that may be clicked."""

    rows: list[Text] | None = None

    class Clicked(Message):
        """A row was clicked: which, counted from the first that is shown, and in which column."""

        def __init__(self, drawn: "Drawn", row: int, column: int = 0) -> None:
            super().__init__()
            self.drawn = drawn
            self.row = row
            self.column = column

        @property
        def control(self) -> "Drawn":
            """The pane."""
            return self.drawn

    def draw(self, rows: list[Text], layout: bool = True) -> None:
        """Show rows; without `layout` the room they have stays as it is. What is shown already costs nothing."""
        if rows != self.rows:
            self.rows = rows
            self.update(content(rows), layout=layout)

    def on_click(self, event: Click) -> None:
        """Tell which row it was."""
        offset = event.get_content_offset(self)
        if offset is not None:
            self.post_message(self.Clicked(self, offset.y, offset.x))
