"""Short questions over the screen below."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option


class ChoiceDialog(ModalScreen[str | bool | None]):
    """Choose one of a few."""

    BINDINGS: ClassVar = [
        ("escape", "dismiss(None)", "cancel"),
        ("pageup", "scroll(-1)", "scroll the text up"),
        ("pagedown", "scroll(1)", "scroll the text down"),
    ]
    DEFAULT_CSS = """
    ChoiceDialog, Confirm { align: center middle; background: $background 60%; }
    #dialog {
        width: 60; max-width: 90%; height: auto; max-height: 90%; padding: 1 2; background: $surface;
        border: round $primary; border-title-color: $text-primary; border-title-style: bold;
    }
    #dialog Static { height: auto; }
    #dialog #words { height: auto; max-height: 60vh; margin: 0 0 1 0; scrollbar-size-vertical: 1; }
    #dialog OptionList { height: auto; border: none; background: $surface; padding: 0; }
    """

    def __init__(self, title: str, text: str, choices: list[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._text, self._choices = title, text, choices

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(id="dialog") as box:
            box.border_title = self._title
            with VerticalScroll(id="words", can_focus=False):
                yield Static(self._text, markup=False)
            yield OptionList(*(Option(text, id=name) for name, text in self._choices), markup=False)

    def action_scroll(self, by: int) -> None:
        """Scroll a long text."""
        words = self.query_one("#words", VerticalScroll)
        (words.scroll_page_up if by < 0 else words.scroll_page_down)(animate=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        event.stop()
        self.dismiss(self.result(event.option.id))

    def result(self, chosen: str | None) -> str | bool | None:
        """Return what the choice means to the caller."""
        return chosen


class Confirm(ChoiceDialog):
    """Ask before something that cannot be undone; the harmless answer comes first."""

    def __init__(self, title: str, text: str, yes: str) -> None:
        super().__init__(title, text, [("no", "No, leave it"), ("yes", yes)])

    def result(self, chosen: str | None) -> bool:
        """Whether it was a yes."""
        return chosen == "yes"


class TooSmall(ModalScreen[None]):
    """Covers the screen while the window is too small, and goes with the first size that is not."""

    COLUMNS, ROWS = 40, 12
    DEFAULT_CSS = """
    TooSmall { background: $background; align: center middle; }
    TooSmall Static { width: 100%; height: auto; text-align: center; }
    """

    def compose(self) -> ComposeResult:
        """Say it in few words."""
        yield Static(f"Enlarge the window to {self.COLUMNS}×{self.ROWS}. Nothing is lost.", markup=False)
