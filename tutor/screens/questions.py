"""A screen that asks one question after the other: chosen or typed, answered with Enter, then explained."""

import asyncio
from typing import ClassVar, Generic, TypeVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Input, Markdown, OptionList, Static
from textual.widgets.option_list import Option

from tutor.lesson.view import ReviewOutcome, ReviewQuestion
from tutor.screens.base import TutorScreen
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar

Dismissed = TypeVar("Dismissed")


class QuestionScreen(TutorScreen[Dismissed], Generic[Dismissed]):
    """Asks what `fetch` gives. What it asks about, and what an answer means, is the business of its kinds."""

    TITLE_BAR: ClassVar[str] = ""
    RETURNS: ClassVar[str] = "Enter or Esc returns to the map."
    BINDINGS: ClassVar = [
        Binding("f1", "app.help", "help", id="help"),
        Binding("escape", "leave", "map", id="review.leave"),
        Binding("enter", "next", "go on", id="review.next", priority=True),
        Binding("pageup", "scroll(-1)", "scroll up", show=False),
        Binding("pagedown", "scroll(1)", "scroll down", show=False),
    ]
    CSS = """
    #review { height: 1fr; padding: 1 2; }
    #review > * { height: auto; margin: 0 0 1 0; }
    #where { color: $muted; }
    #question { text-style: bold; }
    OptionList, OptionList:focus { border: none; }
    OptionList { background: $background; padding: 0; max-height: 12; }
    OptionList > .option-list--option-highlighted { background: $primary; color: $background; }
    Input { border: round $rule; max-width: 60; }
    Markdown { margin: 0; padding: 0; }
    MarkdownFence { margin: 0 0 1 0; max-height: 100; }
    MarkdownFence > Label { padding: 0 2; }
    #context { margin: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.now: ReviewQuestion | None = None
        self.total = self.right = self._asked = 0
        self._answered = True

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        yield HeaderBar()
        with VerticalScroll(id="review", can_focus=False):
            yield Static("", id="where", markup=False)
            yield Markdown("", id="context")
            yield Static("", id="question", markup=False)
            yield OptionList(id="options", markup=False)
            yield Input(placeholder="Your answer", id="answer")
            yield Static("", id="verdict", markup=False)
            yield Markdown("", id="because")
        yield KeyBar()

    def on_mount(self) -> None:
        """Find out which questions to ask."""
        for each in ("#context", "#options", "#answer", "#verdict", "#because"):
            self.query_one(each).display = False
        self.query_one(HeaderBar).show(self.TITLE_BAR)
        self.begin()

    # -- what its kinds know

    def read(self) -> int:
        """Read what there is to ask; returns how many questions. Called in a thread."""
        raise NotImplementedError

    def fetch(self) -> ReviewQuestion | None:
        """Return the next question. Called in a thread."""
        raise NotImplementedError

    def answer(self, question: ReviewQuestion, said: str) -> ReviewOutcome | None:
        """Take an answer; None if it cannot be read as one. Called in a thread."""
        raise NotImplementedError

    def refusal(self, said: str) -> str:
        """Return why an answer was not taken."""
        return "This is not an answer to the question. Try again."

    def ending(self) -> str:
        """Return what to say after the last question. Called in a thread."""
        raise NotImplementedError

    def action_leave(self) -> None:
        """Leave."""
        self.dismiss(None)

    # -- one question after the other

    @work(exclusive=True, group="open")
    async def begin(self) -> None:
        """Read the questions, and ask the first one."""
        self.total = await asyncio.to_thread(self.read)
        await self._next()

    async def _next(self) -> None:
        options, answer = self.query_one("#options", OptionList), self.query_one("#answer", Input)
        options.display = answer.display = self.query_one("#because").display = False
        self._tell("")
        now = self.now = await asyncio.to_thread(self.fetch)
        context = self.query_one("#context", Markdown)
        context.display = bool(now and now.context)
        if now is None:
            ending = await asyncio.to_thread(self.ending)
            self.query_one("#where", Static).update("")
            self.query_one("#question", Static).update(f"{ending} {self.RETURNS}")
            return
        await context.update(now.context)
        self._asked += 1
        self._answered = False
        self.query_one(HeaderBar).show(self.TITLE_BAR, f"question {self._asked} of {self.total}")
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
        self._show_end()

    def _tell(self, verdict: str) -> None:
        told = self.query_one("#verdict", Static)
        told.update(verdict)
        told.display = bool(verdict)

    def _show_end(self) -> None:
        """Scroll to what was added last: the question, or the explanation of its answer."""
        self.call_after_refresh(self.query_one("#review", VerticalScroll).scroll_end, animate=False)

    @work(exclusive=True, group="act")
    async def action_next(self) -> None:
        """Take the answer, or ask the next question."""
        now = self.now
        if now is None:
            self.action_leave()
            return
        if self._answered:
            await self._next()
            return
        if now.choices:
            at = self.query_one("#options", OptionList).highlighted
            said = now.choices[at] if at is not None else ""
        else:
            said = self.query_one("#answer", Input).value
        outcome = await asyncio.to_thread(self.answer, now, said)
        if outcome is None:
            self._tell(self.refusal(said))
            return
        self._answered = True
        self.right += outcome.right
        verdict = "✓ Right." if outcome.right else f"✗ Not quite: you said {said}. It is {outcome.answer}."
        self._tell(" ".join(filter(None, (verdict, outcome.returns, " ⏎ goes on"))))
        because = self.query_one("#because", Markdown)
        because.display = True
        await because.update(outcome.because)
        self._show_end()

    def action_scroll(self, by: int) -> None:
        """Scroll by pages."""
        body = self.query_one("#review", VerticalScroll)
        (body.scroll_page_up if by < 0 else body.scroll_page_down)(animate=False)
