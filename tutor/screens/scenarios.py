"""The scenarios of the laboratory, to choose one."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tutor.lab.loader import find, names, read_scenario
from tutor.lesson.model import Problem
from tutor.screens.base import TutorScreen
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar

HELP = """\
Whole clusters, step by step, forwards and backwards. **Enter** opens the scenario under the bar.
"""


class ScenariosScreen(TutorScreen[None]):
    """The laboratory's door."""

    HELP = HELP
    HELP_TITLE = "The laboratory"
    BINDINGS: ClassVar = [
        Binding("f1,question_mark", "app.help", "help", id="help", key_display="F1"),
        Binding("enter", "open", "open", id="scenarios.open", priority=True),
        Binding("escape", "dismiss", "map", id="scenarios.leave"),
    ]
    CSS = """
    ScenariosScreen { background: $background; }
    ScenariosScreen OptionList { height: 1fr; border: round $rule; background: $background; padding: 0 1; }
    ScenariosScreen OptionList > .option-list--option-highlighted { background: $primary; color: $background;
        text-style: bold; }
    """

    def compose(self) -> ComposeResult:
        """List them."""
        yield HeaderBar()
        options = []
        for name in names():
            try:
                options.append(Option(Content(read_scenario(find(name)).title), id=name))
            except Problem as problem:
                options.append(Option(Content(f"! {problem}"), disabled=True))
        yield OptionList(*options, markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """Say where we are."""
        self.query_one(HeaderBar).show("Laboratory", f"{len(names())} scenarios")

    def action_open(self) -> None:
        """Open the scenario under the bar."""
        self.query_one(OptionList).action_select()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open a scenario."""
        if event.option_id:
            self.app.action_laboratory(event.option_id)
