"""The multi-line editor, over a lesson or the sandbox: text, KEYS and ARGV, and what the last run did.

What runs is typed at the prompt of the lesson below (`Controller.run_draft`). The text is saved a second after a
change, and when the editor or the program is left: only a killed program loses what was typed in its last second.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.containers import Container, Horizontal, Vertical
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Label, Static, TextArea

from tutor.lesson import messages as m
from tutor.lesson.editor import COMMANDS, FUNCTION, KINDS, EditorText, rows_of_run
from tutor.lesson.front_end import Controller
from tutor.lesson.view import StepView
from tutor.prompt.markdown import one_line
from tutor.prompt.rows import Row, row
from tutor.screens.base import TutorScreen
from tutor.widgets.code import CodeArea
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar
from tutor.widgets.news import Audience, shows
from tutor.widgets.rows import RowView
from tutor.widgets.terminals import rows_of

PLACEHOLDER = """\
A Lua script:        return redis.call('GET', KEYS[1])
A function library:  #!lua name=shop
Commands, by line:   MULTI … EXEC"""
HELP = """\
Write what takes several lines, and run it with **F7** or **Ctrl+R**. The beginning decides what it is: `#!lua
name=…` is a function library (`FUNCTION LOAD REPLACE`, and `FCALL` if you name a function), a command such as `MULTI`
begins commands that are run line by line, and everything else is a Lua script (`EVAL`). The words in the fields
become `KEYS` and `ARGV`, in quotes if they contain spaces.

It runs at the prompt of the lesson, as if you had typed it: tasks, pictures and `:why` work as always, and **F4**
undoes it. The pane of the last run shows each `redis.call` with its reply; an error is marked at its line.

**F6** goes to the next field. **Esc** returns to the text, and from there to the lesson. The text is kept however
you leave, and is here when you return: each lesson has its own, and so has the sandbox.
"""
SAVE_SECONDS = 1.0  # after a change
NOT_KEPT = "The text cannot be saved now, and is lost when the program ends."


class RunPane(RowView):
    """What the last run did, and what came of it in the lesson."""

    def __init__(self, last: Sequence[Row]) -> None:
        """Make it; `last` is what it showed when the editor was left."""
        super().__init__(id="run")
        self._run = list(last) or [row("F7 runs the text. What it calls, and the replies, appear here.", "note")]
        self._more: list[Row] = []

    @property
    def shown(self) -> list[Row]:
        """What is shown."""
        return [*self._run, *self._more]

    def on_mount(self) -> None:
        """Say what will be here."""
        self._show()

    def _show(self) -> None:
        self.clear()
        self.append(self.shown)

    @shows(m.EditorRefused)
    def refuse(self, news: m.EditorRefused) -> None:
        """Say why the text is not run."""
        self._run, self._more = [row(news.reason, "error")], []
        self._show()

    @shows(m.Changed, m.TaskCompleted)
    def add(self, news: m.Changed | m.TaskCompleted) -> None:
        """Show what the run brought about."""
        self._more += rows_of(news)
        self._show()

    @shows(m.HintShown)
    def hint(self, news: m.HintShown) -> None:
        """Show what is wrong with what was run, as far as the lesson can tell."""
        if news.hint is not None:
            self._more.append(row(f"{news.hint.heading}: {one_line(news.hint.text)}", "note", indent=2))
            self._show()

    @shows(m.Notice, m.Cleared)
    def tell(self, news: m.Notice | m.Cleared) -> None:
        """Show a message, such as that a command was taken back."""
        self._more.append(row(news.text, "note", indent=2))
        self._show()

    def show_run(self, news: m.EditorRan, text: str) -> None:
        """Show a run, so far or whole; a new one takes the place of the last."""
        if not news.run.over and not news.run.lines:
            self._more = []
        self._run = rows_of_run(news.run, text)
        self._show()


class GoalLine(Static):
    """The task that is open in the lesson."""

    @shows(m.StepShown)
    def show_step(self, news: m.StepShown) -> None:
        """Show the open task of a step."""
        self.show_goal(news.step)

    def show_goal(self, step: StepView | None) -> None:
        """Show the open task, if there is one."""
        task = step.open_task if step is not None else None
        self.display = bool(step is not None and step.tasks)
        self.update(f"◆ {one_line(task.text)}" if task is not None else "✓ Every task of this step is done.")


class EditorScreen(TutorScreen[Sequence[Row]]):
    """The editor."""

    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide")]  # noqa: RUF012
    HELP = HELP
    HELP_TITLE = "The editor"
    FIELDS: ClassVar = (("call", "FCALL"), ("keys", "KEYS"), ("args", "ARGV"))
    BINDINGS: ClassVar = [
        Binding("f1", "app.help", "help", id="help", priority=True),
        Binding("f7,ctrl+r", "run", "run", key_display="F7 ^R", priority=True, id="editor.run"),
        Binding("f6", "next_field", "next field", priority=True, id="editor.field"),
        Binding("f4", "undo", "undo", priority=True, id="editor.undo"),
        Binding("escape", "leave", "back", priority=True, id="editor.leave"),
        Binding("ctrl+c", "interrupt", "copy, or stop", show=False, priority=True),
        Binding("enter", "run_from_field", "run, in a field", show=False),
    ]
    CSS = """
    EditorScreen { background: $background; }
    #goal { height: auto; max-height: 2; padding: 0 1; background: $surface; color: $text-accent; }
    #editor-body { height: 1fr; layout: horizontal; }
    #code-box { width: 1fr; height: 1fr; border: round $rule; border-title-color: $muted; }
    #code-box:focus-within { border: round $primary; border-title-color: $foreground; }
    #run { width: 44%; height: 1fr; border: round $rule; border-title-color: $muted; padding: 0 1; }
    #run:focus { border: round $primary; border-title-color: $foreground; }
    #fields { height: auto; max-height: 4; border-top: solid $rule; layout: horizontal; }
    #fields > Horizontal { width: 1fr; height: 1; padding: 0 1 0 0; }
    #fields Label { width: 6; color: $muted; }
    #fields Input, #fields Input:focus { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    EditorScreen.-narrow #editor-body, EditorScreen.-tiny #editor-body { layout: vertical; }
    EditorScreen.-narrow #run, EditorScreen.-tiny #run { width: 100%; height: 9; border: none;
        border-top: solid $rule; padding: 0 1; }
    EditorScreen.-narrow #run:focus, EditorScreen.-tiny #run:focus { border: none; border-top: solid $primary; }
    EditorScreen.-narrow #code-box, EditorScreen.-tiny #code-box { border: none; }
    EditorScreen.-narrow #fields, EditorScreen.-tiny #fields { border: none; background: $surface; }
    EditorScreen.-tiny #fields { layout: vertical; }
    """

    def __init__(
        self, controller: Controller, step: StepView | None, terminal: str, last_run: Sequence[Row] = ()
    ) -> None:
        """Make the screen, which is dismissed with what is known of the last run."""
        super().__init__()
        self._controller = controller
        self._step = step
        self._terminal = terminal  # in which it runs
        self._last_run = last_run
        self._text = controller.draft
        self._kept = True  # whether the text could be saved
        self._saving: Timer | None = None  # until the text is saved
        self._ran_text = ""
        self._shown = ("", "")  # the kind of the text, and what the header says
        self._audience: Audience | None = None

    def compose(self) -> ComposeResult:
        """Lay out text, fields and run."""
        draft = self._text
        yield HeaderBar()
        yield GoalLine("", id="goal", markup=False)
        with Container(id="editor-body"):
            with Vertical(id="code-box"):
                yield CodeArea(draft.text, PLACEHOLDER)
                with Container(id="fields"):
                    for name, label in self.FIELDS:
                        with Horizontal(id=f"field-{name}"):
                            yield Label(label)
                            yield Input(getattr(draft, name), id=name, compact=True)
            yield RunPane(self._last_run)
        yield KeyBar()

    def on_mount(self) -> None:
        """Begin to type."""
        self.query_one("#run").border_title = "Last run"
        self.query_one("#code-box").border_title = "Text"
        self.query_one(GoalLine).show_goal(self._step)
        self._audience = Audience(self)
        self._show_kind()
        self.code.focus()
        self.code.move_cursor(self.code.document.end)

    @property
    def code(self) -> CodeArea:
        """The text."""
        return self.query_one(CodeArea)

    def _draft(self) -> EditorText:
        fields = {name: self.query_one(f"#{name}", Input).value for name, _ in self.FIELDS}
        return EditorText(self.code.text, **fields)

    def _show_kind(self) -> None:
        kind = self._text.kind
        told = NOT_KEPT if not self._kept else KINDS[kind] if self._text.text.strip() else "empty"
        if (kind, told) == self._shown:  # a layout for every key would be slow
            return
        self._shown = (kind, told)
        self.query_one(HeaderBar).show("Editor", told)
        self.query_one("#fields").display = kind != COMMANDS
        self.query_one("#field-call").display = kind == FUNCTION

    # -- the text

    @on(TextArea.Changed)
    @on(Input.Changed)
    def _changed(self) -> None:
        draft = self._draft()
        if draft == self._text:
            return
        self._text = draft
        if self._saving is None:
            self._saving = self.set_timer(SAVE_SECONDS, self._saved)
        if draft.text != self._ran_text and self.code.error_line:
            self.code.mark_error(None)
        self._show_kind()

    def _save(self) -> None:
        if self._saving is not None:
            self._saving.stop()
            self._saving = None
        if self._text != self._controller.draft or not self._kept:
            self._kept = self._controller.keep_draft(self._text)

    def _saved(self) -> None:
        self._save()
        self._show_kind()

    def on_unmount(self) -> None:
        """Save the text however the screen goes."""
        self._save()

    def on_key(self, event: events.Key) -> None:
        """Type in the text what is typed while a pane without a prompt has the focus."""
        if event.is_printable and isinstance(self.focused, RunPane) and event.character:
            event.stop()
            self.code.focus()
            self.code.insert(event.character)

    # -- keys

    def action_run(self) -> None:
        """Run the text."""
        self._after_keys(self._run)

    def _after_keys(self, function: Callable[[], object]) -> None:
        """Do something once the text, or a field, has taken every key that was pressed before."""
        (self.focused or self).call_later(function)

    def _run(self) -> None:
        self._text = self._draft()
        self._saved()
        self._ran_text = self._text.text
        self.code.mark_error(None)
        self.run_worker(self._controller.run_draft(), group="act")

    def commands(self) -> Iterator[SystemCommand]:
        """Yield what the palette offers here."""
        yield SystemCommand("Run", "Run the text at the prompt", self.action_run)
        yield SystemCommand("Undo", "Take the last command back", self.action_undo)
        yield SystemCommand("Leave the editor", "Back to the prompt; the text is kept", self._close)

    def _close(self) -> None:
        self._save()
        self.dismiss(self.query_one(RunPane).shown)

    def action_run_from_field(self) -> None:
        """Run the text: Enter was pressed in a field."""
        if isinstance(self.focused, Input):
            self.action_run()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.action_run()

    def action_next_field(self) -> None:
        """Go to the next field or pane that is in sight."""
        order = [self.code, *self.query(Input), self.query_one(RunPane)]
        shown = [
            each for each in order if all(it.display for it in each.ancestors_with_self if isinstance(it, Widget))
        ]
        at = shown.index(self.focused) if self.focused in shown else -1
        shown[(at + 1) % len(shown)].focus()

    def action_undo(self) -> None:
        """Take the last command back that changed something."""
        self._after_keys(lambda: self.run_worker(self._controller.act("undo"), group="act"))

    def action_interrupt(self) -> None:
        """Copy what is selected; without a selection stop what runs."""
        code = self.code
        selected = code.selected_text if self.focused is code else self.get_selected_text() or ""
        if selected:
            self.app.copy_to_clipboard(selected)
        else:
            self.run_worker(self._controller.interrupt(self._terminal), group="interrupt")

    def action_leave(self) -> None:
        """Go back to the text, and from there to the lesson. The text is kept."""
        if self.focused is not self.code:
            self.code.focus()
        else:
            self._after_keys(self._close)

    # -- news from the controller

    async def hear(self, news: m.News) -> None:
        """Show news of the lesson below."""
        if isinstance(news, m.EditorRan):
            self._terminal = news.run.terminal
            self.query_one(RunPane).show_run(news, self._ran_text)
            if news.run.over and news.run.error_line and self.code.text == self._ran_text:
                self.code.mark_error(news.run.error_line)
        elif self._audience is not None:
            await self._audience.show(news)
