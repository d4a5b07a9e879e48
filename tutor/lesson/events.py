"""What happens in a lesson, as a session reports it, in order."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tutor.lesson import transcript
from tutor.lesson.checks import Attempt
from tutor.lesson.counting import CommandCount
from tutor.lesson.lines import plain_line
from tutor.lesson.model import Example, Lesson, Prediction, Step, Task

if TYPE_CHECKING:
    from tutor.lesson.summary import Summary


@dataclass(frozen=True, slots=True)
class StepEntered:
    """Another step, or the same one again."""

    step: Step


@dataclass(frozen=True, slots=True)
class Typed:
    """A command was carried out in a terminal; `text` is what redis-cli prints for it."""

    terminal: str
    prompt: str
    line: str
    text: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """Something came unasked in a terminal: a message, or the reply of a command that waited."""

    terminal: str
    text: str


@dataclass(frozen=True, slots=True)
class ExampleRan:
    """All of an example has been typed."""

    example: Example


@dataclass(frozen=True, slots=True)
class Differs:
    """An example gave another reply than the text shows, for the state is another than the text's."""

    example: Example
    command: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction was made; the explanation is `prediction.because`."""

    prediction: Prediction
    answer: str
    right: bool


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A task's check holds now. `count` is what it took, in a challenge."""

    task: Task
    count: CommandCount | None = None


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What was typed is a mistake that the author foresaw, and this is the hint for it."""

    task: Task
    text: str


@dataclass(frozen=True, slots=True)
class Diagnosed(Foreseen):
    """What was typed is a mistake that no author foresaw; `kind` and `slot`: see `diagnosis.model.Diagnosis`."""

    kind: str = ""
    slot: str = ""


@dataclass(frozen=True, slots=True)
class StepDone:
    """All tasks of the step are done."""

    step: Step


@dataclass(frozen=True, slots=True)
class WentBack:
    """Server and session are back at an earlier moment. `reopened`: tasks that are open again, by step and ID."""

    text: str
    reopened: frozenset[tuple[int, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class LessonDone:
    """There is no further step; `summary` is what was done."""

    lesson: Lesson
    summary: "Summary | None" = None


@dataclass(frozen=True, slots=True)
class Nothing:
    """What was asked for is not possible just now, and why."""

    text: str


Event = (
    StepEntered | Typed | Arrived | ExampleRan | Differs | Predicted | TaskDone | Foreseen | Diagnosed
    | StepDone | WentBack | LessonDone | Nothing
)  # fmt: skip


def difference(example: Example, attempt: Attempt) -> list[Event]:
    """Tell when an example's command gave another reply than the text shows."""
    found = [each for each in example.exchanges if each.command and plain_line(each.command) == attempt.line]
    if len(found) != 1 or (example.waits and found[0] is example.exchanges[-1]):
        return []
    if transcript.matches(found[0].expected, attempt.printed, example.unordered):
        return []
    return [Differs(example, found[0].command, found[0].reply, attempt.printed)]
