"""What every screen has in common: a program that it can ask for lessons, settings and other screens."""

from typing import TypeVar

from textual import getters
from textual.app import App
from textual.screen import ModalScreen, Screen

from tutor.lesson.front_end import Course
from tutor.lesson.view import LessonPlace
from tutor.screens.preferences import Preferences
from tutor.widgets.compositor import FrameCompositor

Result = TypeVar("Result")


class Program(App[None]):
    """The program as its screens know it; `tutor.app` is the whole of it."""

    course: Course
    preferences: Preferences
    ends_with_laboratory: bool  # it was opened for the laboratory alone, and ends when that is left

    def choose_symbols(self) -> None:
        """Draw with ASCII only, or with all symbols, as the settings and the terminal have it."""
        raise NotImplementedError

    @property
    def in_ascii(self) -> bool:
        """Whether the screens are drawn in ASCII."""
        raise NotImplementedError

    def open_lesson(self, lesson: str | LessonPlace | None) -> object:
        """Open a lesson, by its ID or file, or at a step."""
        raise NotImplementedError

    def release_keys(self, drop: bool = False) -> None:
        """Pass on what was typed while a lesson opened, or drop it: there is no lesson."""
        raise NotImplementedError

    def action_bookmarks(self) -> None:
        """Choose a bookmark and go there."""
        raise NotImplementedError

    def action_laboratory(self, scenario: str = "") -> None:
        """Open the laboratory, on a scenario or on the list of them."""
        raise NotImplementedError

    def action_reference(self, command: str = "") -> None:
        """Open the reference."""
        raise NotImplementedError

    def action_connect(self, where: str) -> object:
        """Open a real server: HOST:PORT or a URL, with ` write` if writes are allowed."""
        raise NotImplementedError

    def action_sandbox(self, *then: str) -> object:
        """Open the sandbox, or go to it, and have it do something (see `Controller.act`)."""
        raise NotImplementedError


class TutorScreen(Screen[Result]):
    """A screen of the program."""

    app = getters.app(Program)

    def __init__(self) -> None:
        super().__init__()
        self._compositor = FrameCompositor()


class TutorDialog(ModalScreen[Result]):
    """A screen over another one."""

    app = getters.app(Program)
