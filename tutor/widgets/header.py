"""The first line: where the learner is, and how far."""

from textual.content import Content
from textual.widgets import Static


def dots(done: tuple[bool, ...], now: int) -> str:
    """Return one mark a step: done, this one, to come. `now` counts from 0."""
    if len(done) > 16:
        return f"{sum(done)} of {len(done)} done"
    return "".join("◉" if at == now else "●" if is_done else "○" for at, is_done in enumerate(done))


class HeaderBar(Static):
    """The header of every screen."""

    DEFAULT_CSS = """
    HeaderBar { dock: top; height: 1; background: $panel; color: $foreground; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__("")
        self._left: Content | str = ""
        self._right = ""

    def show(self, left: Content | str, right: str = "") -> None:
        """Show what is left and what is right; the right side wins when room is short."""
        self._left, self._right = left, right
        self._draw()

    def on_resize(self) -> None:
        """Fit it."""
        self._draw()

    def _draw(self) -> None:
        width = self.content_size.width or self.app.size.width - 2
        name = Content.styled("redis-tutor", "bold $text-primary")
        left = Content.assemble(name, "  ", self._left)
        right = Content.styled(self._right, "$muted")
        room = width - right.cell_length - 2
        if left.cell_length > room:
            left = Content.assemble(self._left)
            left = left.truncate(max(4, room), ellipsis=True)
        gap = max(1, width - left.cell_length - right.cell_length)
        self.update(Content.assemble(left, " " * gap, right))
