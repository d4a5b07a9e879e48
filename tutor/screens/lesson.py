"""A lesson: text, terminals and inspector on one screen.

The screen draws and asks. A *controller* (`tutor.lesson.front_end`) knows the lesson, its server and its terminals,
and answers with typed messages (`tutor.lesson.messages`). Wide windows show all panes. A narrow one shows text or
inspector under a line of tabs, below that the task on a line, and below that the terminal, always.

Everything that is typed goes to the terminal, wherever the focus is: no letter is a key binding of the screen.
"""

import asyncio
import functools
from collections.abc import Iterator
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.containers import Container, Horizontal, Vertical
from textual.message import Message
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import Markdown

from tutor.lesson import messages as m
from tutor.lesson.actions import BY_NAME, FULL_SCREEN
from tutor.lesson.front_end import Controller
from tutor.lesson.view import Example, LessonSetup, Scene, StepView
from tutor.lesson_server.parent import HostError
from tutor.prompt.rows import row
from tutor.prompt.words import shorten
from tutor.screens.base import TutorScreen
from tutor.screens.map import NOT_SAVED
from tutor.widgets.header import HeaderBar, dots
from tutor.widgets.inspector import Inspector
from tutor.widgets.keybar import KeyBar
from tutor.widgets.terminal import Terminal
from tutor.widgets.terminals import PaneBar, TaskLine, Terminals
from tutor.widgets.textpane import ExampleBlock, SceneBlock, TextPane

OWN = "@own"  # the choice of the learner's own servers; no scenario has such a name
OWN_SUMMARY = (
    "Everything that happened on your servers, up to now. Go back in it, and branch off where you like: "
    "the lesson does not change. Esc returns to it."
)
SANDBOX_ENDS = "Its server stops, and its data is lost."

HELP = """\
Type Redis commands at the prompt, as in `redis-cli`. What you type goes there, wherever the focus is. The text shows
what to try; **F7** types its next example for you, and a click on any example runs that one. A task is
marked as done as soon as you have done it, no matter how.

**PgUp** and **PgDn** scroll the text, **Shift** with them the terminal. In a small window **F6** or **Ctrl+O** shows
the inspector's tabs in place of the text.

Stuck? **F2** gives a hint, a clearer one each time, and **F3** types the solution. You cannot break anything: **F4**
undoes the last command, **F5** restarts the step, and `:reset lesson` restarts the whole lesson.

The inspector shows the data in the server. *Picture* draws what your last command was about; `:picture KEY` another
key, and `:picture memory`, `persistence`, `replication`, `pub/sub`, `transaction` or `clients` a part of the server.
Marks show what your last command did: `+` new, `~` changed, `-` deleted, `=` read but not changed. *Wire* shows the
bytes of requests and replies, *Events* what else happened.

After an error, `:why` explains it. **F12** opens the laboratory: on the scenario of the step, if it has one, and in
lessons with several servers or a shell on your own servers, with everything that happened on them. `Esc` returns to
the lesson.
"""


def _binding(name: str, method: str, id: str) -> Binding:
    """Return the binding of an action's key; the bar shows the word that does the same at the prompt.

    Some terminals take F1, F5, F10 and F11 for themselves.
    """
    action = BY_NAME[name]
    return Binding(action.key, method, action.word, id=f"lesson.{id}", priority=True, tooltip=action.label)


class LessonScreen(TutorScreen[str | None]):
    """One lesson. Dismissed with the id of the lesson to open next, or None for the map."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (140, "-huge")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    HELP = HELP
    HELP_TITLE = "A lesson"

    BINDINGS: ClassVar = [
        Binding("f1", "app.help", ":help", id="help", priority=True, tooltip="help"),
        _binding("hint", "hint", "hint"),
        _binding("show", "show_me", "show"),
        _binding("undo", "undo", "undo"),
        _binding("next", "next", "next"),
        _binding("run", "run_example", "run"),
        Binding("f6", "next_pane", "pane", id="lesson.pane", priority=True),
        _binding("reset", "reset", "reset"),
        _binding("back", "back", "back"),
        _binding("lab", "scene", "scene"),
        Binding("ctrl+o", "turn_inspector", "next tab", id="lesson.inspector", show=False),
        Binding("shift+f6", "next_terminal", "other terminal", id="lesson.terminal", priority=True, show=False),
        Binding("ctrl+t", "next_terminal", "other terminal", id="lesson.terminal2", priority=True, show=False),
        Binding("ctrl+underscore,ctrl+z", "undo", "undo", show=False, id="lesson.undo2"),
        Binding("pageup", "scroll_text(-1)", "scroll the text up", show=False),
        Binding("pagedown", "scroll_text(1)", "scroll the text down", show=False),
        Binding("shift+pageup", "scroll_terminal(-1)", "scroll the terminal up", show=False),
        Binding("shift+pagedown", "scroll_terminal(1)", "scroll the terminal down", show=False),
        Binding("escape", "leave", "map", id="lesson.leave", show=False),
    ]

    CSS = """
    LessonScreen { background: $background; }
    LessonScreen #body { height: 1fr; }
    LessonScreen #text-box { width: 46%; max-width: 84; border: round $rule; border-title-color: $muted; }
    LessonScreen #text-box:focus-within { border: round $primary; border-title-color: $foreground; }
    LessonScreen #right { width: 1fr; }
    LessonScreen #typing { height: 3fr; }
    LessonScreen Terminals { height: 1fr; }
    LessonScreen Inspector { height: 2fr; }
    LessonScreen #task-line { display: none; height: auto; max-height: 2; padding: 0 1; background: $surface; }
    LessonScreen.-huge #text-box { width: 42%; }
    LessonScreen.-huge #typing { height: 1fr; }
    LessonScreen.-huge Inspector { height: 1fr; }

    LessonScreen.-narrow #body { layout: vertical; }
    LessonScreen.-narrow #text-box { width: 100%; max-width: 100%; height: 2fr; }
    LessonScreen.-narrow #right { width: 100%; height: 3fr; }
    LessonScreen.-narrow.-short PaneBar { display: block; }
    LessonScreen.-narrow.-short #task-line { display: block; }
    LessonScreen.-narrow.-short #text-box { border: none; height: 1fr; padding: 0; }
    LessonScreen.-narrow.-short #right { height: auto; }
    LessonScreen.-narrow.-short #typing { height: auto; }
    LessonScreen.-narrow.-short Terminals { height: 38vh; min-height: 7; border: none; border-top: solid $rule; }
    LessonScreen.-narrow.-short Terminals:focus-within { border: none; border-top: solid $primary; }
    LessonScreen.-narrow.-short Inspector { display: none; border: none; height: 1fr; }
    LessonScreen.-narrow.-short.-pane-inspector #text-box { display: none; }
    LessonScreen.-narrow.-short.-pane-inspector #right { height: 1fr; }
    LessonScreen.-narrow.-short.-pane-inspector #typing { dock: bottom; }
    LessonScreen.-narrow.-short.-pane-inspector Inspector { display: block; }
    """

    pane: var[str] = var("text")

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.step: StepView | None = None
        self.setup: LessonSetup | None = None
        self.closing = False
        self._wanted: Widget | None = None
        self._typed_early: list[tuple[str, str | None]] = []  # keys that came before there was a terminal
        self.unseen_picture = False  # something was drawn that is not in sight

    def compose(self) -> ComposeResult:
        """Lay out the panes."""
        yield HeaderBar()
        yield PaneBar()
        with Horizontal(id="body"):
            with Container(id="text-box"):
                yield TextPane("text")
            with Vertical(id="right"):
                with Vertical(id="typing"):
                    yield TaskLine(id="task-line")
                    yield Terminals("terminals")
                yield Inspector(id="inspector")
        yield KeyBar()

    def on_mount(self) -> None:
        """Open the lesson without holding up the first frame."""
        self.query_one(HeaderBar).show("opening the lesson …")
        self.query_one("#text-box").border_title = "Text"
        text = self.query_one(TextPane)
        self.watch(text, "scroll_y", self._show_tabs, init=False)
        self.watch(text, "virtual_size", self._show_tabs, init=False)
        self.watch_pane()
        self.open_controller()

    @work(exclusive=True, group="open")
    async def open_controller(self) -> None:
        """Start the lesson's server."""
        try:
            await self.controller.open(self._hear)
        except Exception as error:  # whatever went wrong there, the learner gets a line and the map stays usable
            self.log.error(error)
            self._hear(m.OpenFailed(str(error) or type(error).__name__))

    async def on_unmount(self) -> None:
        """End the lesson's server however the screen goes."""
        if not self.closing:
            self.closing = True
            await self.controller.close()

    # -- news from the controller

    class Heard(Message, bubble=False):
        """News, on its way to the screen's own thread."""

        def __init__(self, news: m.News) -> None:
            super().__init__()
            self.news = news

    def _hear(self, news: m.News) -> None:
        self.post_message(self.Heard(news))

    @on(Heard)
    async def _heard(self, message: Heard) -> None:
        await self._show(message.news)

    @functools.singledispatchmethod
    async def _show(self, news: m.News) -> None:
        """Show news."""

    @_show.register
    async def _opened(self, message: m.Opened) -> None:
        self.setup = message.setup

        def make(name: str) -> Terminal:
            terminal = Terminal(assist=self.controller.assist(name), history=self.controller.history(name))
            terminal.channel = name
            terminal.border_title = name
            terminal.remember(self.controller.scrollback)
            terminal.busy = True  # until the lesson is where it was left
            return terminal

        await self.terminals.set_up(message.setup.terminals, make)
        if terminal := self.terminals.now:
            if message.setup.newcomer and not self._typed_early:
                terminal.welcome()
            for key, character in self._typed_early:
                terminal.type_ahead(key, character)
            self._typed_early.clear()
        self._focus_terminal()
        self.watch_pane()

    @_show.register
    async def _open_failed(self, message: m.OpenFailed) -> None:
        self.app.notify(
            message.reason, title="The lesson cannot be opened", severity="error", timeout=12, markup=False
        )
        self.dismiss(None)

    @_show.register
    async def _step_shown(self, message: m.StepShown) -> None:
        step = self.step = message.step
        if message.fresh and self.tabbed:
            self.pane = "text"
        at = f"step {step.number} of {step.of}" if not step.free_play else "free play"
        minutes = f"  about {step.minutes_left} min" if step.minutes_left and self.size.width >= 100 else ""
        where = f"{step.chapter} › {step.lesson}"
        self.query_one(HeaderBar).show(where, f"{at}  {dots(step.done, step.number - 1)}{minutes}")
        await self.query_one(TextPane).show(step, message.fresh)
        self.query_one(TaskLine).show(step)
        self.refresh_bindings()

    @_show.register
    async def _output(self, message: m.Output) -> None:
        self.terminals.output(message)

    @_show.register
    async def _changed(self, message: m.Changed) -> None:
        self.terminals.changed(message)

    @_show.register
    async def _failed(self, message: m.Failed) -> None:
        self.terminals.failed(message)

    @_show.register
    async def _task_done(self, message: m.TaskDone) -> None:
        self.terminals.task_done(message)

    @_show.register
    async def _outcome(self, message: m.Outcome) -> None:
        self.terminals.outcome(message)

    @_show.register
    async def _prompt_shown(self, message: m.PromptShown) -> None:
        self.terminals.show_prompt(message)

    @_show.register
    async def _type_in(self, message: m.TypeIn) -> None:
        terminal = self.terminals[message.terminal]
        self._to_terminal(terminal)
        for line in message.lines:
            terminal.type_line(line, message.typed_for)

    @_show.register
    async def _asked(self, message: m.Asked) -> None:
        terminal = self.terminals[message.terminal]
        terminal.ask(message.question)
        if message.question is not None:
            self._to_terminal(terminal)

    @_show.register
    async def _hint_shown(self, message: m.HintShown) -> None:
        hint = message.hint
        self.query_one(TextPane).show_hint(hint)
        if hint is not None and self.tabbed and (terminal := self.terminals.now):
            head = f"Hint {hint.level} of {hint.of}: " if hint.of else "Hint: "
            terminal.write_line(head + hint.text.replace("`", ""), "note")
            if hint.command:
                terminal.write_line(f"  {hint.command}    (F3 types it for you)", "note")

    @_show.register
    async def _keys_shown(self, message: m.KeysShown) -> None:
        self.inspector.keys.show(message.keys)

    @_show.register
    async def _picture_shown(self, message: m.PictureShown) -> None:
        self.inspector.picture.show(message.view)
        if self.tabbed and message.view.fresh and self.pane != "picture":
            self.unseen_picture = True
            self._show_tabs()

    @_show.register
    async def _wire_shown(self, message: m.WireShown) -> None:
        self.inspector.wire.add(message.entries)

    @_show.register
    async def _events_shown(self, message: m.EventsShown) -> None:
        self.inspector.events.add(message.entries)

    @_show.register
    async def _cleared(self, message: m.Cleared) -> None:
        self.inspector.wire.reset()
        self.inspector.events.reset()
        self.terminals.clear(message)

    @_show.register
    async def _notice(self, message: m.Notice) -> None:
        self.terminals.notice(message)

    @_show.register
    async def _finished(self, message: m.Finished) -> None:
        from tutor.screens.dialogs import ChoiceDialog

        choices = [("map", "Back to the map")]
        if message.next_lesson:
            choices.insert(0, ("next", f"Go on with “{message.next_title}”"))
        choices += [(f"go {at}", f"Look again at step {at + 1}, “{title}”") for at, title in message.again]
        choices.append(("stay", "Stay and play"))

        def chosen(choice: str | bool | None) -> None:
            if choice in ("next", "map"):
                self._close(message.next_lesson if choice == "next" else None)
            elif isinstance(choice, str) and choice.startswith("go "):
                self._act(choice)

        text = "\n".join(("That was the lesson.", *message.told))
        self.app.push_screen(ChoiceDialog(f"✓ {message.title}", text, choices), chosen)

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
                self._ask_to_leave()
            elif line:
                self._colon(line[1:], terminal)
            return
        self.run_worker(self.controller.submit(terminal.channel, line, message.typed_for), group="submit")

    def _colon(self, line: str, terminal: Terminal) -> None:
        word, _, rest = line.partition(" ")
        action = BY_NAME.get(word.lower())
        if word.lower() == "help" or not word:
            terminal.append(row(f"{each.word:<14}{each.told}", "note", indent=14) for each in FULL_SCREEN)
            return
        if word.lower() == "reset" and rest.strip() == "lesson":
            self.action_reset_lesson()
        elif action is None or not action.told:
            terminal.write_line(f"There is no “:{shorten(word)}”. :help lists what there is.", "error")
        elif action.front_end:
            {"map": self.action_leave_now, "run": self.action_run_example, "lab": self.action_scene}[action.name]()
        else:
            self._act(f"{action.name} {rest.strip()}" if action.name == "picture" else action.name)

    @on(Terminal.Answered)
    def _answered(self, message: Terminal.Answered) -> None:
        message.terminal.busy = True
        self.run_worker(
            self.controller.answer(message.terminal.channel, message.question, message.answer), group="submit"
        )

    @on(Terminal.PutOff)
    def _put_off(self) -> None:
        self._act("later")

    @on(Terminal.Interrupted)
    def _interrupted(self, message: Terminal.Interrupted) -> None:
        self.run_worker(self.controller.interrupt(message.terminal.channel), group="interrupt")

    @on(Terminal.Left)
    def _left(self) -> None:
        self._ask_to_leave()

    @on(ExampleBlock.Run)
    def _run(self, message: ExampleBlock.Run) -> None:
        self.run_worker(self.controller.run_example(message.example), group="act")

    @on(SceneBlock.Open)
    def _open_scene(self, message: SceneBlock.Open) -> None:
        self._stage(message.scene)

    @on(Markdown.LinkClicked)
    def _link(self, message: Markdown.LinkClicked) -> None:
        """Follow a link: a term into the glossary, a lesson by its title's page, anything else is shown."""
        message.stop()
        target, _, fragment = message.href.partition("#")
        if target.endswith("glossary.md"):
            self.app.action_reference(fragment.replace("-", " "))
        elif "://" in target:
            self.app.open_url(message.href)
        else:
            self.notify(message.href, title="A link inside the course", timeout=4, markup=False)

    def _act(self, action: str) -> None:
        self.run_worker(self.controller.act(action), group="act")

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
            self.run_worker(self.controller.run_example(to_run), group="act")
        elif to_run is not None:
            self._act("predict")
        else:
            self.app.bell()

    def action_scene(self) -> None:
        """Open the laboratory on the learner's own servers, or on a scenario of the step: whichever they choose."""
        from tutor.screens.dialogs import ChoiceDialog

        scenes = self.step.scenes if self.step else ()
        own = self.setup is not None and self.setup.machines

        def chosen(name: str | bool | None) -> None:
            if name == OWN:
                self.open_own()
            for scene in scenes:
                if scene.scenario == name:
                    self._stage(scene)

        if len(scenes) + own > 1:
            choices = [(scene.scenario, scene.title) for scene in scenes]
            if own:
                choices.insert(0, (OWN, "Your own servers, with all that you did"))
            self.app.push_screen(ChoiceDialog("In the laboratory", "What do you want to see?", choices), chosen)
        elif scenes or own:
            chosen(OWN if own else scenes[0].scenario)
        elif terminal := self.terminals.now:
            terminal.write_line("This step is not staged in the laboratory.", "note")

    @work(exclusive=True, group="laboratory")
    async def open_own(self) -> None:
        """Open the laboratory on the lesson's servers, with their whole history. Leaving it comes back here."""
        from engine.simulation.history import History, HistoryError
        from tutor.lab.runner import spec_of
        from tutor.screens.laboratory import LaboratoryScreen

        self.notify("Opening your servers in the laboratory …", timeout=2, markup=False)
        try:
            data = await self.controller.recording()
            history = await asyncio.to_thread(History.decode, data or b"")
        except (HistoryError, HostError) as error:
            self.notify(str(error), title="The laboratory cannot be opened", severity="error", markup=False)
            return
        title = f"Your servers in “{self.setup.title}”" if self.setup else "Your servers"
        self.app.push_screen(LaboratoryScreen(spec_of(history, title, OWN_SUMMARY), history))

    def _stage(self, scene: Scene) -> None:
        """Open the laboratory over the lesson, which stands still until it is left."""
        self.app.action_laboratory(scene.scenario)

    def commands(self) -> Iterator[SystemCommand]:
        """Yield what the palette offers here."""
        methods = {
            "hint": self.action_hint, "show": self.action_show_me, "undo": self.action_undo,
            "reset": self.action_reset, "next": self.action_next, "back": self.action_back,
            "lab": self.action_scene, "map": self.action_leave_now,
        }  # fmt: skip
        for name, method in methods.items():
            action = BY_NAME[name]
            if name != "lab" or self.check_action("scene", ()):
                yield SystemCommand(action.title, action.about, method)
            if name == "reset":
                yield SystemCommand("Reset lesson", "Start this lesson again", self.action_reset_lesson)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what would do something now."""
        if action == "run_example":
            return bool(self.step and self.step.next_run)
        if action == "next":
            return bool(self.step and not (self.step.free_play and self.step.of == 1))
        if action == "back":
            return bool(self.step and self.step.number > 1)
        if action == "scene":
            return bool(self.step and self.step.scenes) or bool(self.setup and self.setup.machines)
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
        """Whether text and inspector share the space, one at a time."""
        return self.has_class("-narrow") and self.has_class("-short")

    PANES: ClassVar = [("text", "Text"), *((name, name.title()) for name in Inspector.TABS)]

    def _show_tabs(self) -> None:
        text = self.query_one(TextPane)
        more = ""
        if self.pane == "text" and text.max_scroll_y:
            more = "PgDn more" if text.scroll_y < text.max_scroll_y else "PgUp"
        self.unseen_picture &= self.pane != "picture"
        panes = [(name, title + " •" * (name == "picture" and self.unseen_picture)) for name, title in self.PANES]
        self.query_one(PaneBar).show(panes, self.pane, more)

    def watch_pane(self) -> None:
        """Show the text or a tab of the inspector if there is no room for both."""
        if not self.children:
            return
        self.set_class(self.pane in Inspector.TABS, "-pane-inspector")
        if self.pane in Inspector.TABS:
            self.inspector.tab = self.pane
        self._show_tabs()

    def _focus_terminal(self) -> None:
        if terminal := self.terminals.now:
            self._focus_soon(terminal)

    def _to_terminal(self, terminal: Terminal) -> None:
        self.terminals.current = terminal.channel
        self._focus_soon(terminal)

    def _focus_soon(self, widget: Widget) -> None:
        """Focus a widget, once it is in sight: one that is not takes no focus."""
        self._wanted = widget
        self.set_focus(widget, scroll_visible=False)

        def again() -> None:
            if self._wanted is widget and self.focused is not widget:
                self.set_focus(widget, scroll_visible=False)

        self.call_after_refresh(again)

    def on_key(self, event: events.Key) -> None:
        """Pass keys to the terminal while something else has the focus.

        Keys may arrive in a burst: some may still arrive here after the terminal has received the focus.
        """
        terminal = self.terminals.now
        if terminal is not None:
            terminal.end_welcome()
        elif event.is_printable or event.key in ("enter", "backspace"):
            event.stop()
            self._typed_early.append((event.key, event.character))
        if event.is_printable and terminal is not None:
            event.stop()
            event.prevent_default()
            self._focus_soon(terminal)
            terminal.take(event)

    def action_next_pane(self) -> None:
        """Go to the next pane."""
        if self.tabbed:
            self._turn()
            return
        order: list[Widget] = [self.query_one(TextPane), *(t for t in self.terminals.query(Terminal) if t.display)]
        order.append(self.inspector.query_one(f"#{self.inspector.tab}"))
        focused = self.focused
        at = next((i for i, w in enumerate(order) if focused is not None and w in focused.ancestors_with_self), -1)
        self.set_focus(order[(at + 1) % len(order)], scroll_visible=False)

    def _turn(self) -> None:
        names = [name for name, _ in self.PANES]
        self.action_pane(names[(names.index(self.pane) + 1) % len(names)])

    def action_next_terminal(self) -> None:
        """Go to the next terminal."""
        names = self.terminals.names
        if names:
            self._to_terminal(self.terminals[names[(names.index(self.terminals.current) + 1) % len(names)]])

    def action_pane(self, name: str) -> None:
        """Show the text or a tab of the inspector; the terminal keeps receiving what is typed."""
        self.pane = name
        self._focus_terminal()

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
        """Show the inspector's next tab, or in a small window the next of all tabs."""
        if self.tabbed:
            self._turn()
        else:
            self.inspector.action_turn(1)

    def action_scroll_text(self, by: int) -> None:
        """Scroll the text, or in a small window the visible tab."""
        pane = self.query_one(TextPane)
        if self.tabbed and self.pane in Inspector.TABS:
            pane = self.inspector.query_one(f"#{self.pane}")  # type: ignore[assignment]
        (pane.scroll_page_up if by < 0 else pane.scroll_page_down)(animate=False)

    def action_scroll_terminal(self, by: int) -> None:
        """Scroll the terminal."""
        if terminal := self.terminals.now:
            (terminal.scroll_page_up if by < 0 else terminal.scroll_page_down)(animate=False)

    def on_resize(self) -> None:
        """Keep the focus on something that is in sight."""
        self.call_after_refresh(self._keep_in_sight)

    def _keep_in_sight(self) -> None:
        self._show_tabs()
        if self.focused is None or not self.focused.region.area:
            self._focus_terminal()

    # -- leaving

    def action_leave(self) -> None:
        """Go back to the prompt, to the text, and from there, after a confirmation, to the map."""
        if not isinstance(self.focused, Terminal):
            self._focus_terminal()
        elif self.tabbed and self.pane != "text":
            self.pane = "text"
        else:
            self._ask_to_leave()

    def _ask_to_leave(self) -> None:
        from tutor.screens.dialogs import ChoiceDialog

        def chosen(choice: str | bool | None) -> None:
            if choice == "map":
                self.action_leave_now()

        choices = [("stay", "Stay"), ("map", "Go to the map")]
        if self.setup is None or self.setup.id == "sandbox":
            text = SANDBOX_ENDS
        elif self.app.course.saves:
            text = "You can continue later where you are now."
        else:
            text = NOT_SAVED
        self.app.push_screen(ChoiceDialog(f"Leave {self.desk_title}?", text, choices), chosen)

    @property
    def desk_title(self) -> str:
        """The name of what you leave with this screen."""
        return f"“{self.setup.title}”" if self.setup else "the lesson"

    def leave_for(self, lesson: str) -> None:
        """Open another lesson; this one is kept where it is."""
        self._close(lesson)

    def action_leave_now(self) -> None:
        """Go to the map; the lesson is kept where it is."""
        self._close(None)

    @work(group="close")
    async def _close(self, result: str | None) -> None:
        if self.closing:
            return
        self.closing = True
        await self.controller.close()
        self.dismiss(result)
