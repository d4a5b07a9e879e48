"""A lesson: text, terminals and inspector on one screen.

The screen opens and leaves the lesson, and knows what keys and palette offer. A *controller*
(`tutor.lesson.front_end`) knows the lesson, its server and its terminals, and answers with typed messages
(`tutor.lesson.messages`), which the widgets show.

Everything that is typed goes to the terminal, wherever the focus is: no letter is a key binding of the screen.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.message import Message

from tutor.lesson import messages as m
from tutor.lesson.actions import ACTIONS, BY_NAME, RESET_LESSON
from tutor.lesson.datasets import data_sets
from tutor.lesson.front_end import Controller
from tutor.lesson.view import ExampleView, LessonPlace, LessonSetup, StepView
from tutor.prompt.rows import Row
from tutor.screens.base import TutorScreen
from tutor.screens.lesson.header import LessonHeader
from tutor.screens.lesson.laboratory import OWN, offered, open_own
from tutor.screens.lesson.panes import LessonPanes
from tutor.screens.lesson.terminals import LessonTerminals
from tutor.widgets.inspector import Inspector
from tutor.widgets.keybar import KeyBar
from tutor.widgets.news import Audience, shows
from tutor.widgets.terminal import Terminal

if TYPE_CHECKING:
    from tutor.screens.lesson.editor import EditorScreen

HELP = """\
Type Redis commands at the prompt, as in `redis-cli`. What you type goes there, wherever the focus is. The text shows
what to try; **F7** types its next example for you, and a click on any example runs that one. A task is
marked as done as soon as what you type has done it, no matter how; examples do not count.

**PgUp** and **PgDn** scroll the text, **Shift** with them the terminal. In a small window **F6** or **Ctrl+O** shows
the inspector's tabs in place of the text.

Stuck? **F2** gives a hint, a clearer one each time, and **F3** types the solution. You cannot break anything: **F4**
undoes the last command, **F5** restarts the step, and `:reset lesson` restarts the whole lesson.

The inspector shows the data in the server. *Picture* draws what your last command was about; `:picture KEY` another
key, and `:picture memory`, `persistence`, `replication`, `pub/sub`, `transaction` or `clients` a part of the server.
Marks show what your last command did: `+` new, `~` changed, `-` deleted, `=` read but not changed. *Wire* shows the
bytes of requests and replies, *Events* what else happened.

In the sandbox `:data` loads a data set, `:load FILE` your own dump or append-only file, and `:connect HOST:PORT`
shows a real server, read-only. `:export FILE.sh` or `FILE.md` saves what you typed, in lessons too.

**Ctrl+X** (`:edit`) opens an editor for what takes several lines: a Lua script, a function library, a transaction.
`:bookmark` marks the step, and `:bookmarks` lists your bookmarks.

After an error, `:why` explains it. **F12** opens the laboratory: on the scenario of the step, if it has one, and in
lessons with several servers or a shell on your own servers, with everything that happened on them. `Esc` returns to
the lesson.
"""


def _binding(name: str, action: str, id: str) -> Binding:
    """Return the binding of an action's key; the bar shows the word that does the same at the prompt.

    Some terminals take F1, F5, F10 and F11 for themselves.
    """
    known = BY_NAME[name]
    return Binding(known.key, action, known.word, id=f"lesson.{id}", priority=True, tooltip=known.label)


class LessonScreen(TutorScreen[LessonPlace | None]):
    """One lesson. Dismissed with the lesson to open next, or None for the map."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (140, "-huge")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    HELP = HELP
    HELP_TITLE = "A lesson"

    BINDINGS: ClassVar = [
        Binding("f1", "app.help", ":help", id="help", priority=True, tooltip="help"),
        _binding("hint", "act('hint')", "hint"),
        _binding("show", "act('show')", "show"),
        _binding("undo", "act('undo')", "undo"),
        _binding("next", "act('next')", "next"),
        _binding("run", "run_example", "run"),
        Binding("f6", "panes('choose_next')", "pane", id="lesson.pane", priority=True),
        _binding("reset", "act('reset')", "reset"),
        _binding("back", "act('back')", "back"),
        _binding("edit", "edit", "edit"),
        _binding("lab", "laboratory", "scene"),
        Binding(BY_NAME["lab"].key, "no_laboratory", show=False, id="lesson.scene", priority=True),
        Binding("ctrl+o", "panes('turn_inspector')", "next tab", id="lesson.inspector", show=False),
        Binding(
            "shift+f6", "panes('next_terminal')", "other terminal", id="lesson.terminal", priority=True, show=False
        ),
        Binding(
            "ctrl+t", "panes('next_terminal')", "other terminal", id="lesson.terminal2", priority=True, show=False
        ),
        Binding("ctrl+underscore,ctrl+z", "act('undo')", "undo", show=False, id="lesson.undo2"),
        Binding("pageup", "panes('scroll_text', -1)", "scroll the text up", show=False),
        Binding("pagedown", "panes('scroll_text', 1)", "scroll the text down", show=False),
        Binding("shift+pageup", "panes('scroll_terminal', -1)", "scroll the terminal up", show=False),
        Binding("shift+pagedown", "panes('scroll_terminal', 1)", "scroll the terminal down", show=False),
        Binding("escape", "leave", "leave", id="lesson.leave"),
    ]

    CSS = """
    LessonScreen { background: $background; }
    LessonScreen LessonPanes { height: 1fr; }
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
    LessonScreen.-narrow.-short .-pane-inspector #text-box { display: none; }
    LessonScreen.-narrow.-short .-pane-inspector #right { height: 1fr; }
    LessonScreen.-narrow.-short .-pane-inspector #typing { dock: bottom; }
    LessonScreen.-narrow.-short .-pane-inspector Inspector { display: block; }
    """

    def __init__(self, controller: Controller, then: Sequence[str] = ()) -> None:
        """Make the screen; `then` is what the controller is asked to do once it is open."""
        super().__init__()
        self.controller = controller
        self._then = list(then)
        self.step: StepView | None = None
        self.setup: LessonSetup | None = None
        self.closing = False
        self._editor: EditorScreen | None = None  # while it is open
        self._last_run: Sequence[Row] = ()  # of the editor

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield LessonHeader()
        yield LessonPanes(self.controller)
        yield KeyBar()

    @property
    def panes(self) -> LessonPanes:
        """Text, terminals and inspector."""
        return self.query_one(LessonPanes)

    @property
    def terminals(self) -> LessonTerminals:
        """The terminals."""
        return self.panes.terminals

    @property
    def inspector(self) -> Inspector:
        """The inspector."""
        return self.panes.inspector

    # -- opening, and news from the controller

    class Heard(Message, bubble=False):
        """News, on its way to the screen's own thread."""

        def __init__(self, news: m.News) -> None:
            super().__init__()
            self.news = news

    def on_mount(self) -> None:
        """Open the lesson without holding up the first frame."""
        self._audience = Audience(self)
        self.run_worker(self._open(), group="open", exclusive=True)
        self.app.release_keys()

    async def _open(self) -> None:
        def hear(news: m.News) -> None:
            self.post_message(self.Heard(news))

        try:
            await self.controller.open(hear)
        except Exception as error:  # whatever went wrong there, the learner gets a line and the map stays usable
            self.log.error(error)
            hear(m.OpenFailed(str(error) or type(error).__name__))

    @on(Heard)
    async def _heard(self, message: Heard) -> None:
        await self._audience.show(message.news)
        if self._editor is not None and self._editor.is_attached:
            await self._editor.hear(message.news)

    @shows(m.LessonOpened)
    def opened(self, news: m.LessonOpened) -> None:
        """Know what the lesson has."""
        self.setup = news.setup

    @shows(m.OpenFailed)
    def open_failed(self, news: m.OpenFailed) -> None:
        """Say why, and go back to the map."""
        self.app.notify(news.reason, title="The lesson cannot be opened", severity="error", timeout=12, markup=False)
        self.dismiss(None)

    @shows(m.StepShown)
    def step_shown(self, news: m.StepShown) -> None:
        """Know what can be done now."""
        self.step = news.step
        self.refresh_bindings()
        while self._then:
            self._doing(self._then.pop(0))()

    @shows(m.Finished)
    def finished(self, news: m.Finished) -> None:
        """Ask what comes after the lesson."""
        from tutor.screens.lesson.dialogs import EndOfLesson

        def chosen(choice: str | bool | None) -> None:
            if choice in ("next", "map"):
                self.leave_for(LessonPlace(news.next_lesson) if choice == "next" and news.next_lesson else None)
            elif isinstance(choice, str) and choice.startswith("go "):
                self.action_act(choice)

        self.app.push_screen(EndOfLesson(news), chosen)

    # -- what the learner does

    def on_key(self, event: events.Key) -> None:
        """Pass keys to the terminal while something else has the focus."""
        self.terminals.take(event)

    def action_panes(self, method: str, *arguments: int) -> None:
        """Have the panes do something."""
        getattr(self.panes, method)(*arguments)

    def action_act(self, action: str) -> None:
        """Have the controller do something: hint, show, undo, reset, next, back …"""
        if self.step is None:  # the lesson is being opened
            self._then.append(action)
            return
        if action == "reset" and self.place == "sandbox":  # where it takes everything away
            self.action_reset_lesson()
            return
        self.terminals.act(action)

    @on(LessonTerminals.Asked)
    def _asked(self, message: LessonTerminals.Asked) -> None:
        if message.action == "run":
            self._run_example()
        else:
            self.run_worker(self.controller.act(message.action), group="act")

    def _doing(self, name: str) -> Callable[[], object]:
        """Return what does an action: the screen itself, or the controller."""
        word, _, argument = name.partition(" ")
        if word == "connect":
            return partial(self.app.action_connect, argument)
        if word == "bookmarks":
            return self.app.action_bookmarks
        if word == "edit":
            return self.action_edit
        own: dict[str, Callable[[], object]] = {
            "map": self.leave_for,
            "run": self.action_run_example,
            "lab": self.action_laboratory,
            "reset_lesson": self.action_reset_lesson,
        }
        return own.get(name, partial(self.action_act, name))

    @on(LessonTerminals.ActionTyped)
    def _action_typed(self, message: LessonTerminals.ActionTyped) -> None:
        name, argument = message.action.name, message.argument
        self._doing(f"{name} {argument}" if message.action.takes else name)()

    @property
    def place(self) -> str:
        """Where the learner is, as actions have it."""
        return self.setup.place if self.setup is not None else "lesson"

    def action_reset_lesson(self) -> None:
        """Start the lesson again, or empty the sandbox, after asking."""
        from tutor.screens.lesson.dialogs import StartAfresh

        def confirmed(yes: str | bool | None) -> None:
            if yes:
                self.action_act("reset_lesson")

        self.app.push_screen(StartAfresh(self.setup), confirmed)

    def action_run_example(self) -> None:
        """Run the next example of the text."""
        self.action_act("run")

    def _run_example(self) -> None:
        to_run = self.step.next_run if self.step else None
        if isinstance(to_run, ExampleView):
            self.run_worker(self.controller.run_example(to_run), group="act")
        elif to_run is not None:
            self.action_act("predict")
        else:
            self.app.bell()

    def action_edit(self) -> None:
        """Open the multi-line editor."""
        from tutor.screens.lesson.editor import EditorScreen

        if self.setup is None or self.step is None:
            self._then.append("edit")
            return
        if self._editor in self.app.screen_stack:
            return

        def closed(last_run: Sequence[Row] | None) -> None:
            self._editor, self._last_run = None, last_run or ()
            self.panes.focus_terminal()

        self._editor = EditorScreen(self.controller, self.step, self.terminals.current, self._last_run)
        self.app.push_screen(self._editor, closed)

    def action_laboratory(self) -> None:
        """Open the laboratory on the learner's own servers, or on a scenario of the step: whichever they choose."""
        from tutor.screens.dialogs import ChoiceDialog

        choices = offered(self.step.scenes if self.step else (), self.setup)
        if len(choices) > 1:
            self.app.push_screen(
                ChoiceDialog("In the laboratory", "What do you want to see?", choices), self._open_laboratory
            )
        elif choices:
            self._open_laboratory(choices[0][0])
        else:
            self.action_no_laboratory()

    def action_no_laboratory(self) -> None:
        """Say that there is nothing to see in the laboratory, where the key for it opens nothing."""
        if terminal := self.terminals.now:
            terminal.write_line("This step has no scenario in the laboratory. On the map, l lists them all.", "note")

    def _open_laboratory(self, name: str | bool | None) -> None:
        if name == OWN and self.setup is not None:
            own = open_own(self.app, self.controller, self.setup.title)
            self.run_worker(own, group="laboratory", exclusive=True)
        elif isinstance(name, str):
            self.app.action_laboratory(name)

    def commands(self) -> Iterator[SystemCommand]:
        """Yield what the palette offers here."""
        for action in (*ACTIONS, RESET_LESSON):
            if not action.title or not action.is_in(self.place) or action.name == "bookmarks":
                continue  # bookmarks are offered everywhere
            if action.name == "reset" and self.place == "sandbox":
                afresh = self._doing(action.name)
                yield SystemCommand("Start afresh", "Empty the sandbox, and forget what was typed", afresh)
                for data in data_sets().values():
                    yield SystemCommand(f"Data: {data.name}", data.title, self._doing(f"data {data.name}"))
            elif action.name == "lab" and not self.check_action("laboratory", ()):
                continue
            elif action is not RESET_LESSON or self.place == "lesson":
                yield SystemCommand(action.title, action.about, self._doing(action.name))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what would do something now."""
        step = self.step
        if step is None and action in ("run_example", "act", "edit"):
            return True  # it is done when the lesson is open
        match action, *parameters:
            case ["run_example"]:
                return bool(step and step.next_run)
            case ["act", "next"]:
                return bool(step and not (step.free_play and step.of == 1))
            case ["act", "back"]:
                return bool(step and step.number > 1)
            case ["act", "undo" | "reset"]:
                return self.place != "connected"
            case ["act", "hint" | "show"]:
                return bool(step and step.open_task)
            case ["edit"]:
                return self.place != "connected"
            case ["laboratory"]:
                return bool(offered(step.scenes if step else (), self.setup))
            case ["panes", "next_terminal"]:
                return len(self.terminals.names) > 1
        return True

    # -- leaving

    def action_leave(self) -> None:
        """Go back to the prompt, to the text, and from there, after a confirmation, to the map."""
        if not self.panes.step_back():
            self._ask_to_leave()

    @on(Terminal.Left)
    def _ask_to_leave(self) -> None:
        from tutor.screens.lesson.dialogs import LeaveLesson

        def chosen(choice: str | bool | None) -> None:
            if choice == "map":
                self.leave_for()

        self.app.push_screen(LeaveLesson(self.setup, self.app.course.saves), chosen)

    @work(group="close")
    async def leave_for(self, lesson: LessonPlace | None = None) -> None:
        """Go to another lesson, or to the map; this one is kept where it is."""
        if not self.closing:
            self.closing = True
            await self.controller.close()
            self.dismiss(lesson)

    async def on_unmount(self) -> None:
        """End the lesson's server however the screen goes."""
        if not self.closing:
            self.closing = True
            await self.controller.close()
