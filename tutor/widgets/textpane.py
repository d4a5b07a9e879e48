"""The lesson's text: prose, transcripts that run at a key, tasks with their marks, predictions, hints.

Prose is Markdown. Everything that changes while the step is worked on (a transcript that was run, a task that is
done) is a widget of its own, updated in place, so that the text never jumps under the reader.
"""

import re
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from tutor.lesson import messages as m
from tutor.lesson.transcript import prompted
from tutor.lesson.view import (
    Block,
    ExampleView,
    HintView,
    PredictionView,
    ProseView,
    SceneView,
    StepView,
    TaskEntry,
    Tasks,
)
from tutor.prompt.markdown import reflow
from tutor.widgets.news import shows

_CODE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])|\[([^\]]+)\]\([^)]*\)")


def inline(text: str, style: str = "") -> Content:
    """Turn `code` and **strong** of a single line into content."""
    parts: list[Content | str | tuple[str, str]] = []
    at = 0
    for match in _CODE.finditer(text):
        parts.append((text[at : match.start()], style))
        code, strong, emphasis, link = match.groups()
        look = "bold $text-accent" if code else "bold" if strong else "italic" if emphasis else ""
        parts.append((code or strong or emphasis or link, f"{style} {look}".strip()))
        at = match.end()
    parts.append((text[at:], style))
    return Content.assemble(*parts)


class ExampleBlock(Widget, can_focus=True):
    """A transcript in the text. Enter, a click or the screen's key runs it in the terminal."""

    BINDINGS: ClassVar = [("enter", "run", "run it")]
    DEFAULT_CSS = """
    ExampleBlock {
        height: auto; margin: 0 0 1 0; padding: 0 1; background: $surface;
        border-left: tall $secondary 60%;
    }
    ExampleBlock:focus { border-left: tall $primary; background: $surface-lighten-1; }
    ExampleBlock:hover { background: $surface-lighten-1; }
    """

    class Run(Message):
        """The learner wants it run."""

        def __init__(self, example: ExampleView) -> None:
            super().__init__()
            self.example = example

    def __init__(self, example: ExampleView, offered: bool) -> None:
        super().__init__()
        self.example = example
        self.offered = offered  # the screen's key runs this one

    def show(self, example: ExampleView, offered: bool) -> None:
        """Show its current state."""
        if (example, offered) != (self.example, self.offered):
            self.example, self.offered = example, offered
            self.refresh(layout=True)

    def render(self) -> Content:
        """Draw commands and replies; the first line carries the mark and the key."""
        lines: list[Content] = []
        if self.example.passive:
            head = [Content.styled(f"  in {self.example.where}", "$muted")] if self.example.where else []
            shown = [line for _, reply in self.example.exchanges for line in reply.splitlines()]
            return Content("\n").join([*head, *(Content.styled("  " + text, "$muted") for text in shown)])
        mark = "✓" if self.example.ran else "▸"
        for number, (command, reply) in enumerate(self.example.exchanges):
            first = number == 0
            row, *more = prompted("", command)
            line = Content.assemble((f"{mark if first else ' '} ", "$text-success"), (row, "bold"))
            if first:
                key = "run again" if self.example.ran else "F7 run" if self.offered else "run"
                if self.example.where:
                    key = f"{self.example.where}: {key}"
                gap = self.content_size.width - line.cell_length - len(key)
                if gap > 0:
                    line = Content.assemble(line, " " * gap, (key, "$text-primary" if self.offered else "$faint"))
            lines += [line, *(Content.styled(f"  {text}", "bold") for text in more)]
            lines += [Content.styled("  " + text, "$muted") for text in reply.splitlines()]
        return Content("\n").join(lines)

    def on_click(self) -> None:
        """Run it."""
        self.action_run()

    def action_run(self) -> None:
        """Run it."""
        if not self.example.passive:
            self.post_message(self.Run(self.example))


class TasksBlock(Widget):
    """The box "Your turn"."""

    DEFAULT_CSS = """
    TasksBlock {
        height: auto; padding: 0 1; margin: 0 0 1 0; border: round $accent 70%; border-title-color: $text-accent;
        &.-done { border: round $success 60%; border-title-color: $text-success; }
    }
    """

    def __init__(self, tasks: tuple[TaskEntry, ...]) -> None:
        super().__init__()
        self.tasks = tasks

    def on_mount(self) -> None:
        """Set the title."""
        self.show(self.tasks)

    def show(self, tasks: tuple[TaskEntry, ...]) -> None:
        """Show the tasks as they stand."""
        self.tasks = tasks
        done = all(task.done for task in tasks)
        self.set_class(done, "-done")
        self.border_title = "Done" if done else "Your turn"
        self.refresh(layout=True)

    def render(self) -> Content:
        """Draw a line a task."""
        now = next((task for task in self.tasks if not task.done), None)
        lines = []
        for task in self.tasks:
            mark, style = ("✓", "$text-success") if task.done else ("◆", "$text-accent") if task is now else ("◇", "")
            lines.append(Content.assemble((mark + " ", style), inline(task.text, "$muted" if task.done else "")))
        return Content("\n").join(lines)


class SceneBlock(Static, can_focus=True):
    """A scenario of the laboratory. Enter, a click or the screen's key opens it."""

    BINDINGS: ClassVar = [("enter", "open", "open it")]
    DEFAULT_CSS = """
    SceneBlock { height: auto; margin: 0 0 1 0; padding: 0 1; border: round $secondary 60%;
        border-title-color: $text-primary; border-subtitle-color: $text-primary; }
    SceneBlock:focus { border: round $primary; }
    SceneBlock:hover { background: $surface-lighten-1; }
    """

    class Open(Message):
        """The learner wants to see it."""

        def __init__(self, scene: SceneView) -> None:
            super().__init__()
            self.scene = scene

    def __init__(self, scene: SceneView) -> None:
        told = Content.assemble("\n", inline(scene.text, "$muted")) if scene.text else ""
        super().__init__(Content.assemble((scene.title, "bold"), told))
        self.scene = scene
        self.border_title = "In the laboratory"
        self.border_subtitle = "F12 open"

    def on_click(self) -> None:
        """Open it."""
        self.action_open()

    def action_open(self) -> None:
        """Open it."""
        self.post_message(self.Open(self.scene))


class PredictionBlock(Static):
    """What the learner predicted, beside what happened."""

    DEFAULT_CSS = "PredictionBlock { margin: 0 0 1 0; padding: 0 1; height: auto; border-left: tall $warning 60%; }"

    def __init__(self, prediction: PredictionView) -> None:
        super().__init__(self.content_of(prediction))
        self.prediction = prediction

    def show(self, prediction: PredictionView) -> None:
        """Show its current state."""
        if prediction != self.prediction:
            self.prediction = prediction
            self.update(self.content_of(prediction))

    @staticmethod
    def content_of(prediction: PredictionView) -> Content:
        """Return the question, and the answer once given."""
        lines = [Content.assemble(("? ", "bold $text-warning"), inline(prediction.text))]
        if not prediction.answer and prediction.correct:
            lines.append(Content.assemble(("  the answer  ", "$muted"), inline(prediction.correct)))
            lines += [Content(""), inline(reflow(prediction.because))] if prediction.because else []
        elif not prediction.answer:
            lines.append(Content.styled("  F7 asks it at the prompt when its turn comes.", "$muted"))
        else:
            mark, style = ("✓ as you said", "$text-success") if prediction.right else ("✗ not so", "$text-error")
            lines.append(Content.assemble(("  you said  ", "$muted"), inline(prediction.answer)))
            if prediction.correct and not prediction.right:
                lines.append(Content.assemble(("  it is     ", "$muted"), inline(prediction.correct)))
            if prediction.correct:
                lines.append(Content.assemble("  ", (mark, style)))
            if prediction.because:
                lines.append(Content(""))
                lines.append(inline(reflow(prediction.because)))
        return Content("\n").join(lines)


class HintBlock(Static):
    """The hint shown last."""

    DEFAULT_CSS = """
    HintBlock { height: auto; display: none; padding: 0 1; margin: 0 0 1 0; border-left: tall $primary 60%; }
    HintBlock.-shown { display: block; }
    """

    _is_about_command = False  # rather than about the task

    @shows(m.HintShown)
    def hear(self, news: m.HintShown) -> None:
        """Show a hint, in sight, or nothing."""
        self.show(news.hint)
        if news.hint is not None:
            self.call_after_refresh(self.scroll_visible, animate=False)

    @shows(m.Cleared)
    def undone(self, _: m.Cleared) -> None:
        """Take away what was said about a command that has been undone; a hint about the task stays."""
        if self._is_about_command:
            self.show(None)

    def show(self, hint: HintView | None) -> None:
        """Show a hint, or nothing."""
        self._is_about_command = hint is not None and bool(hint.kind)
        self.set_class(hint is not None, "-shown")
        if hint is None:
            return
        head = (f"{hint.heading}  ", "bold $text-primary")
        parts: list[Content | str | tuple[str, str]] = [head, inline(hint.text)]
        if hint.command:
            parts += ["\n", (f"  {hint.command}", "bold"), ("   F3 types it for you", "$muted")]
        self.update(Content.assemble(*parts))


def _text(step: StepView) -> list[Block]:
    return [block for block in step.blocks if isinstance(block, ProseView)]


class TextPane(VerticalScroll, can_focus=True):
    """One step's text."""

    BINDINGS: ClassVar = [
        Binding("down", "scroll_down", "down", show=False),
        Binding("up", "scroll_up", "up", show=False),
    ]
    DEFAULT_CSS = """
    TextPane { padding: 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable; background: $background; }
    TextPane #step-title { text-style: bold; color: $text-primary; margin: 0 0 1 0; height: auto; }
    TextPane Markdown { padding: 0; margin: 0; background: $background; height: auto; }
    TextPane Markdown > * { margin: 0 0 1 0; }
    TextPane Markdown MarkdownBlock:last-child { margin: 0 0 1 0; }
    TextPane #step-end { height: auto; color: $text-success; margin: 0; }
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.step: StepView | None = None
        self._blocks: list[Widget] = []

    def compose(self) -> ComposeResult:
        """What every step has."""
        yield Static("", id="step-title")
        yield HintBlock("", id="hint")
        yield Static("", id="step-end")

    @shows(m.StepShown)
    async def show(self, news: m.StepShown) -> None:
        """Show a step: all of it when it is another one, else only what changed."""
        step, fresh = news.step, news.fresh
        old, self.step = self.step, step
        another = fresh or old is None or _text(old) != _text(step)
        if another or old is None or [type(b) for b in old.blocks] != [type(b) for b in step.blocks]:
            await self._rebuild(step, home=another)
        else:
            offered = step.next_run
            for widget, block in zip(self._blocks, step.blocks):
                if isinstance(widget, ExampleBlock) and isinstance(block, ExampleView):
                    widget.show(block, block is offered)
                elif isinstance(widget, TasksBlock) and isinstance(block, Tasks):
                    widget.show(block.tasks)
                elif isinstance(widget, PredictionBlock) and isinstance(block, PredictionView):
                    widget.show(block)
        end = self.query_one("#step-end", Static)
        if step.tasks and step.complete and step.next_run is not None:
            end.update("✓ Your part is done. F7 goes on in the text, F8 to the next step.")
        elif step.tasks and step.complete:
            end.update(
                "✓ That is all of this step. F8 goes on." if step.number < step.of else "✓ F8 ends the lesson."
            )
        else:
            end.update("")

    async def _rebuild(self, step: StepView, home: bool) -> None:
        self.query_one("#step-title", Static).update(step.title)
        for widget in self._blocks:
            await widget.remove()
        offered = step.next_run
        self._blocks = [self._widget(block, block is offered) for block in step.blocks]
        await self.mount_all(self._blocks, before="#hint")
        if home:
            self.query_one("#hint", HintBlock).show(None)
            self.scroll_home(animate=False)

    @staticmethod
    def _widget(block: Block, offered: bool) -> Widget:
        if isinstance(block, ExampleView):
            return ExampleBlock(block, offered)
        if isinstance(block, Tasks):
            return TasksBlock(block.tasks)
        if isinstance(block, PredictionView):
            return PredictionBlock(block)
        if isinstance(block, SceneView):
            return SceneBlock(block)
        assert isinstance(block, ProseView)
        from textual.widgets import Markdown  # heavy: only once a lesson is open

        return Markdown(block.markdown, open_links=False)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Let a click into the text take the focus."""
        self.focus(scroll_visible=False)
