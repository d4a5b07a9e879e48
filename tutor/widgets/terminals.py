"""The parts of the lesson screen around its terminals: tabs, the line of the task, the terminals themselves.

Each shows messages of the controller (`tutor.lesson.messages`) and knows nothing of the screen that it is on.
"""

import functools
from collections.abc import Callable, Sequence

from textual import events
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.reactive import var
from textual.widgets import Static

from tutor.lesson import messages as m
from tutor.lesson.view import ExampleView
from tutor.prompt.markdown import one_line
from tutor.prompt.rows import Row, row
from tutor.prompt.words import first_row
from tutor.widgets.focus import focus_soon
from tutor.widgets.news import shows
from tutor.widgets.terminal import Terminal
from tutor.widgets.textpane import inline


class PaneBar(Static):
    """The tabs of a narrow window, with an indicator when the content can be scrolled."""

    DEFAULT_CSS = "PaneBar { height: 1; padding: 0 1; background: $surface; display: none; link-style: none; }"

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def action_choose(self, pane: str) -> None:
        """Choose a tab."""
        self.post_message(self.Chosen(pane))

    def show(self, panes: list[tuple[str, str]], chosen: str, more: str) -> None:
        """Show the tabs, the chosen one marked."""
        parts: list[str] = []
        for name, title in panes:
            if name == chosen:
                parts.append(f"[b $text-primary]▸{title}[/]")
            else:
                parts.append(f"[$muted @click=choose('{name}')] {title}[/]")
        tabs = Content.from_markup("  ".join(parts))
        right = f"{more}   ^O next"
        gap = self.content_size.width - tabs.cell_length - len(right)
        if gap > 0:
            tabs = Content.assemble(tabs, " " * gap, (right, "$muted"))
        self.update(tabs)


class TaskLine(Static):
    """The current task, on one line of a small window."""

    _news: m.StepShown | None = None

    def on_mount(self) -> None:
        """Follow the terminals: the task may be for one that is not in sight."""
        self.watch(self.screen.query_one(Terminals), "current", self._show_again, init=False)

    def _show_again(self) -> None:
        if self._news is not None:
            self.show(self._news)

    def _way(self, task: str) -> str:
        """Return how to come to the terminal that a task names first, if it is another one than the current."""
        terminals = self.screen.query_one(Terminals)
        named = [(at, name) for name in terminals.names if (at := task.find(f"`{name}`")) >= 0]
        if not named or terminals.current in (name for _, name in named):
            return ""
        return f"^T: {min(named)[1]}  "

    @shows(m.StepShown)
    def show(self, news: m.StepShown) -> None:
        """Show the open task of a step, or what goes on otherwise."""
        self._news = news
        step = news.step
        if step.free_play:
            self.update(Content.styled("free play: try anything", "$muted"))
        elif task := step.open_task:
            way = (self._way(task.text), "bold $text-primary")
            self.update(Content.assemble(("◆ ", "$text-accent"), way, inline(task.text)))
        elif step.tasks:
            staged = ", F12 shows it in the laboratory" if step.scenes else ""
            self.update(Content.styled(f"✓ done; F8 goes on{staged}", "$text-success"))
        elif isinstance(to_run := step.next_run, ExampleView):
            command = first_row(to_run.exchanges[0][0])
            self.update(Content.assemble(("▸ ", "$text-primary"), "F7 runs  ", (command, "bold")))
        elif to_run is not None:
            self.update(Content.assemble(("? ", "$text-warning"), "F7 asks you what you expect"))
        else:
            self.update(Content.styled("F8 goes on", "$muted"))


@functools.singledispatch
def rows_of(news: m.News) -> Sequence[Row]:
    """Return what a terminal shows of news about what was typed there."""
    raise TypeError(news)


@rows_of.register
def _(news: m.TerminalOutput) -> Sequence[Row]:
    return news.rows


@rows_of.register
def _(news: m.Changed) -> Sequence[Row]:
    return [row(f"  ~ {news.text}", "note", indent=4)]


@rows_of.register
def _(news: m.Failed) -> Sequence[Row]:
    return [row("  :why explains it", "note")]


@rows_of.register
def _(news: m.TaskCompleted) -> Sequence[Row]:
    return [Row(((f"✓ {one_line(news.aim)}", "good"),), indent=2, words=True)]


@rows_of.register
def _(news: m.Outcome) -> Sequence[Row]:
    if news.right:
        return [Row((("✓ as you said", "good"),))]
    return [Row(((f"✗ The answer: {one_line(news.correct)}", "changed"),), indent=2, words=True)]


class Terminals(Container):
    """The lesson's terminals: tabs in the border, or beside each other where there is room."""

    DEFAULT_CSS = """
    Terminals { border: round $rule; border-title-color: $muted; layout: horizontal; }
    Terminals:focus-within { border: round $primary; border-title-color: $foreground; }
    Terminals > Terminal { width: 1fr; height: 1fr; border-title-color: $muted; }
    Terminals.-tiled { border: none; }
    Terminals.-tiled:focus-within { border: none; }
    Terminals.-tiled > Terminal { border: round $rule; padding: 0; }
    Terminals.-tiled > Terminal:focus { border: round $primary; border-title-color: $foreground; }
    Terminals.-stacked { layout: vertical; }
    Terminals.-stacked > Terminal.-asked { height: 3fr; }
    """

    current: var[str] = var("")

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.names: list[str] = []
        self.unseen: set[str] = set()  # where something was said that is not in sight

    async def set_up(self, names: tuple[str, ...], make: Callable[[str], Terminal]) -> None:
        """Make the terminals."""
        await self.remove_children()
        self.names = list(names)
        await self.mount_all([make(name) for name in names])
        self.current = names[0]
        self.watch_current()

    def watch_current(self) -> None:
        """Show the chosen one, or all beside each other."""
        if not self.is_attached or not self.names:
            return
        count = len(self.names)
        width, height = self.size.width, self.size.height
        beside = 1 < count <= 3 and width >= 44 * count
        stacked = count > 1 and not beside and not self.screen.has_class("-narrow") and height >= 6 * count
        self.set_class(beside or stacked, "-tiled")
        self.set_class(stacked, "-stacked")
        for name in self.names:
            self[name].display = beside or stacked or name == self.current  # at once: the focus may go there next
            if self[name].display:
                self.unseen.discard(name)
        if len(self.names) == 1:
            self.border_title = self.names[0]
        else:
            self.border_title = " ─ ".join(
                f"[b]▸{name}[/b]"
                if name == self.current
                else f"[@click=choose('{name}')]{name}{' •' if name in self.unseen else ''}[/]"
                for name in self.names
            )
            self.border_title += "" if beside or stacked else " ─ ^T other terminal"

    def on_resize(self) -> None:
        """See whether they still fit beside each other."""
        self.watch_current()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The terminal that is typed into is the current one."""
        if isinstance(event.widget, Terminal) and event.widget.channel:
            self.current = event.widget.channel

    def __getitem__(self, name: str) -> Terminal:
        """Return a terminal by its name; an unknown one is the first."""
        for terminal in self.query(Terminal):
            if terminal.channel == name:
                return terminal
        return self.query(Terminal).first()

    @property
    def now(self) -> Terminal | None:
        """The current terminal."""
        return self[self.current] if self.names else None

    def choose(self, name: str) -> Terminal:
        """Show a terminal, and have what is typed go there."""
        terminal = self[name]
        self.current = terminal.channel
        focus_soon(terminal)
        return terminal

    def action_choose(self, name: str) -> None:
        """Show a terminal: its tab was clicked."""
        self.choose(name)

    def choose_next(self) -> None:
        """Show the next terminal."""
        if self.names:
            self.choose(self.names[(self.names.index(self.current) + 1) % len(self.names)])

    # -- news from the controller

    @shows(m.TerminalOutput, m.Changed, m.Failed, m.TaskCompleted, m.Outcome)
    def output(self, news: m.TerminalOutput | m.Changed | m.Failed | m.TaskCompleted | m.Outcome) -> None:
        """Show rows in their terminal, and a mark on its tab if it is not in sight."""
        terminal = self[news.terminal]
        terminal.write(rows_of(news))
        if not terminal.display and terminal.channel not in self.unseen:
            self.unseen.add(terminal.channel)
            self.watch_current()

    @shows(m.PromptShown)
    def show_prompt(self, news: m.PromptShown) -> None:
        """Show the prompt of a terminal, or that a command runs there."""
        terminal = self[news.terminal]
        terminal.prompt, terminal.busy = news.prompt, news.busy

    @shows(m.TypeIn)
    def type_in(self, news: m.TypeIn) -> None:
        """Type lines for the learner."""
        terminal = self.choose(news.terminal)
        for line in news.lines:
            if news.at_once:
                terminal.enter(line, news.typed_for)
            else:
                terminal.type_line(line, news.typed_for)

    @shows(m.PredictionAsked)
    def ask(self, news: m.PredictionAsked) -> None:
        """Ask a prediction in the prompt's place, or take the question away; it is open in one terminal only."""
        for each in self.query(Terminal):
            if each.channel != news.terminal and each.question == news.question:
                each.ask(None)
        self[news.terminal].ask(news.question)
        if news.question is not None:
            self.choose(news.terminal)

    @shows(m.Notice)
    def notice(self, news: m.Notice) -> None:
        """Tell the learner something, in the current terminal."""
        if terminal := self.now:
            style = "error" if news.severity == "error" else "note"
            terminal.append(Row(((line, style),), indent=2, words=True) for line in news.text.splitlines())

    @shows(m.Cleared)
    def clear(self, news: m.Cleared) -> None:
        """Say that the server went back; what was to be typed is left out."""
        for each in self.query(Terminal):
            each.stop_typing()
        if terminal := self.now:
            terminal.append([row(f"⟲ {news.text}", "note")])
