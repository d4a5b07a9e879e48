"""Two branches of the laboratory's history side by side."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.simulation.history import History
from tutor.lab.diff import compare
from tutor.pictures.letters import Letters
from tutor.widgets.drawn import content


class CompareScreen(ModalScreen[None]):
    """What is different at the end of two branches, and where they parted."""

    BINDINGS: ClassVar = [
        ("escape,q,equals_sign", "dismiss(None)", "close"),
        ("b", "other", "other branch"),
    ]
    DEFAULT_CSS = """
    CompareScreen { align: center middle; background: $background 60%; }
    CompareScreen #compare { width: 100; max-width: 96%; height: auto; max-height: 92%; padding: 1 2;
        background: $surface; border: round $primary; border-title-color: $text-primary; border-title-style: bold;
        border-subtitle-color: $muted; scrollbar-size-vertical: 1; }
    CompareScreen Static { height: auto; }
    """

    def __init__(self, history: History, letters: Letters) -> None:
        super().__init__()
        self.history = history
        self.letters = letters
        mine = history.branch_name
        parent = history.branch_now.parent
        self.others = [name for name in history.branches if name != mine]
        if parent:
            self.others.sort(key=lambda name: name != parent)
        else:
            self.others.reverse()  # the latest first

    def compose(self) -> ComposeResult:
        """Lay out the comparison."""
        with VerticalScroll(id="compare") as box:
            more = " · b the next branch" if len(self.others) > 1 else ""
            box.border_title = "Branches"
            box.border_subtitle = f"Esc closes{more}"
            yield Static("", id="compare-text")

    def on_mount(self) -> None:
        """Compare."""
        self._draw()

    def action_other(self) -> None:
        """Compare with the next branch."""
        self.others.append(self.others.pop(0))
        self._draw()

    def _draw(self) -> None:
        width = min(100, int(self.app.size.width * 0.96)) - 6
        rows = compare(self.history, self.others[0], self.history.branch_name, self.letters, width)
        self.query_one("#compare-text", Static).update(content(rows))
