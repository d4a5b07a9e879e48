"""Where the screens get the course from: a map to show, and a controller for every lesson.

The course itself is read in a thread after the first frame: the program starts without waiting for lesson files.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tutor.lesson import messages as m
from tutor.lesson.view import (
    BookmarkEntry,
    CourseView,
    ExampleView,
    FoundEntry,
    PlacementResult,
    Question,
    ReviewOutcome,
    ReviewQuestion,
)
from tutor.prompt.completer import Completer

if TYPE_CHECKING:
    from tutor.lesson.editor import EditorText
    from tutor.lesson.scrollback import Scrollback


class Controller(Protocol):
    """What the lesson screen works with. Every method returns at once or is awaited off the screen's thread."""

    async def open(self, post: Callable[[m.News], object]) -> None:
        """Start the lesson's server and come to where the learner was; news go to `post`, from any thread."""

    async def close(self) -> None:
        """Stop everything, with the progress kept."""

    def completer(self, terminal: str) -> Completer:
        """Return what helps with typing in a terminal."""

    def history(self, terminal: str) -> list[str]:
        """Return a terminal's history, oldest first; it grows by what is entered."""

    @property
    def scrollback(self) -> "Scrollback | None":
        """What the terminals showed when the lesson was left, and where to keep what they show now."""

    async def submit(self, terminal: str, line: str, typed_for: str | None) -> None:
        """Run a line that was entered. `typed_for` is the example or task it was typed for, if any."""

    def keeps_blanks(self, terminal: str) -> bool:
        """Return whether blanks before a line, and empty lines, mean something in a terminal."""

    async def noted(self) -> None:
        """Wait until all that is to be said of the lines that are over has been posted."""

    async def interrupt(self, terminal: str) -> None:
        """Stop what runs or blocks there."""

    async def answer(self, terminal: str, question: Question, answer: str) -> None:
        """Take a prediction."""

    async def run_example(self, example: ExampleView) -> None:
        """Have a transcript typed."""

    @property
    def draft(self) -> "EditorText":
        """What is in the editor."""

    def keep_draft(self, draft: "EditorText") -> bool:
        """Keep what is in the editor; returns whether that worked."""

    async def run_draft(self) -> None:
        """Run what is in the editor."""

    async def recording(self) -> bytes | None:
        """Return what has happened on the lesson's machines, as a file of the laboratory; None: there are none.

        Their time stands still until `resume`. Raises HostError.
        """

    async def resume(self) -> None:
        """Let the time of the machines go on from where it stands."""

    async def continue_from(self, lines: list[dict[str, Any]], end: dict[str, Any]) -> None:
        """Go on from a branch made in the laboratory: all of its actions, and its end, as lines of a file.

        What the branch shares with the lesson's own history stays; an error is shown. Time goes on.
        """

    async def act(self, action: str) -> None:
        """Do one of: hint, show, undo, reset, reset_lesson, next, back, why, predict, later, picture [NAME],
        bookmark [NOTE], visit STEP (index).
        """


class PlacementQuestions(Protocol):
    """The questions of a placement, one after the other. Every method may take its time."""

    title: str

    def __len__(self) -> int:
        """Return how many there are."""

    @property
    def number(self) -> int:
        """The number of the question that is asked now."""

    def next(self) -> ReviewQuestion | None:
        """Return the next question."""

    def again(self, said: str) -> str:
        """Return why an answer was not taken."""

    def answer(self, said: str) -> ReviewOutcome | None:
        """Take an answer; None if it cannot be read as one."""

    def finish(self) -> PlacementResult:
        """Return how it went, which is kept."""


class Course(Protocol):
    """The course, as far as the screens know it. Every method may take its time: call from a thread."""

    @property
    def saves(self) -> bool:
        """Whether progress can be saved."""

    def view(self) -> CourseView:
        """Return the map as it stands."""

    def controller(self, lesson: str, server: str = "") -> Controller:
        """Return a controller for a lesson, on a real server if one is named. Raises LookupError, ValueError."""

    def sandbox(self) -> Controller:
        """Return a controller with a server and no lesson."""

    def connected(self, where: str) -> Controller:
        """Return a controller of a real server, `HOST:PORT` or a URL, with ` write` if writes are allowed.

        Raises ValueError.
        """

    def find(self, query: str) -> Sequence[FoundEntry]:
        """Return lessons, commands, terms, bookmarks and lines of the history that match, best first."""

    def bookmarks(self) -> Sequence[BookmarkEntry]:
        """Return the learner's bookmarks, in the order of the course."""

    def remove_bookmark(self, key: str) -> None:
        """Remove a bookmark."""

    def placement(self, chapter: int) -> PlacementQuestions:
        """Return questions about a chapter, for a learner who knows it."""

    def claim(self, chapter: int) -> tuple[str, str]:
        """Take a chapter's challenge as its placement; returns the lesson to open, if any, and what to say."""

    def take_placement_back(self, chapter: int) -> None:
        """Have no lesson of a chapter count as placed."""

    def review(self, lesson: str = "") -> Sequence[ReviewQuestion]:
        """Return the questions that are due, of one lesson or of all."""

    def review_answer(self, key: str, said: str) -> ReviewOutcome | None:
        """Take an answer; None if it cannot be read as one."""

    def glossary(self) -> tuple[tuple[str, str], ...]:
        """Return terms with what they mean."""

    def lessons_with(self, command: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that use a command."""

    def lessons_on(self, term: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that explain or use a term of the glossary."""

    def lessons_of_scenario(self, scenario: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that a scenario of the laboratory belongs to."""

    def reset_everything(self) -> None:
        """Forget all progress."""
