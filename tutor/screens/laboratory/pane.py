"""A pane of the laboratory: it draws its part of a `LabView`, and says which event of the history was chosen."""

from textual.message import Message
from textual.widget import Widget

from tutor.screens.laboratory.view import LabView


class Pane(Widget):
    """A pane, which draws its part of what it was last shown, again when it has become larger or smaller."""

    _view: LabView | None = None

    class MomentChosen(Message):
        """A row that belongs to an event was clicked: go to the moment after it."""

        def __init__(self, event: int) -> None:
            super().__init__()
            self.event = event

    def show_view(self, view: LabView) -> None:
        """Draw a view from now on."""
        self._view = view
        self.draw_view(view)

    def draw_view(self, view: LabView) -> None:
        """Draw the part of a view that this pane shows."""
        raise NotImplementedError

    def on_resize(self) -> None:
        """Fit it."""
        if self._view is not None:
            self.draw_view(self._view)
