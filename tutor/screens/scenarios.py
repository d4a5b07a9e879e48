"""The scenarios of the laboratory, to choose one."""

import contextlib
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tutor.lab.keeping import path_of, saved
from tutor.lab.loader import find, names, read_scenario
from tutor.lesson.model import Problem
from tutor.screens.base import TutorScreen
from tutor.screens.dialogs import Confirm
from tutor.screens.laboratory.keeper import open_new, open_saved
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar

OWN = "new:"  # before what is built
SAVED = "saved:"  # before the names of what was saved, among the scenarios
HELP = """\
Whole clusters, step by step, forwards and backwards. **Enter** opens the scenario under the bar. What you saved in
the laboratory comes first, marked with ✎; **Del** deletes it.
"""


class ScenariosScreen(TutorScreen[None]):
    """The laboratory's door."""

    HELP = HELP
    HELP_TITLE = "The laboratory"
    BINDINGS: ClassVar = [
        Binding("f1,question_mark", "app.help", "help", id="help", key_display="F1"),
        Binding("enter", "open", "open", id="scenarios.open", priority=True),
        Binding("delete", "delete", "delete", id="scenarios.delete"),
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
        options: list[Option] = [
            Option(
                Content.assemble(
                    ("✎ ", "bold"), each.name, (f"  {each.title}", "dim") if each.title else "",
                    (f"  {datetime.fromtimestamp(each.at_s):%Y-%m-%d %H:%M}", "dim"),
                ),
                id=f"{SAVED}{each.name}",
            )
            for each in saved()
        ]  # fmt: skip
        own = Content.assemble(("+ ", "bold"), "Build your own: three nodes", ("  :new 6 chain builds others", "dim"))
        options.append(Option(own, id=f"{OWN}3"))
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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to delete where there is something to delete."""
        return action != "delete" or any((each.id or "").startswith(SAVED) for each in self._options)

    @property
    def _options(self) -> list[Option]:
        return [option for options in self.query(OptionList) for option in options.options]

    def action_open(self) -> None:
        """Open the scenario under the bar."""
        self.query_one(OptionList).action_select()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open a scenario."""
        chosen = event.option_id or ""
        if chosen.startswith(SAVED):
            self.run_worker(open_saved(self.app, chosen.removeprefix(SAVED)))
        elif chosen.startswith(OWN):
            self.run_worker(open_new(self.app, chosen.removeprefix(OWN)))
        elif chosen:
            self.app.action_laboratory(chosen)

    def action_delete(self) -> None:
        """Delete what was saved, after a question."""
        options = self.query_one(OptionList)
        chosen = options.highlighted_option
        if chosen is None or not (chosen.id or "").startswith(SAVED):
            self.notify("Only what you saved can be deleted.")
            return
        name = (chosen.id or "").removeprefix(SAVED)

        def confirmed(yes: str | bool | None) -> None:
            if yes:
                with contextlib.suppress(OSError):
                    path_of(name).unlink()
                options.remove_option(f"{SAVED}{name}")

        self.app.push_screen(Confirm("Delete it?", f"“{name}” cannot be brought back.", "Yes, delete it"), confirmed)
