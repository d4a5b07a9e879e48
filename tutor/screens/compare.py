"""Two branches of the laboratory's history side by side, step by step at the same virtual time."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.simulation.history import History, HistoryError
from tutor.lab.diff import SideBySide
from tutor.lab.format import clock
from tutor.pictures.letters import Letters
from tutor.widgets.drawn import content


class CompareScreen(ModalScreen[None]):
    """What is different in two branches at a time, at first at their ends, and where they parted."""

    BINDINGS: ClassVar = [
        ("escape,q,equals_sign", "dismiss(None)", "close"),
        ("b", "other", "other branch"),
        ("right", "move(1)", "step"),
        ("left", "move(-1)", "back"),
        ("shift+right", "move(10)", "ten steps"),
        ("shift+left", "move(-10)", "ten steps back"),
        ("d", "difference", "next difference"),
        ("home", "ends('parting')", "where they part"),
        ("end", "ends('end')", "their ends"),
        ("down", "scroll_by(1)", "scroll"),
        ("up", "scroll_by(-1)", "scroll back"),
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
        self.sides: SideBySide | None = None
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
        with VerticalScroll(id="compare", can_focus=False) as box:
            more = " · b next branch" if len(self.others) > 1 else ""
            box.border_title = "Branches"
            box.border_subtitle = f"← → step · d next difference · Home End{more} · Esc"
            yield Static("", id="compare-text")

    def on_mount(self) -> None:
        """Compare."""
        self._compare()

    def on_unmount(self) -> None:
        """Let the copies go."""
        if self.sides is not None:
            self.sides.close()

    def action_other(self) -> None:
        """Compare with the next branch."""
        self.others.append(self.others.pop(0))
        self._compare()

    def action_move(self, by: int) -> None:
        """Go on in both branches to when something happened in one of them, or back."""
        self._do(lambda sides: sides.move(by))

    def action_ends(self, where: str) -> None:
        """Go to where they part, or to their ends."""
        self._do(lambda sides: getattr(sides, where)())

    def action_difference(self) -> None:
        """Go on to where other things are different."""
        self._do(self._to_difference)

    def _to_difference(self, sides: SideBySide) -> None:
        if not sides.next_difference():
            self.notify("After this, the differences stay the same.", timeout=3)

    def action_scroll_by(self, by: int) -> None:
        """Scroll what does not fit."""
        self.query_one("#compare", VerticalScroll).scroll_relative(y=3 * by, animate=False)

    def _compare(self) -> None:
        if self.sides is not None:
            self.sides.close()
        self.sides = SideBySide(self.history, self.others[0], self.history.branch_name, self.letters)
        self._draw()

    def _do(self, act: Callable[[SideBySide], None]) -> None:
        if self.sides is None:
            return
        try:
            act(self.sides)
        except HistoryError as error:
            self.notify(str(error), severity="warning", markup=False)
        self._draw()

    def _draw(self) -> None:
        if self.sides is None:
            return
        width = min(100, int(self.app.size.width * 0.96)) - 6
        self.query_one("#compare", VerticalScroll).border_title = f"Branches at {clock(self.sides.now_us)} s"
        self.query_one("#compare-text", Static).update(content(self.sides.rows(width)))
