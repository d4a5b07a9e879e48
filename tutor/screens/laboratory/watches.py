"""The lines below the header that show watch expressions, as long as there are some."""

from tutor.lab import watchlist
from tutor.screens.laboratory.view import LabView
from tutor.widgets.drawn import Drawn


class WatchBar(Drawn):
    """Watch expressions with their values; those that have changed are marked."""

    DEFAULT_CSS = """
    WatchBar { display: none; dock: top; height: auto; margin: 1 0 0 0; padding: 0 1; text-wrap: nowrap;
        text-overflow: ellipsis; background: $surface; }
    WatchBar.-on { display: block; }
    """

    def show_view(self, view: LabView) -> None:
        """Draw them."""
        session = view.session
        rows = session.watches.rows(session.history)
        self.set_class(bool(rows), "-on")
        self.draw(list(watchlist.drawn(rows, max(20, self.screen.size.width - 2))))
