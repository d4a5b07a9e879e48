"""A lesson: text, terminals and inspector on one screen.

The screen draws and asks; a *desk* (see `Desk`) knows the lesson, its server and its terminals, and answers with the
typed messages of `tutor.screens.messages`. Narrow windows show one pane at a time under a line of tabs, with the task
on a line above the keys; wide ones show all of them.
"""

from collections.abc import Callable
from typing import ClassVar, Protocol

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.reactive import var
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Markdown, Static

from tutor.screens import messages as m
from tutor.screens.view import Example, LessonSetup, Scene, StepView
from tutor.widgets.header import HeaderBar, dots
from tutor.widgets.inspector import Inspector
from tutor.widgets.keybar import KeyBar
from tutor.widgets.rows import row
from tutor.widgets.terminal import Assist, Question, Terminal
from tutor.widgets.textpane import ExampleBlock, SceneBlock, TextPane, inline


class Desk(Protocol):
    """What the lesson screen works with. Every method returns at once or is awaited off the screen's thread."""

    async def open(self, post: Callable[[m.DeskMessage], object]) -> None:
        """Start the lesson's server and come to where the learner was; news go to `post`, from any thread."""

    async def close(self) -> None:
        """Stop everything, with the progress kept."""

    def assist(self, terminal: str) -> Assist:
        """Return what helps with typing in a terminal."""

    def history(self, terminal: str) -> list[str]:
        """Return a terminal's history, oldest first; it grows by what is entered."""

    async def submit(self, terminal: str, line: str, typed_for: str | None) -> None:
        """Run a line that was entered. `typed_for` is the example or task it was typed for, if any."""

    async def interrupt(self, terminal: str) -> None:
        """Stop what runs or blocks there."""

    async def answer(self, terminal: str, question: Question, answer: str) -> None:
        """Take a prediction."""

    async def run_example(self, example: Example) -> None:
        """Have a transcript typed."""

    async def act(self, action: str) -> None:
        """Do one of: hint, show, undo, reset, reset_lesson, next, back, why, predict."""


COLON = {
    "hint": "hint",
    "show": "show",
    "undo": "undo",
    "reset": "reset",
    "next": "next",
    "back": "back",
    "why": "why",
    "run": "run",
    "help": "help",
    "map": "map",
    "lab": "lab",
}
COLON_HELP = (
    (":hint", "a hint, a clearer one each time"),
    (":show", "type the solution for me"),
    (":run", "run the next example of the text"),
    (":undo", "take the last command back"),
    (":reset", "start this step again (:reset lesson for all of it)"),
    (":next :back", "the next step, the one before"),
    (":why", "explain the last error"),
    (":lab", "see it in the laboratory, where the step has a scenario there"),
    (":map", "back to the map of the course"),
)

HELP = """\
Type Redis commands at the prompt, as in `redis-cli`. The text on the left tells what to try; **F7** types its next
example for you, and a click on any example runs that one. When a task is done it gets its mark by itself: how you
did it does not matter.

Stuck? **F2** gives a hint, a clearer one each time, and **F3** types the solution. Nothing can be broken: **F4**
takes the last command back, **F5** starts the step again, and `:reset lesson` starts the whole lesson again.

The inspector shows what is in the server. Marks tell what your last command did: `+` new, `~` changed, `-` gone,
`=` looked at and not changed. *Wire* shows the bytes of requests and replies, *Events* what else happened.

After an error, `:why` explains it. Where a step is staged in the laboratory, **F12** opens it there, and `Esc` comes
back to the lesson, which has stood still.
"""


class PaneBar(Static):
    """The tabs of a narrow window."""

    DEFAULT_CSS = "PaneBar { height: 1; padding: 0 1; background: $surface; display: none; link-style: none; }"

    def show(self, panes: list[tuple[str, str]], chosen: str) -> None:
        """Show the tabs, the chosen one marked."""
        parts: list[str] = []
        for name, title in panes:
            if name == chosen:
                parts.append(f"[b $text-primary]▸{title}[/]")
            else:
                parts.append(f"[$muted @click=screen.place('{name}')] {title}[/]")
        self.update(Content.from_markup("  ".join(parts)))


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
                f"[b]▸{name}[/b]" if name == self.current else f"[@click=screen.terminal('{name}')]{name}[/]"
                for name in self.names
            )

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


class LessonScreen(Screen[str | None]):
    """One lesson. Dismissed with the id of the lesson to open next, or None for the map."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (140, "-huge")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    HELP = HELP
    HELP_TITLE = "A lesson"

    BINDINGS: ClassVar = [
        Binding("f1", "app.help", "help", id="help", priority=True),
        Binding("f2", "hint", "hint", id="lesson.hint", priority=True),
        Binding("f3", "show_me", "show me", id="lesson.show", priority=True),
        Binding("f4", "undo", "undo", id="lesson.undo", priority=True),
        Binding("f8", "next", "next", id="lesson.next", priority=True),
        Binding("f7", "run_example", "run", id="lesson.run", priority=True),
        Binding("f6", "next_pane", "pane", id="lesson.pane", priority=True),
        Binding("f5", "reset", "reset step", id="lesson.reset", priority=True),
        Binding("f9", "back", "back", id="lesson.back", priority=True),
        Binding("f12", "scene", "laboratory", id="lesson.scene", priority=True),
        Binding("ctrl+o", "turn_inspector", "inspector's next tab", id="lesson.inspector", show=False),
        Binding("shift+f6", "next_terminal", "next terminal", id="lesson.terminal", priority=True, show=False),
        Binding("ctrl+underscore,ctrl+z", "undo", "undo", show=False, id="lesson.undo2"),
        Binding("u", "undo", "undo", show=False),
        Binding("U", "reset", "reset", show=False),
        Binding("y", "yank", "copy", show=False),
        Binding("escape", "leave", "map", id="lesson.leave", show=False),
        Binding("q", "leave_now", "map", show=False),
        Binding("question_mark", "app.help", "help", show=False),
    ]

    CSS = """
    LessonScreen { background: $background; }
    LessonScreen #body { height: 1fr; }
    LessonScreen #text-box { width: 46%; max-width: 84; border: round $rule; border-title-color: $muted; }
    LessonScreen #text-box:focus-within { border: round $primary; border-title-color: $foreground; }
    LessonScreen #right { width: 1fr; }
    LessonScreen Terminals { height: 3fr; }
    LessonScreen Inspector { height: 2fr; }
    LessonScreen #task-line { display: none; height: auto; max-height: 2; padding: 0 1; background: $surface; }
    LessonScreen.-huge #text-box { width: 42%; }
    LessonScreen.-huge Terminals { height: 1fr; }
    LessonScreen.-huge Inspector { height: 1fr; }

    LessonScreen.-narrow #body { layout: vertical; }
    LessonScreen.-narrow #text-box { width: 100%; max-width: 100%; height: 2fr; }
    LessonScreen.-narrow #right { width: 100%; height: 3fr; }
    LessonScreen.-narrow.-short PaneBar { display: block; }
    LessonScreen.-narrow.-short #task-line { display: block; }
    LessonScreen.-narrow.-short #text-box { display: none; border: none; height: 1fr; padding: 0; }
    LessonScreen.-narrow.-short #right { display: none; height: 1fr; }
    LessonScreen.-narrow.-short Terminals { display: none; border: none; height: 1fr; }
    LessonScreen.-narrow.-short Inspector { display: none; border: none; height: 1fr; }
    LessonScreen.-narrow.-short.-pane-text #text-box { display: block; }
    LessonScreen.-narrow.-short.-pane-text #task-line { display: none; }
    LessonScreen.-narrow.-short.-pane-terminal #right { display: block; }
    LessonScreen.-narrow.-short.-pane-terminal Terminals { display: block; }
    LessonScreen.-narrow.-short.-pane-inspector #right { display: block; }
    LessonScreen.-narrow.-short.-pane-inspector Inspector { display: block; }
    """

    pane: var[str] = var("text")

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.step: StepView | None = None
        self.setup: LessonSetup | None = None
        self.closing = False
        self._wanted: Widget | None = None

    def compose(self) -> ComposeResult:
        """Lay out the panes."""
        yield HeaderBar()
        yield PaneBar()
        with Horizontal(id="body"):
            with Container(id="text-box"):
                yield TextPane("text")
            with Vertical(id="right"):
                yield Terminals("terminals")
                yield Inspector(id="inspector")
        yield Static(id="task-line")
        yield KeyBar()

    def on_mount(self) -> None:
        """Open the lesson without holding up the first frame."""
        self.query_one(HeaderBar).show("opening the lesson …")
        self.query_one("#text-box").border_title = "Text"
        self.watch_pane()
        self.open_desk()

    @work(exclusive=True, group="open")
    async def open_desk(self) -> None:
        """Start the lesson's server."""
        try:
            await self.desk.open(self.post_message)
        except Exception as error:  # whatever went wrong there, the learner gets a line and the map stays usable
            self.log.error(error)
            self.post_message(m.OpenFailed(str(error) or type(error).__name__))

    async def on_unmount(self) -> None:
        """End the lesson's server however the screen goes."""
        if not self.closing:
            self.closing = True
            await self.desk.close()

    # -- news from the desk

    @on(m.Opened)
    async def _opened(self, message: m.Opened) -> None:
        self.setup = message.setup

        def make(name: str) -> Terminal:
            terminal = Terminal(assist=self.desk.assist(name), history=self.desk.history(name))
            terminal.channel = name
            terminal.border_title = name
            return terminal

        await self.terminals.set_up(message.setup.terminals, make)
        self._focus_pane()
        self.watch_pane()

    @on(m.OpenFailed)
    def _open_failed(self, message: m.OpenFailed) -> None:
        self.app.notify(
            message.reason, title="The lesson cannot be opened", severity="error", timeout=12, markup=False
        )
        self.dismiss(None)

    @on(m.StepShown)
    async def _step_shown(self, message: m.StepShown) -> None:
        step = self.step = message.step
        if message.fresh and self.tabbed:
            self.pane = "text"
        at = f"step {step.number} of {step.of}" if not step.free_play else "free play"
        minutes = f"  about {step.minutes_left} min" if step.minutes_left and self.size.width >= 100 else ""
        where = f"{step.chapter} › {step.lesson}"
        self.query_one(HeaderBar).show(where, f"{at}  {dots(step.done, step.number - 1)}{minutes}")
        await self.query_one(TextPane).show(step, message.fresh)
        self._show_task()
        self.refresh_bindings()

    def _show_task(self) -> None:
        line = self.query_one("#task-line", Static)
        step = self.step
        if step is None:
            return
        if step.free_play:
            line.update(Content.styled("free play: try anything", "$muted"))
        elif task := step.open_task:
            line.update(Content.assemble(("◆ ", "$text-accent"), inline(task.text)))
        elif step.tasks:
            staged = ", F12 shows it in the laboratory" if step.scenes else ""
            line.update(Content.styled(f"✓ done; F8 goes on{staged}", "$text-success"))
        elif isinstance(to_run := step.next_run, Example):
            line.update(Content.assemble(("▸ ", "$text-primary"), "F7 runs  ", (to_run.exchanges[0][0], "bold")))
        elif to_run is not None:
            line.update(Content.assemble(("? ", "$text-warning"), "F7 asks you what you expect"))
        else:
            line.update(Content.styled("F8 goes on", "$muted"))

    @on(m.Output)
    def _output(self, message: m.Output) -> None:
        terminals = self.terminals
        terminal = terminals[message.terminal]
        terminal.write(message.rows)
        hidden = (self.tabbed and self.pane != "terminal") or not terminal.display
        if hidden and terminal.channel not in terminals.unseen:
            terminals.unseen.add(terminal.channel)
            self._show_tabs()

    @on(m.PromptShown)
    def _prompt_shown(self, message: m.PromptShown) -> None:
        terminal = self.terminals[message.terminal]
        terminal.prompt = message.prompt
        terminal.busy = message.busy

    @on(m.TypeIn)
    def _type_in(self, message: m.TypeIn) -> None:
        terminal = self.terminals[message.terminal]
        self._to_terminal(terminal)
        for line in message.lines:
            terminal.type_line(line, message.typed_for)

    @on(m.Asked)
    def _asked(self, message: m.Asked) -> None:
        terminal = self.terminals[message.terminal]
        terminal.ask(message.question)
        if message.question is not None:
            self._to_terminal(terminal)

    @on(m.HintShown)
    def _hint_shown(self, message: m.HintShown) -> None:
        hint = message.hint
        self.query_one(TextPane).show_hint(hint)
        if hint is not None and self.tabbed and (terminal := self.terminals.now):
            head = f"Hint {hint.rung} of {hint.of}: " if hint.of else "Hint: "
            terminal.write_line(head + hint.text.replace("`", ""), "note")
            if hint.command:
                terminal.write_line(f"  {hint.command}    (F3 types it for you)", "note")

    @on(m.KeysShown)
    def _keys_shown(self, message: m.KeysShown) -> None:
        self.inspector.keys.show(message.keys)

    @on(m.WireShown)
    def _wire_shown(self, message: m.WireShown) -> None:
        self.inspector.wire.add(message.entries)

    @on(m.EventsShown)
    def _events_shown(self, message: m.EventsShown) -> None:
        self.inspector.events.add(message.entries)

    @on(m.Cleared)
    def _cleared(self, message: m.Cleared) -> None:
        self.inspector.wire.reset()
        self.inspector.events.reset()
        for terminal in self.terminals.query(Terminal):
            terminal.stop_typing()
        if current := self.terminals.now:
            current.append([row(message.text, "note")])

    @on(m.Notice)
    def _notice(self, message: m.Notice) -> None:
        if terminal := self.terminals.now:
            style = "error" if message.severity == "error" else "note"
            terminal.append([row(line, style, indent=2) for line in message.text.splitlines()])

    @on(m.Finished)
    def _finished(self, message: m.Finished) -> None:
        from tutor.screens.dialogs import Choice

        choices = [("map", "Back to the map")]
        if message.next_lesson:
            choices.insert(0, ("next", f"Go on with “{message.next_title}”"))
        choices.append(("stay", "Stay and play"))

        def chosen(choice: str | bool | None) -> None:
            if choice in ("next", "map"):
                self._close(message.next_lesson if choice == "next" else None)

        self.app.push_screen(Choice(f"✓ {message.title}", "That was the lesson.", choices), chosen)

    # -- what the learner does

    @on(Terminal.Submitted)
    def _submitted(self, message: Terminal.Submitted) -> None:
        line = message.line.strip()
        terminal = message.terminal
        if not line or line == "clear" or line in ("exit", "quit") or line.startswith(":"):
            terminal.busy = False
            if line == "clear":
                terminal.clear()
            elif line in ("exit", "quit"):
                self.action_leave_now()
            elif line:
                self._colon(line[1:], terminal)
            return
        self.run_worker(self.desk.submit(terminal.channel, line, message.typed_for), group="submit")

    def _colon(self, line: str, terminal: Terminal) -> None:
        word, _, rest = line.partition(" ")
        action = COLON.get(word.lower())
        if word.lower() == "help" or not word:
            terminal.append(row(f"{name:<14}{text}", "note", indent=14) for name, text in COLON_HELP)
            return
        if word.lower() == "reset" and rest.strip() == "lesson":
            self.action_reset_lesson()
        elif action == "map":
            self.action_leave_now()
        elif action == "run":
            self.action_run_example()
        elif action == "lab":
            self.action_scene()
        elif action is not None:
            self._act(action)
        else:
            terminal.write_line(f"There is no “:{word}”. :help lists what there is.", "error")

    @on(Terminal.Answered)
    def _answered(self, message: Terminal.Answered) -> None:
        message.terminal.busy = True
        self.run_worker(self.desk.answer(message.terminal.channel, message.question, message.answer), group="submit")

    @on(Terminal.Interrupted)
    def _interrupted(self, message: Terminal.Interrupted) -> None:
        self.run_worker(self.desk.interrupt(message.terminal.channel), group="interrupt")

    @on(Terminal.Left)
    def _left(self) -> None:
        self.action_leave_now()

    @on(ExampleBlock.Run)
    def _run(self, message: ExampleBlock.Run) -> None:
        self.run_worker(self.desk.run_example(message.example), group="act")

    @on(SceneBlock.Open)
    def _open_scene(self, message: SceneBlock.Open) -> None:
        self._stage(message.scene)

    @on(Markdown.LinkClicked)
    def _link(self, message: Markdown.LinkClicked) -> None:
        """Follow a link: a term into the glossary, a lesson by its title's page, anything else is shown."""
        message.stop()
        target, _, fragment = message.href.partition("#")
        if target.endswith("glossary.md"):
            self.app.action_reference(fragment.replace("-", " "))  # type: ignore[attr-defined]
        elif "://" in target:
            self.app.open_url(message.href)
        else:
            self.notify(message.href, title="A link inside the course", timeout=4, markup=False)

    def _act(self, action: str) -> None:
        self.run_worker(self.desk.act(action), group="act")

    def action_hint(self) -> None:
        """Give a hint, a clearer one each time."""
        self._act("hint")

    def action_show_me(self) -> None:
        """Type the solution."""
        self._act("show")

    def action_undo(self) -> None:
        """Take the last command back."""
        self._act("undo")

    def action_reset(self) -> None:
        """Start the step again."""
        self._act("reset")

    def action_reset_lesson(self) -> None:
        """Start the lesson again, after asking."""
        from tutor.screens.dialogs import Confirm

        def confirmed(yes: str | bool | None) -> None:
            if yes:
                self._act("reset_lesson")

        text = "The server starts empty, and every step of this lesson is open again."
        self.app.push_screen(Confirm("Start the lesson again?", text, "Start again"), confirmed)

    def action_next(self) -> None:
        """Go to the next step."""
        self._act("next")

    def action_back(self) -> None:
        """Go to the step before."""
        self._act("back")

    def action_run_example(self) -> None:
        """Run the next example of the text."""
        to_run = self.step.next_run if self.step else None
        if isinstance(to_run, Example):
            self.run_worker(self.desk.run_example(to_run), group="act")
        elif to_run is not None:
            self._act("predict")
        else:
            self.app.bell()

    def action_scene(self) -> None:
        """Show what the step tells in the laboratory; the learner chooses when there are several scenarios."""
        from tutor.screens.dialogs import Choice

        scenes = self.step.scenes if self.step else ()

        def chosen(name: str | bool | None) -> None:
            for scene in scenes:
                if scene.scenario == name:
                    self._stage(scene)

        if len(scenes) > 1:
            choices = [(scene.scenario, scene.title) for scene in scenes]
            self.app.push_screen(Choice("In the laboratory", "Which scenario?", choices), chosen)
        elif scenes:
            self._stage(scenes[0])
        elif terminal := self.terminals.now:
            terminal.write_line("This step is not staged in the laboratory.", "note")

    def _stage(self, scene: Scene) -> None:
        """Open the laboratory over the lesson, which stands still until it is left."""
        self.app.action_laboratory(scene.scenario)  # type: ignore[attr-defined]

    def action_yank(self) -> None:
        """Copy the selection, or the last command."""
        text = self.get_selected_text()
        if not text and (terminal := self.terminals.now) and terminal.editor.history:
            text = terminal.editor.history[-1]
        if text:
            self.app.copy_to_clipboard(text)
            self.notify(f"Copied: {text[:60]}", timeout=2, markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what would do something now."""
        if action == "run_example":
            return bool(self.step and self.step.next_run)
        if action == "next":
            return bool(self.step and not (self.step.free_play and self.step.of == 1))
        if action == "back":
            return bool(self.step and self.step.number > 1)
        if action == "scene":
            return bool(self.step and self.step.scenes)
        if action in ("hint", "show_me"):
            return bool(self.step and self.step.open_task)
        if action == "next_terminal":
            return len(self.terminals.names) > 1
        return True

    # -- panes

    @property
    def terminals(self) -> Terminals:
        """The terminals."""
        return self.query_one(Terminals)

    @property
    def inspector(self) -> Inspector:
        """The inspector."""
        return self.query_one(Inspector)

    @property
    def tabbed(self) -> bool:
        """Whether one pane is shown at a time."""
        return self.has_class("-narrow") and self.has_class("-short")

    def panes(self) -> list[tuple[str, str]]:
        """Return the names and titles of what F6 goes through; several terminals by their names."""
        names = self.terminals.names
        terminals = [(f"terminal {name}", name) for name in names] if len(names) > 1 else [("terminal", "Terminal")]
        panes = [("text", "Text"), *terminals, ("keys", "Keys"), ("wire", "Wire"), ("events", "Events")]
        unseen = {f"terminal {name}" if len(names) > 1 else "terminal" for name in self.terminals.unseen}
        return [(place, f"{title} •" if place in unseen else title) for place, title in panes]

    def _show_tabs(self) -> None:
        if self.pane == "terminal":
            self.terminals.unseen.discard(self.terminals.current)
        self.query_one(PaneBar).show(self.panes(), self._place)

    @property
    def _place(self) -> str:
        """Which of `panes` is shown."""
        several = self.pane == "terminal" and len(self.terminals.names) > 1
        return f"terminal {self.terminals.current}" if several else self.pane

    def _go_to(self, place: str) -> None:
        kind, _, name = place.partition(" ")
        if name:
            self.terminals.current = name
        self.action_pane(kind)
        self._show_tabs()

    def watch_pane(self) -> None:
        """Show a pane where only one fits."""
        if not self.children:
            return
        kind = "inspector" if self.pane in Inspector.TABS else self.pane
        for name in ("text", "terminal", "inspector"):
            self.set_class(name == kind, f"-pane-{name}")
        if self.pane in Inspector.TABS:
            self.inspector.tab = self.pane
        self._show_tabs()
        self._focus_pane()

    def _focus_pane(self) -> None:
        target: Widget | None
        if self.tabbed and self.pane == "text":
            target = self.query_one(TextPane)
        elif self.tabbed and self.pane in Inspector.TABS:
            target = self.inspector.query_one(f"#{self.pane}")
        else:
            target = self.terminals.now
        if target is not None:
            self._focus_soon(target)

    def _to_terminal(self, terminal: Terminal) -> None:
        self.terminals.current = terminal.channel
        self.pane = "terminal"
        self._show_tabs()
        self._focus_soon(terminal)

    def _focus_soon(self, widget: Widget) -> None:
        """Focus a widget, once it is in sight: one that is not takes no focus."""
        self._wanted = widget
        self.set_focus(widget, scroll_visible=False)

        def again() -> None:
            if self._wanted is widget and self.focused is not widget:
                self.set_focus(widget, scroll_visible=False)

        self.call_after_refresh(again)

    def action_next_pane(self) -> None:
        """Go to the next pane."""
        if self.tabbed:
            names = [name for name, _ in self.panes()]
            self._go_to(names[(names.index(self._place) + 1) % len(names)])
            return
        order: list[Widget] = [self.query_one(TextPane), *(t for t in self.terminals.query(Terminal) if t.display)]
        order.append(self.inspector.query_one(f"#{self.inspector.tab}"))
        focused = self.focused
        at = next((i for i, w in enumerate(order) if focused is not None and w in focused.ancestors_with_self), -1)
        self.set_focus(order[(at + 1) % len(order)], scroll_visible=False)

    def action_next_terminal(self) -> None:
        """Go to the next terminal."""
        names = self.terminals.names
        if names:
            self._to_terminal(self.terminals[names[(names.index(self.terminals.current) + 1) % len(names)]])

    def action_place(self, name: str) -> None:
        """Show what a tab of a narrow window stands for."""
        self._go_to(name)

    def action_pane(self, name: str) -> None:
        """Show a pane."""
        self.pane = name
        if name == "terminal" and (terminal := self.terminals.now):
            self._focus_soon(terminal)
        else:
            self._focus_pane()

    def action_terminal(self, name: str) -> None:
        """Show a terminal."""
        self._to_terminal(self.terminals[name])

    def action_inspect(self, name: str) -> None:
        """Show a tab of the inspector."""
        inside = self.focused is not None and self.inspector in self.focused.ancestors
        self.inspector.tab = name
        if self.tabbed:
            self.pane = name
        elif inside:
            self._focus_soon(self.inspector.query_one(f"#{name}"))

    def action_turn_inspector(self) -> None:
        """Show the inspector's next tab, wherever the learner types."""
        self.inspector.action_turn(1)

    def on_resize(self) -> None:
        """Keep the focus on something that is in sight."""
        self.call_after_refresh(self._focus_pane)

    # -- leaving

    def action_leave(self) -> None:
        """Go back: from the inspector to the prompt, from there to the text, from there to the map."""
        if self.focused is not None and self.inspector in self.focused.ancestors:
            self.action_pane("terminal")
        elif isinstance(self.focused, Terminal):
            self.pane = "text"
            self.set_focus(self.query_one(TextPane), scroll_visible=False)
        else:
            self.action_leave_now()

    def action_leave_now(self) -> None:
        """Go to the map; the lesson is kept where it is."""
        self._close(None)

    @work(group="close")
    async def _close(self, result: str | None) -> None:
        if self.closing:
            return
        self.closing = True
        await self.desk.close()
        self.dismiss(result)
