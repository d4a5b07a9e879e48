"""What the laboratory's screen hands to its panes after each change; each of them draws its part."""

from typing import NamedTuple

from tutor.lab.drawing import ChosenMessage
from tutor.lab.session import LabSession


class LabView(NamedTuple):
    """The session at its present place, and what the learner has chosen there."""

    session: LabSession
    row: int  # of the log that is shown: the chosen event, marked in every pane; -1: none
    node: str
    talking: str  # the node or client whose console is open, or ""
    lessons: tuple[tuple[str, str], ...]  # ID and title of those that the scenario belongs to
    state: str  # whether time runs, and how fast

    @property
    def chosen(self) -> ChosenMessage:
        """The chosen event, as panes mark it."""
        return self.session.shown.chosen(self.row)

    @property
    def place(self) -> int:
        """The place after the chosen event: that of the scenario's text."""
        shown = self.session.shown
        return shown.number(self.row) + 1 if 0 <= self.row < shown.count - 1 else self.session.history.place
