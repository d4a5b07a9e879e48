"""What the screens show, as plain data: the map, a step of a lesson, keys, wire frames, events.

The controller, which knows the course and the server, makes these; screens and widgets only draw them.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LessonEntry:
    """A lesson's line on the map."""

    id: str
    title: str
    minutes: int = 0
    steps: int = 0
    step: int = 0  # steps done
    done: bool = False
    started: bool = False
    review: bool = False  # a prediction missed earlier has come back
    summary: str = ""
    skipped: int = 0  # tasks that were left out
    missed: int = 0  # wrong predictions
    bookmarked: bool = False
    placed: bool = False  # its chapter was known; not done


@dataclass(frozen=True, slots=True)
class ChapterEntry:
    """A chapter's heading on the map."""

    number: int
    title: str
    lessons: tuple[LessonEntry, ...] = ()
    challenge: str = ""  # the ID of its challenge


@dataclass(frozen=True, slots=True)
class CourseView:
    """The whole map. `problems` are lesson files that could not be read, a line each."""

    chapters: tuple[ChapterEntry, ...] = ()
    next_lesson: str | None = None
    problems: tuple[str, ...] = ()
    notice: str = ""  # what is wrong with the file of the progress
    due: int = 0  # questions in the review
    bookmarks: int = 0


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """Something that was found. `kind`: lesson, command, term, bookmark or history.

    `target` is its ID, name, term, key or line.
    """

    kind: str
    target: str
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class BookmarkEntry:
    """A bookmark. `target` is the lesson to open, by its ID or file; `step` is an index."""

    key: str
    target: str
    lesson: str  # its title
    step: int
    title: str  # of the step
    note: str = ""
    at: int = 0  # the step (index) that the learner is at, if the lesson is begun and not done
    is_gone: bool = False  # whether the lesson is no longer there

    @property
    def lesson_key(self) -> str:
        """The key of the lesson."""
        return self.key.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class LessonPlace:
    """A lesson to open, by its ID or file, and the step (index) to go to in it."""

    lesson: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class ReviewQuestion:
    """A question of the review or of a placement, in plain text. Without choices the answer is typed."""

    key: str
    lesson: str
    step: int
    text: str
    labels: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    context: str = ""  # what comes before it, as Markdown


@dataclass(frozen=True, slots=True)
class PlacementResult:
    """How a placement ended, and what to say about it."""

    passed: bool
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReviewOutcome:
    """What became of an answer: the right one, why (Markdown), and when the question returns (or what follows)."""

    right: bool
    answer: str
    because: str
    returns: str


@dataclass(frozen=True, slots=True)
class ProseView:
    """Markdown without transcripts."""

    markdown: str


@dataclass(frozen=True, slots=True)
class ExampleView:
    """A transcript that can be run: commands with the replies that the text shows."""

    id: str
    exchanges: tuple[tuple[str, str], ...]
    terminal: str = ""
    ran: bool = False
    passive: bool = False  # only what arrives: there is nothing to type
    where: str = ""  # the terminal's name, where there are several
    prompts: tuple[str, ...] = ()  # of its commands, as the text shows them
    setup: bool = False  # typed for the learner when the step begins


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """Something to do."""

    id: str
    text: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Tasks:
    """The step's tasks, in a box of their own."""

    tasks: tuple[TaskEntry, ...]


@dataclass(frozen=True, slots=True)
class PredictionView:
    """A question, and what became of it."""

    id: str
    text: str
    answer: str = ""  # what the learner said; empty when not asked yet
    right: bool = False
    correct: str = ""  # the right answer, told once it has been run
    because: str = ""  # why, in Markdown


@dataclass(frozen=True, slots=True)
class SceneView:
    """A scenario of the laboratory that shows what the step explains."""

    scenario: str
    title: str
    text: str


Block = ProseView | ExampleView | Tasks | PredictionView | SceneView


@dataclass(frozen=True, slots=True)
class StepView:
    """One step as it stands now."""

    lesson_id: str
    lesson: str
    chapter: str
    number: int  # from 1
    of: int
    done: tuple[bool, ...]  # every step of the lesson
    title: str
    blocks: tuple[Block, ...]
    minutes_left: int = 0
    free_play: bool = False
    bookmarked: bool = False

    @property
    def tasks(self) -> tuple[TaskEntry, ...]:
        """All tasks of the step."""
        return tuple(task for block in self.blocks if isinstance(block, Tasks) for task in block.tasks)

    @property
    def open_task(self) -> TaskEntry | None:
        """The first task not done."""
        return next((task for task in self.tasks if not task.done), None)

    @property
    def complete(self) -> bool:
        """Whether every task is done."""
        return all(task.done for task in self.tasks)

    @property
    def scenes(self) -> tuple[SceneView, ...]:
        """The scenarios of the step."""
        return tuple(block for block in self.blocks if isinstance(block, SceneView))

    @property
    def blocks_to_read(self) -> tuple[Block, ...]:
        """The blocks to read one after the other: what runs or is asked after an open task waits for it."""
        for at, block in enumerate(self.blocks):
            if isinstance(block, Tasks) and not all(task.done for task in block.tasks):
                waits = any(isinstance(each, ExampleView | PredictionView) for each in self.blocks[at + 1 :])
                return self.blocks[: at + 1] if waits else self.blocks
        return self.blocks

    @property
    def next_run(self) -> "ExampleView | PredictionView | None":
        """What F7 does next: the first transcript not run yet, or prediction not made, before the task to be done."""
        for block in self.blocks:
            if isinstance(block, Tasks) and not all(task.done for task in block.tasks):
                return None
            if isinstance(block, ExampleView) and not block.ran and not block.passive:
                return block
            if isinstance(block, PredictionView) and not block.answer and not block.correct:
                return block
        return None


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key as the inspector shows it. `mark`: new, changed, gone, same (looked at, not changed), or nothing."""

    name: str
    type: str
    encoding: str = ""
    size: str = ""
    ttl: str = ""
    preview: str = ""
    mark: str = ""
    db: int = 0
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeysView:
    """The key space."""

    keys: tuple[KeyEntry, ...] = ()
    total: int = 0  # how many there are, when not all are listed
    db: int = 0
    after: str = ""  # the command whose doing the marks are


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of the wire: bytes as they are written, and what they mean."""

    bytes: str
    meaning: str
    depth: int = 0


@dataclass(frozen=True, slots=True)
class WireEntry:
    """What crossed the wire at once, one way."""

    to_server: bool
    who: str
    size: int
    frames: tuple[Frame, ...]
    time: str = ""


@dataclass(frozen=True, slots=True)
class EventEntry:
    """Something that happened in the server."""

    time: str
    kind: str
    text: str
    who: str = ""


@dataclass(slots=True)
class HintView:
    """A hint; `of` levels in all."""

    text: str
    level: int
    of: int
    command: str = ""  # the last level's solution, which can be typed in
    lines: tuple[tuple[str, str], ...] = ()  # the same by line: terminal, command
    kind: str = ""  # of a mistake that this is about, and the part of the line: see `diagnosis.model.Diagnosis`
    slot: str = ""

    @property
    def heading(self) -> str:
        """What stands before it."""
        return f"Hint {self.level} of {self.of}" if self.of else "Hint"


@dataclass(frozen=True, slots=True)
class LessonSetup:
    """What the lesson screen needs to know before the first step."""

    id: str
    title: str
    chapter: str
    terminals: tuple[str, ...] = ("redis",)
    problems: tuple[str, ...] = field(default=())
    machines: bool = False  # whether its servers can be opened in the laboratory
    newcomer: bool = False  # whether the learner has never taken a lesson
    key: str = ""  # of a lesson: under which progress is kept

    @property
    def place(self) -> str:
        """Where the learner is, as actions have it."""
        return self.id if self.id in ("sandbox", "connected") else "lesson"


@dataclass(frozen=True, slots=True)
class Question:
    """A prediction to be made: choose one of `choices`, or type when there are none."""

    id: str
    text: str
    choices: tuple[str, ...] = ()
    command: str = ""  # what runs once the answer is given
    wants_command: bool = False  # whether the answer is a command, so that what looks like one is an answer
