"""Where the screens get the course from: a map to show, and a desk for every lesson.

The course itself is read in a thread after the first frame: nobody waits for lesson files to see the program start.
"""

from typing import TYPE_CHECKING, Protocol

from tutor.screens.view import CourseView

if TYPE_CHECKING:
    from tutor.screens.lesson import Desk


class Course(Protocol):
    """The course, as far as the screens know it. Every method may take its time: call from a thread."""

    def view(self) -> CourseView:
        """Return the map as it stands."""

    def desk(self, lesson: str) -> "Desk":
        """Return a desk for a lesson. LookupError when there is none of this name."""

    def sandbox(self) -> "Desk":
        """Return a desk with a server and no lesson."""

    def glossary(self) -> tuple[tuple[str, str], ...]:
        """Return terms with what they mean."""

    def lessons_with(self, command: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that use a command."""

    def lessons_staged(self, scenario: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that a scenario of the laboratory stages."""

    def reset_everything(self) -> None:
        """Forget all progress."""
