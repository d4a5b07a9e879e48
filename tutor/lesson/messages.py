"""The news that a lesson's controller sends to its front end: typed messages, posted from any thread."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutor.lesson.editor import EditorRun
from tutor.lesson.view import EventEntry, HintView, KeysView, LessonSetup, Question, StepView, WireEntry
from tutor.pictures.picture import PictureView
from tutor.prompt.rows import Row


@dataclass(frozen=True, slots=True)
class News:
    """News from the controller."""


@dataclass(frozen=True, slots=True)
class LessonOpened(News):
    """The lesson's server runs and its terminals are connected."""

    setup: LessonSetup


@dataclass(frozen=True, slots=True)
class OpenFailed(News):
    """The lesson cannot be taken, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class StepShown(News):
    """The step as it stands; `fresh` when it is another one than before."""

    step: StepView
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class TerminalOutput(News):
    """Rows for a terminal. `unasked`: a message or the like, which answers no command."""

    terminal: str
    rows: Sequence[Row]
    unasked: bool = False


@dataclass(frozen=True, slots=True)
class LineDone(News):
    """A line that was entered in a terminal has been answered: its output is complete."""

    terminal: str
    line: str


@dataclass(frozen=True, slots=True)
class Changed(News):
    """What the command that was run last in a terminal changed, as a sentence."""

    terminal: str
    text: str


@dataclass(frozen=True, slots=True)
class Failed(News):
    """The last command of a terminal was answered with an error, which `why` explains."""

    terminal: str


@dataclass(frozen=True, slots=True)
class TaskCompleted(News):
    """A task is done; goal and `aim` (in short) are Markdown. The terminal is the one that was typed in last."""

    terminal: str
    task: str
    goal: str
    aim: str


@dataclass(frozen=True, slots=True)
class Outcome(News):
    """What a prediction was about has run. Answers and explanation are Markdown."""

    terminal: str
    said: str
    right: bool
    correct: str
    because: str


@dataclass(frozen=True, slots=True)
class PromptShown(News):
    """A terminal's prompt, and whether a command still runs or blocks there."""

    terminal: str
    prompt: str
    busy: bool = False


@dataclass(frozen=True, slots=True)
class TypeIn(News):
    """Lines to be typed for the learner, visibly."""

    terminal: str
    lines: Sequence[str]
    typed_for: str | None = None
    at_once: bool = False  # not character by character: they come from the editor


@dataclass(frozen=True, slots=True)
class EditorRan(News):
    """What the editor's text did when it was run, so far or to its end."""

    run: EditorRun


@dataclass(frozen=True, slots=True)
class EditorRefused(News):
    """Why the editor's text is not run."""

    reason: str


@dataclass(frozen=True, slots=True)
class Suggested(News):
    """A line to stand at the prompt, for the learner to enter."""

    terminal: str
    line: str


@dataclass(frozen=True, slots=True)
class PredictionAsked(News):
    """A prediction is due."""

    terminal: str
    question: Question | None


@dataclass(frozen=True, slots=True)
class HintShown(News):
    """A hint, or none any more."""

    hint: HintView | None


@dataclass(frozen=True, slots=True)
class KeysShown(News):
    """The key space after a command."""

    keys: KeysView


@dataclass(frozen=True, slots=True)
class PictureShown(News):
    """What the last command was about, as a picture."""

    view: PictureView


@dataclass(frozen=True, slots=True)
class WireShown(News):
    """Bytes that crossed the wire."""

    entries: Sequence[WireEntry]


@dataclass(frozen=True, slots=True)
class EventsShown(News):
    """What happened in the server."""

    entries: Sequence[EventEntry]


@dataclass(frozen=True, slots=True)
class Cleared(News):
    """The server went back: wire, events and terminals start again from here, with a line that says so."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished(News):
    """The lesson is done; `next_lesson` is what follows.

    `told` says what was done, and at the end of a chapter what was done in it. `again` are the steps (index, title)
    with a wrong prediction.
    """

    title: str
    next_lesson: str | None
    next_title: str = ""
    told: tuple[str, ...] = ()
    again: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Notice(News):
    """A short word to the learner."""

    text: str
    severity: str = "information"
