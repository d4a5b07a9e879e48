"""The text of a lesson, and what a click in it does."""

from textual import getters, on
from textual.widgets import Markdown

from tutor.lesson.front_end import Controller
from tutor.screens.base import Program
from tutor.widgets.textpane import ExampleBlock, SceneBlock, TextPane


class LessonText(TextPane):
    """One step's text. Its examples run, its scenarios open in the laboratory, its links lead on."""

    app = getters.app(Program)

    def __init__(self, controller: Controller) -> None:
        super().__init__("text")
        self._controller = controller

    @on(ExampleBlock.Run)
    def _run(self, message: ExampleBlock.Run) -> None:
        message.stop()
        self.run_worker(self._controller.run_example(message.example), group="act")

    @on(SceneBlock.Open)
    def _open_scene(self, message: SceneBlock.Open) -> None:
        message.stop()
        self.app.action_laboratory(message.scene.scenario)

    @on(Markdown.LinkClicked)
    def _follow(self, message: Markdown.LinkClicked) -> None:
        """Follow a link: a term into the glossary, an address into the browser; a page of the course is named."""
        message.stop()
        target, _, fragment = message.href.partition("#")
        if target.endswith("glossary.md"):
            self.app.action_reference(fragment.replace("-", " "))
        elif "://" in target:
            self.app.open_url(message.href)
        else:
            self.notify(message.href, title="A link inside the course", timeout=4, markup=False)
