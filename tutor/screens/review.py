"""The review on a screen: one question after the other, of those that came out otherwise."""

import asyncio
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Input, Markdown, OptionList, Static
from textual.widgets.option_list import Option

from tutor.lesson.view import ReviewQuestion
from tutor.screens.base import TutorScreen
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar

HELP = """\
Predictions of yours that came out otherwise are asked again here, some days apart: tomorrow at first, then at growing
intervals. **Enter** answers, and shows why; **Enter** again asks the next question. **Esc** ends the review whenever
you like. `redis-tutor review` asks the same questions line by line.
"""


class ReviewScreen(TutorScreen[None]):
    """What is due now; `lesson` limits it to one lesson."""

    HELP = HELP
    HELP_TITLE = "The review"
    BINDINGS: ClassVar = [
        Binding("f1", "app.help", "help", id="help"),
        Binding("escape", "dismiss", "map", id="review.leave"),
        Binding("enter", "next", "go on", id="review.next", priority=True),
    ]
    CSS = """
    ReviewScreen { background: $background; }
    ReviewScreen #review { height: 1fr; padding: 1 2; }
    ReviewScreen #review > * { height: auto; margin: 0 0 1 0; }
    ReviewScreen #where { color: $muted; }
    ReviewScreen #question { text-style: bold; }
    ReviewScreen OptionList { border: none; background: $background; padding: 0; max-height: 12; }
    ReviewScreen OptionList > .option-list--option-highlighted { background: $primary; color: $background; }
    ReviewScreen Input { border: round $rule; max-width: 60; }
    ReviewScreen Markdown { margin: 0; padding: 0; }
    """

    def __init__(self, lesson: str = "") -> None:
        super().__init__()
        self._lesson = lesson
        self._left: list[ReviewQuestion] = []
        self._now: ReviewQuestion | None = None
        self._asked = self._total = self._right = 0
        self._answered = True

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        yield HeaderBar()
        with VerticalScroll(id="review", can_focus=False):
            yield Static("", id="where", markup=False)
            yield Static("", id="question", markup=False)
            yield OptionList(id="options", markup=False)
            yield Input(placeholder="Your answer", id="answer")
            yield Static("", id="verdict", markup=False)
            yield Markdown("", id="because")
        yield KeyBar()

    def on_mount(self) -> None:
        """Find out what is due."""
        self.query_one("#options").display = self.query_one("#answer").display = False
        self.query_one(HeaderBar).show("Review")
        self.load()

    @work(exclusive=True, group="open")
    async def load(self) -> None:
        """Read what is due, and ask the first."""
        self._left = list(await asyncio.to_thread(self.app.course.review, self._lesson))
        self._total = len(self._left)
        await self._next()

    async def _next(self) -> None:
        options, answer = self.query_one("#options", OptionList), self.query_one("#answer", Input)
        self.query_one("#verdict", Static).update("")
        await self.query_one("#because", Markdown).update("")
        options.display = answer.display = False
        if not self._left:
            self._now = None
            done = f"{self._right} of {self._total} right." if self._total else "Nothing to review now."
            self.query_one("#where", Static).update("")
            self.query_one("#question", Static).update(f"{done} Enter or Esc returns to the map.")
            return
        now = self._now = self._left.pop(0)
        self._asked += 1
        self._answered = False
        self.query_one(HeaderBar).show("Review", f"question {self._asked} of {self._total}")
        self.query_one("#where", Static).update(f"{now.lesson}, step {now.step}")
        self.query_one("#question", Static).update(now.text)
        if now.choices:
            options.clear_options()
            pairs = zip(now.labels, now.choices, strict=True)
            options.add_options([Option(f"{label}  {choice}") for label, choice in pairs])
            options.highlighted = 0
            options.display = True
            options.focus()
        else:
            answer.value = ""
            answer.display = True
            answer.focus()

    @work(exclusive=True, group="act")
    async def action_next(self) -> None:
        """Take the answer, or ask the next question."""
        now = self._now
        if now is None:
            self.dismiss(None)
            return
        if self._answered:
            await self._next()
            return
        if now.choices:
            at = self.query_one("#options", OptionList).highlighted
            said = now.choices[at] if at is not None else ""
        else:
            said = self.query_one("#answer", Input).value
        outcome = await asyncio.to_thread(self.app.course.review_answer, now.key, said)
        if outcome is None:
            self.query_one("#verdict", Static).update("This is not an answer to the question. Try again.")
            return
        self._answered = True
        self._right += outcome.right
        verdict = "✓ Right." if outcome.right else f"✗ Not quite: you said {said}. It is {outcome.answer}."
        self.query_one("#verdict", Static).update(f"{verdict} {outcome.returns}  ⏎ goes on")
        await self.query_one("#because", Markdown).update(outcome.because)
