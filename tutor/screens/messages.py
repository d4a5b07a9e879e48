"""What a lesson's desk tells the lesson screen: typed messages, posted from wherever the news came in."""

from collections.abc import Sequence

from textual.message import Message

from tutor.screens.view import EventEntry, Hint, KeysView, LessonSetup, StepView, WireEntry
from tutor.widgets.rows import Row
from tutor.widgets.terminal import Question


class DeskMessage(Message, bubble=False):
    """News from the desk."""


class Opened(DeskMessage):
    """The lesson's server runs and its terminals are connected."""

    def __init__(self, setup: LessonSetup) -> None:
        super().__init__()
        self.setup = setup


class OpenFailed(DeskMessage):
    """The lesson cannot be taken, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class StepShown(DeskMessage):
    """The step as it stands; `fresh` when it is another one than before."""

    def __init__(self, step: StepView, fresh: bool = False) -> None:
        super().__init__()
        self.step, self.fresh = step, fresh


class Output(DeskMessage):
    """Rows for a terminal."""

    def __init__(self, terminal: str, rows: Sequence[Row]) -> None:
        super().__init__()
        self.terminal, self.rows = terminal, rows


class PromptShown(DeskMessage):
    """A terminal's prompt, and whether a command still runs or blocks there."""

    def __init__(self, terminal: str, prompt: str, busy: bool = False) -> None:
        super().__init__()
        self.terminal, self.prompt, self.busy = terminal, prompt, busy


class TypeIn(DeskMessage):
    """Lines to be typed for the learner, visibly."""

    def __init__(self, terminal: str, lines: Sequence[str], typed_for: str | None = None) -> None:
        super().__init__()
        self.terminal, self.lines, self.typed_for = terminal, lines, typed_for


class Asked(DeskMessage):
    """A prediction is due."""

    def __init__(self, terminal: str, question: Question | None) -> None:
        super().__init__()
        self.terminal, self.question = terminal, question


class HintShown(DeskMessage):
    """A hint, or none any more."""

    def __init__(self, hint: Hint | None) -> None:
        super().__init__()
        self.hint = hint


class KeysShown(DeskMessage):
    """The key space after a command."""

    def __init__(self, keys: KeysView) -> None:
        super().__init__()
        self.keys = keys


class WireShown(DeskMessage):
    """Bytes that crossed the wire."""

    def __init__(self, entries: Sequence[WireEntry]) -> None:
        super().__init__()
        self.entries = entries


class EventsShown(DeskMessage):
    """What happened in the server."""

    def __init__(self, entries: Sequence[EventEntry]) -> None:
        super().__init__()
        self.entries = entries


class Cleared(DeskMessage):
    """The server went back: wire, events and terminals start anew from here, with a line that says so."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Finished(DeskMessage):
    """The lesson is done; `next_lesson` is what follows."""

    def __init__(self, title: str, next_lesson: str | None, next_title: str = "") -> None:
        super().__init__()
        self.title, self.next_lesson, self.next_title = title, next_lesson, next_title


class Notice(DeskMessage):
    """A short word to the learner."""

    def __init__(self, text: str, severity: str = "information") -> None:
        super().__init__()
        self.text, self.severity = text, severity
