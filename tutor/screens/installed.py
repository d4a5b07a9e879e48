"""The course that is installed with the program."""

from typing import TYPE_CHECKING

from tutor.screens.view import CourseView

if TYPE_CHECKING:
    from tutor.screens.lesson import Desk


class InstalledCourse:
    """Lessons from the installed files, progress from the learner's own."""

    def view(self) -> CourseView:
        """Return the map as it stands."""
        return CourseView()

    def desk(self, lesson: str) -> "Desk":
        """Return a desk for a lesson."""
        raise LookupError(f"there is no lesson {lesson!r}")

    def sandbox(self) -> "Desk":
        """Return a desk with a server and no lesson."""
        from tutor.screens.desk.playground import Playground

        return Playground()

    def glossary(self) -> tuple[tuple[str, str], ...]:
        """Return terms with what they mean."""
        return ()

    def lessons_with(self, command: str) -> tuple[tuple[str, str], ...]:
        """Return (id, title) of lessons that use a command."""
        return ()

    def reset_everything(self) -> None:
        """Forget all progress."""
