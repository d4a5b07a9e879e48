"""Short questions over the screen below."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option


class Choice(ModalScreen[str | bool | None]):
    """Choose one of a few."""

    BINDINGS: ClassVar = [("escape", "dismiss(None)", "cancel")]
    DEFAULT_CSS = """
    Choice, Confirm { align: center middle; background: $background 60%; }
    #dialog {
        width: 60; max-width: 90%; height: auto; max-height: 90%; padding: 1 2; background: $surface;
        border: round $primary; border-title-color: $text-primary; border-title-style: bold;
    }
    #dialog Static { height: auto; margin: 0 0 1 0; }
    #dialog OptionList { height: auto; border: none; background: $surface; padding: 0; }
    """

    def __init__(self, title: str, text: str, choices: list[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._text, self._choices = title, text, choices

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(id="dialog") as box:
            box.border_title = self._title
            yield Static(self._text, markup=False)
            yield OptionList(*(Option(text, id=name) for name, text in self._choices), markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        event.stop()
        self.dismiss(self.result(event.option.id))

    def result(self, chosen: str | None) -> str | bool | None:
        """Return what the choice means to whoever asked."""
        return chosen


class Confirm(Choice):
    """Ask before something that cannot be undone; the harmless answer comes first."""

    def __init__(self, title: str, text: str, yes: str) -> None:
        super().__init__(title, text, [("no", "No, leave it"), ("yes", yes)])

    def result(self, chosen: str | None) -> bool:
        """Whether it was a yes."""
        return chosen == "yes"
