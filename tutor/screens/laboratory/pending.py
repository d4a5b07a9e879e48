"""What is pending, as a list over the laboratory: choose what comes next, hold, delay, drop or duplicate."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.events import Key
from textual.widgets import Static

from engine.simulation.actions import ActionError
from engine.simulation.history import HistoryError
from tutor.lab.choosing import PendingRow
from tutor.lab.drawing import Text
from tutor.lab.format import clock
from tutor.lab.session import LabSession
from tutor.prompt.words import LINE, shorten
from tutor.screens.base import TutorDialog
from tutor.widgets.drawn import Drawn
from tutor.widgets.keybar import KeyBar

DELAY_MS = 200
WHO = 16  # columns
ABOUT = (
    "Enter lets an event come next, at its own time; what was due before it is late. Nothing is early, and on a "
    "connection nothing overtakes: TCP. What is dropped is sent again."
)


class PendingDialog(TutorDialog[str]):
    """The list, from which events are chosen one after the other; it returns the beginning of a line, after `:`."""

    BINDINGS: ClassVar = [
        Binding("enter", "act('choose')", "comes next"),
        Binding("h", "act('hold')", "hold"),
        Binding("r", "act('release')", "release"),
        Binding("l", f"act('delay', '{DELAY_MS}')", f"{DELAY_MS} ms later"),
        Binding("d", "act('drop')", "drop"),
        Binding("c", "act('duplicate')", "duplicate"),
        Binding("u", "undo", "undo"),
        Binding("colon", "type", "type", key_display=":"),
        Binding("down", "move(1)", "move", key_display="↑↓"),
        Binding("up", "move(-1)", "move", show=False),
        Binding("pagedown", "move(8)", "move", show=False),
        Binding("pageup", "move(-8)", "move", show=False),
        *(Binding(str(digit), f"pick({digit})", str(digit), show=False) for digit in range(1, 10)),
        Binding("escape,q,j", "dismiss(None)", "close", key_display="Esc"),
    ]
    DEFAULT_CSS = """
    PendingDialog { align: center bottom; background: $background 0%; }
    PendingDialog > Vertical { width: 100%; height: 60%; background: $surface; border: round $primary;
        border-title-color: $text-primary; border-title-style: bold; border-subtitle-color: $text-error;
        padding: 0 1; }
    PendingDialog VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
    PendingDialog Static { height: auto; }
    PendingDialog #pending-text { text-wrap: nowrap; text-overflow: ellipsis; }
    PendingDialog #pending-about { color: $muted; }
    """

    def __init__(self, session: LabSession, changed: Callable[[], None]) -> None:
        super().__init__()
        self._session, self._changed = session, changed
        self._rows: list[PendingRow] = []
        self._at = 0
        self._begun: str | None = None  # what has been typed since `:`

    def compose(self) -> ComposeResult:
        """Lay out the list."""
        with Vertical() as box:
            box.border_title = "Pending events"
            yield Static(ABOUT, markup=False, id="pending-about")
            with VerticalScroll(id="pending", can_focus=False):
                yield Drawn("", id="pending-text")
            yield KeyBar()

    def on_mount(self) -> None:
        """Draw the list."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        self._rows = self._session.pending()
        self._at = max(0, min(self._at, len(self._rows) - 1))
        box = self.query_one(Vertical)
        box.border_title = f"Pending events at {clock(self._session.world.now_us)} s"
        lines = [self._line(row, at == self._at) for at, row in enumerate(self._rows)]
        self.query_one(Drawn).draw(lines or [[("Nothing is pending: no process runs.", "dim")]])
        self.query_one("#pending", VerticalScroll).scroll_to(y=max(0, self._at - 4), animate=False)

    @staticmethod
    def _line(row: PendingRow, chosen: bool) -> Text:
        event = row.event
        style = "bad" if event.is_held else "dim" if event.follows else ""
        after = f"  after @{event.follows}" if event.follows else ""
        return [
            ("▶ " if chosen else "  ", "accent"), (f"{row.number:>3} ", "strong"), (f"{row.wait:>12}  ", style),
            (f"{row.who:<{WHO}} ", "strong" if chosen else style), (row.text, style),
            (f"  @{event.key}{after}", "dim"),
        ]  # fmt: skip

    def action_move(self, by: int) -> None:
        """Choose another row."""
        self._at += by
        self._draw()

    def action_pick(self, number: int) -> None:
        """Choose a row by its number."""
        self._at = number - 1
        self._draw()

    def action_act(self, verb: str, *words: str) -> None:
        """Do something to the chosen event."""
        if not self._rows:
            return
        key = self._rows[self._at].event.key
        self._do(lambda: self._session.execute(" ".join([verb, f"@{key}", *words])))
        self._draw()
        here = (at for at, row in enumerate(self._rows) if row.event.key == key)
        self._at = next(here, 0)  # where the same event is now
        self._draw()

    def action_type(self) -> None:
        """Close the list, and begin a line with what is typed until it is closed."""
        if self._begun is None:
            self._begun = ""
            self.call_after_refresh(self._close)

    def _close(self) -> None:
        self.dismiss(self._begun)

    def on_key(self, event: Key) -> None:
        """Take `:` at once, and the keys that come in one burst with it."""
        if self._begun is None and event.character != ":":
            return
        if self._begun is None:
            self.action_type()
        elif event.is_printable and event.character:
            self._begun += event.character
        event.stop()
        event.prevent_default()

    def action_undo(self) -> None:
        """Take the last action back."""
        self._do(self._session.undo)
        self._draw()

    def _do(self, act: Callable[[], object]) -> None:
        problem = ""
        try:
            act()
        except (ActionError, HistoryError) as error:
            problem = shorten(str(error), LINE)
        self.query_one(Vertical).border_subtitle = problem.replace("[", "\\[")
        self._changed()

    @on(Drawn.Clicked)
    def _clicked(self, event: Drawn.Clicked) -> None:
        event.stop()
        if event.row < len(self._rows):
            self._at = event.row
            self._draw()
