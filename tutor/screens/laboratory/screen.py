"""The laboratory: a cluster whose time the learner starts, pauses and rewinds.

The screen holds a session (`tutor.lab.session`) and draws all panes again after each change: what they show follows
from the present place of the history alone. What can be typed: `tutor.lab.actions`.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.actions import parse
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.events import Event, Key, Paste
from textual.notifications import SeverityLevel
from textual.timer import Timer
from textual.widgets import Input
from textual.worker import Worker

from engine.simulation.actions import ActionError
from engine.simulation.history import History, HistoryError
from tutor.lab.console import last_reply
from tutor.lab.controls import CONTROLS, fill
from tutor.lab.exploring import Exploration
from tutor.lab.expose import FIRST_PORT
from tutor.lab.finding import CHANGE, DECISION, FAILURE, SeekTarget, pattern_of, target_of
from tutor.lab.model import ScenarioSpec
from tutor.lab.session import LabSession
from tutor.lab.shown_log import EventFilter
from tutor.prompt.words import LINE, shorten
from tutor.screens.base import TutorScreen
from tutor.screens.compare import CompareScreen
from tutor.screens.dialogs import ChoiceDialog
from tutor.screens.laboratory.header import LaboratoryHeader
from tutor.screens.laboratory.keeper import Keeper, open_new, open_saved
from tutor.screens.laboratory.live import LivePorts
from tutor.screens.laboratory.pane import Pane
from tutor.screens.laboratory.panes import TITLES, Caption, DetailPane, LaboratoryPanes
from tutor.screens.laboratory.pending import PendingDialog
from tutor.screens.laboratory.player import Player
from tutor.screens.laboratory.prompt import Prompt
from tutor.screens.laboratory.sheet import Sheet
from tutor.screens.laboratory.view import LabView
from tutor.screens.laboratory.watches import WatchBar
from tutor.widgets.keybar import KeyBar

HELP = """\
Time stands still until you start it. **n** runs the scenario's next step. **→** goes to the next event that is shown
and **←** to the previous one; **⇧→** and **⇧←** move by a single event, shown or not. **Space** starts and pauses
time; **+** and **-** make it faster and slower. The line below is the whole history: click it, or use **PgUp** and
**PgDn** to go from step to step, **Home** and **End** to go to its ends.
**↑** and **↓** (or a click) choose a message, and the pane below shows its bytes, or the reasons for a decision.

**/** searches for the next event with some words (`PSYNC refused`, `vote denied`, or `/a pattern/`), and **]** and
**[** go on to the one after and before. `:next decision`, `:next failure`, `:next message A B` and `:next offset
1234` (where that byte was written) seek, too; if it has not happened yet, time runs until it does, for up to 120 s
(**Space** stops it). **y** goes to the cause of the chosen event, **e** to an event by its number. `:filter A -S1
decisions key=user:*` shows only some events, `:filter` all of them. **z** plays events at a pace instead of time at
a speed.

**j** lists what is pending. **Enter** lets an event come next, **h** holds a message, **r** releases it, **l**
lets it arrive later, **d** drops it (TCP sends it again), and **c** sends a client's command twice; also
`:choose 3`, `:hold 3`, `:delay 3 200`. Nothing overtakes what its connection sent before it. `:clock A 60` sets a
clock, and `:disk A full` fills a disk.

`:watch B master_repl_offset` and `:watch A> GET k` show a value at every event and mark its changes; `:next change`
goes to the next one. `:find lost write` tries what could happen from here on, faults among it, until an acknowledged
write is lost, and opens that history as a branch; also `two masters`, `full resync`, `B role = master`,
`A> GET k = v`, `lost write after WAIT 2 by cut crash promote`. Any key stops it.

**⇥** goes from pane to pane (its title is marked); **⇧↑** and **⇧↓** scroll the pane, as the wheel does.

The strokes: `═▶` a snapshot, `━▶` the stream of writes, `··▶` acknowledgements, `─▶` commands and replies, `┄▶` a new
connection, `✗▶` its end; `◆` something in a node, `▌` an action.

**m** (or a click) chooses a node. **c** **h** **d** **k** **s** **p** **o** **f** **r** **a** **w** begin a line for
it, which **Enter** executes (the palette, **^P**, lists all actions); **:** begins an empty line, for
`cut A B silent`, `goto 2.5` (seconds) or `app> SET k v` (a client's command).
For each replica, the cluster shows how many bytes of its history it is *behind*, and its *lag*: what it has not yet
acknowledged to its master (it does so once a second). ▷, ◁ and ▲ mark where the chosen message goes. **l** opens the
lesson that the scenario belongs to.

**g** draws the cluster (a tall screen always does): `╔═╗` a master, `┌─┐` a replica, `╭─╮` a Sentinel; `━▶` a stream
of writes, `╌✂╌` a silent link, `╌½╌` a half-open one, `≈` a slow one; `●` a message on its way, `◆` one that has just
come.
**F5** begins a presentation: few panes and a caption; **PgDn** and **PgUp** go on and back, **b** blanks the screen.
What takes long, such as `wait 86400`, shows its progress; **Esc** stops it.

**v** shows the data: the keys of all nodes side by side, and every acknowledged write with the nodes that have it, in
memory or on disk. A write is *lost* when no master has it any more; **x** goes to the moment at which that happened.
**^S** saves all of it under a name, and **t** writes a note about this moment; the list of scenarios opens what was
saved. `:export FILE.html` writes a page that replays it in a browser (`.txt`, `.svg` and `.cast`: text, a picture, a
recording). `:actions` shows the seed and the actions, to be copied: they give the same history, to the byte.

`:live` puts every node on a port of this machine: real clients and servers connect, time runs as the clock does, and
what comes from outside is recorded. Going back closes the ports first. `:run reader R B` begins a client program, and
`:new 6 chain` another laboratory.

**i** opens a console for the chosen node, as in redis-cli. In both prompts **Tab** completes, and **↑** recalls
previous lines. **u** undoes your last action. If you go back and do something else, that starts a branch: **b** goes
to the next branch, **=** compares two: **←** and **→** step through both at the same time, **d** goes to where other
things are different. You cannot break anything: go back.
"""
AS_THE_CLOCK = "While the ports are open, time runs as the clock does."
FORWARD = ("forward", "event_after", "step_after", "last")
STAYS_S = 86_400.0  # of a message that a key takes away
BEGIN_A_LINE = ("prompt", "begin", "console", "begin_note", "save")  # actions after which is typed
WHILE_WORKING = ("leave", "panes", "data", "app.help")  # what else can be done meanwhile
ONE_BRANCH = "There is only one branch. To start another one, go back and do something else."
IDLE_S = 0.05  # without a key, after which the next step back is prepared
NOTHING_TO_DO = {"next_branch": ONE_BRANCH, "undo": "There is no action to undo."}


def _stops(event: Event) -> bool:
    return isinstance(event, Key) and event.key == "escape"


class LaboratoryScreen(TutorScreen[None]):
    """The laboratory, on one scenario."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = ""
    HELP = HELP
    HELP_TITLE = "The laboratory"
    BINDINGS: ClassVar = [
        Binding("f1,question_mark", "app.help", "help", id="help", key_display="F1"),
        Binding("n", "next", "next", id="lab.next"),
        Binding("right", "travel('forward')", "step", id="lab.step"),
        Binding("left", "travel('back')", "back", id="lab.back"),
        Binding("space", "stop", "stop"),
        Binding("space", "player('toggle')", "play", id="lab.play"),
        Binding("colon", "prompt('')", "type", key_display=":", id="lab.prompt"),
        Binding("i", "console", "console", id="lab.console"),
        Binding("tab", "panes('next_pane')", "pane", key_display="⇥", id="lab.pane"),
        Binding("m", "panes('next_node')", "node", id="lab.node"),
        Binding("u", "travel('undo')", "undo", id="lab.undo"),
        *(
            Binding(
                control.key, f"begin({control.line!r})", control.label, id=f"lab.{control.label.replace(' ', '-')}"
            )
            for control in CONTROLS
            if control.key
        ),
        Binding("b", "branch", "branch", id="lab.branch"),
        Binding("equals_sign", "compare", "compare", key_display="=", id="lab.compare"),
        Binding("plus", "player('faster', 1)", "faster", key_display="+", id="lab.faster"),
        Binding("minus", "player('faster', -1)", "slower", key_display="-", id="lab.slower"),
        Binding("v", "data", "data", id="lab.data"),
        Binding("x", "loss", "loss", id="lab.loss"),
        Binding("g", "topology", "topology", id="lab.topology"),
        Binding("f5", "present", "present", show=False, id="lab.present"),
        Binding("full_stop", "blank", "blank", show=False, id="lab.blank"),
        Binding("slash", "prompt('search ')", "search", key_display="/", id="lab.search"),
        Binding("right_square_bracket", "seek", "next found", key_display="]", id="lab.seek"),
        Binding(
            "left_square_bracket", "seek(False)", "found before", key_display="[", show=False, id="lab.seek-back"
        ),
        Binding("y", "cause", "cause", id="lab.cause"),
        Binding("e", "prompt('event ')", "event", show=False, id="lab.event"),
        Binding("z", "player('change_mode')", "by event", show=False, id="lab.mode"),
        Binding("j", "pending", "pending", show=False, id="lab.pending"),
        Binding("l", "lesson", "lesson", id="lab.lesson"),
        Binding("ctrl+s", "save", "save", key_display="^S", id="lab.save"),
        Binding("t", "begin_note", "note", id="lab.note"),
        Binding("up", "panes('next_event', -1)", "choose", show=False),
        Binding("down", "panes('next_event', 1)", "choose", show=False),
        Binding("shift+tab", "panes('next_pane', -1)", "previous pane", show=False),
        Binding("shift+up", "panes('scroll_current', -1)", "scroll up", show=False),
        Binding("shift+down", "panes('scroll_current', 1)", "scroll down", show=False),
        Binding("shift+left", "travel('event_before')", "one event back", show=False),
        Binding("shift+right", "travel('event_after')", "one event forward", show=False),
        Binding("pageup", "page(-1)", "previous step", show=False),
        Binding("pagedown", "page(1)", "next step", show=False),
        Binding("home", "travel('first')", "first", show=False),
        Binding("end", "travel('last')", "last", show=False),
        Binding("escape", "leave", "leave", id="lab.leave"),
    ]
    CSS = """
    LaboratoryScreen { background: $background; }
    LaboratoryScreen .pane { border: round $rule; border-title-color: $muted; border-subtitle-color: $muted;
        padding: 0 1; scrollbar-size-vertical: 1; }
    LaboratoryScreen .pane.-current { border-title-color: $text-accent; }
    LaboratoryScreen Static { text-wrap: wrap; }
    LaboratoryScreen #messages-text { height: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    LaboratoryScreen #left { width: 42%; }
    LaboratoryScreen #topology { height: 1fr; }
    LaboratoryScreen #topology-text { height: 1fr; text-wrap: nowrap; }
    LaboratoryScreen #cluster { height: 1fr; }
    LaboratoryScreen.-presenting HeaderBar, LaboratoryScreen.-presenting KeyBar { display: none; }
    LaboratoryScreen.-presenting #left { width: 45%; }
    LaboratoryScreen.-presenting .pane { padding: 1 2; }
    LaboratoryScreen.-presenting #say { display: block; height: 6; padding: 1 4; text-style: bold; }
    LaboratoryScreen.-presenting.-narrow #left { width: 100%; }
    LaboratoryScreen.-presenting.-blank LaboratoryPanes, LaboratoryScreen.-presenting.-blank #say { display: none; }
    LaboratoryScreen #backlog { height: auto; margin-top: 1; }
    LaboratoryScreen #writes { height: auto; }
    LaboratoryScreen #story { height: 11; }
    LaboratoryScreen #messages { height: 1fr; }
    LaboratoryScreen #detail, LaboratoryScreen #data { height: 40%; }
    LaboratoryScreen .pane.-hidden { display: none; }
    LaboratoryScreen ToastRack { margin-bottom: 6; }
    LaboratoryScreen #prompt { height: 1; background: $surface; }
    LaboratoryScreen #who { width: auto; padding: 0 0 0 1; color: $text-accent; }
    LaboratoryScreen #line { height: 1; width: 1fr; border: none; padding: 0 1; background: $surface; }
    LaboratoryScreen #say { display: none; height: 2; padding: 0 2; }
    LaboratoryScreen.-narrow #say { display: block; }
    LaboratoryScreen #hint { width: auto; max-width: 60%; height: 1; padding: 0 1; color: $muted; text-wrap: nowrap;
        text-overflow: ellipsis; }
    LaboratoryScreen.-narrow #left { width: 100%; }
    LaboratoryScreen.-narrow #backlog { margin-top: 0; }
    LaboratoryScreen.-narrow #detail, LaboratoryScreen.-narrow #data, LaboratoryScreen.-narrow #story { height: 1fr; }
    LaboratoryScreen.-narrow #left.-hidden, LaboratoryScreen.-narrow #right.-hidden { display: none; }
    """

    def __init__(
        self, spec: ScenarioSpec, history: History | None = None, own: bool = False, port: int | None = None
    ) -> None:
        super().__init__()
        self._port = port  # the first one on which the nodes are shown from the beginning
        self.live: LivePorts | None = None
        self._serving: Worker[None] | None = None
        self.own = own  # whether these are the servers of a lesson
        self.goes_on: tuple[list[dict[str, Any]], dict[str, Any]] | None = None  # the branch for the lesson
        self.session = LabSession(spec, history)
        self.keeper = Keeper(self, self.session)
        self.lessons: tuple[tuple[str, str], ...] = ()  # ID and title of those that the scenario belongs to
        self._idle: Timer | None = None
        self._held: list[Event] = []  # keys, while the laboratory works
        self._offered = False, False, False  # the key that goes to a loss, only few keys, the one that stops
        self._stays = False  # a message that is shown until a key is pressed

    def compose(self) -> ComposeResult:
        """Lay out the laboratory."""
        yield LaboratoryHeader()
        yield WatchBar()
        yield LaboratoryPanes(self.session)
        yield Caption("", id="say")
        yield Player(self.session)
        yield Prompt(self.session)
        yield KeyBar(lines=2)

    @property
    def panes(self) -> LaboratoryPanes:
        """The panes, and what is chosen in them."""
        return self.query_one(LaboratoryPanes)

    @property
    def player(self) -> Player:
        """The line of time."""
        return self.query_one(Player)

    @property
    def prompt(self) -> Prompt:
        """The prompt."""
        return self.query_one(Prompt)

    def on_mount(self) -> None:
        """Draw the beginning."""
        self.set_focus(None)
        self.player.guard = self._in_another_time
        self.call_after_refresh(self.draw)
        if self._port is not None:
            self.call_after_refresh(self.begin_live, self._port)
        self.run_worker(self._find_lessons(), group="lessons")
        if warning := self.session.history.warning:
            title = "Not all of it could be opened"
            self.notify(warning, title=title, severity="warning", timeout=15, markup=False)

    async def _find_lessons(self) -> None:
        """Find the lessons that the scenario belongs to; the course may have to be read first."""
        self.lessons = await asyncio.to_thread(self.app.course.lessons_of_scenario, self.session.spec.id)
        self.refresh_bindings()
        self.draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the lesson where there is one, and `+` and `-` only where they are not typed."""
        if self.is_mounted and self.player.working and action not in WHILE_WORKING:
            return False
        if action == "player" and parameters[0] == "faster":
            return not isinstance(self.focused, Input)
        if action == "stop":
            return self.is_mounted and self.player.playing is not None
        if action == "next":
            return bool(self.session.spec.steps)
        if action == "loss":
            return self.is_mounted and bool(self.session.losses)
        return bool(self.lessons) if action == "lesson" else True

    def commands(self) -> Iterator[SystemCommand]:
        """Yield what the palette offers here: everything that can be done, with a key or without."""
        if self.session.spec.steps:
            yield SystemCommand("Next step", "Run the next step of the scenario", self.action_next)
        yield SystemCommand("Play or pause", "Let time run, or stop it", partial(self.action_player, "toggle"))
        yield SystemCommand("Faster", "Let time run ten times as fast", partial(self.action_player, "faster", 1))
        yield SystemCommand(
            "Slower", "Let time run at a tenth of its speed", partial(self.action_player, "faster", -1)
        )
        for by, way in ((-1, "up"), (1, "down")):
            pane = TITLES[self.panes.current]
            told = f"Scroll the pane {pane}, or move on in it (⇧{'↑' if by < 0 else '↓'})"
            yield SystemCommand(f"Scroll {way}", told, partial(self.panes.scroll_current, by))
        if self.own:
            told = "Go on in the lesson with the servers as they are here (:to-lesson)"
            yield SystemCommand("Continue the lesson from here", told, self.action_continue)
        if self.live is not None:
            yield SystemCommand("Close the ports", "Disconnect the outside (:live off)", self.end_live)
        elif not self.own:
            told = "Let real clients and servers connect to the nodes (:live)"
            yield SystemCommand("Open ports", told, partial(self.begin_live, FIRST_PORT))
        yield SystemCommand("Topology", "Draw the cluster, or describe it again (g)", self.action_topology)
        yield SystemCommand("Present", "Few panes, wide spacing and a caption (F5)", self.action_present)
        yield SystemCommand("Play by event", "Play events at a pace, or time at a speed (z)",
                            partial(self.action_player, "change_mode"))  # fmt: skip
        for kind in (DECISION, FAILURE):
            yield SystemCommand(f"Next {kind}", f"Let time run until then (:next {kind}), and ] for the one after",
                                partial(self._seek, SeekTarget(kind)))  # fmt: skip
        for title, told, line in (
            ("Next message", "The next message between two machines", "next message "),
            ("Next offset", "Where a byte of the replication stream was written", "next offset "),
            ("Search", "The next event that has these words (/)", "search "),
            ("Find", "A history in which a condition holds: a lost write, two masters … (:find lost write)", "find "),
            ("Watch", "Show a field of INFO or a reply at every event (:watch B master_repl_offset)", "watch "),
            ("Filter", "Show what has to do with some nodes, kinds of events, or keys", "filter "),
            ("Event", "Go to an event by its number (e)", "event "),
        ):
            yield SystemCommand(title, told, partial(self.action_prompt, line))
        told = "Choose what comes next; hold, delay, drop or duplicate a message (j)"
        yield SystemCommand("Pending events", told, self.action_pending)
        yield SystemCommand("Cause", "Go to the event that the chosen one came of (y)", self.action_cause)
        yield SystemCommand("Undo", "Undo the last action", partial(self.action_travel, "undo"))
        yield SystemCommand("Console", f"Type commands to {self.panes.node}, as in redis-cli", self.action_console)
        if self.lessons:
            lesson = f"Go to “{self.lessons[0][1]}”, which this scenario belongs to"
            yield SystemCommand("Lesson", lesson, self.action_lesson)
        yield SystemCommand("Data", "Keys of all nodes side by side, and who has which write (v)", self.action_data)
        if self.session.losses:
            yield SystemCommand("Loss", "Go to the moment at which writes were lost (x)", self.action_loss)
        yield SystemCommand("Save", "Save all of it under a name (:save NAME)", self.action_save)
        yield SystemCommand("Note", "Write something down about this moment (:note TEXT)", self.action_begin_note)
        told = "Write text, a picture, a page that replays it, or a recording (:export FILE.html)"
        yield SystemCommand("Export", told, partial(self.action_prompt, f"export {self.keeper.suggestion}.html"))
        told = "Nodes in a star, a chain or two data centers, Sentinels, a cluster, or from files (:new 6 chain)"
        yield SystemCommand("New laboratory", told, partial(self.action_prompt, "new 3"))
        yield SystemCommand("Seed and actions", "Show them as text, to be copied (:actions)", self.action_recipe)
        to_branch = partial(self.action_travel, "next_branch")
        yield SystemCommand("Next branch", "Go to the end of another branch", to_branch)
        yield SystemCommand("Compare branches", "Show two branches side by side", self.action_compare)
        for control in CONTROLS:
            told = f"{control.about} ({control.key})" if control.key else control.about
            yield SystemCommand(control.label.capitalize(), told, partial(self.action_begin, control.line))

    # -- drawing

    def draw(self) -> None:
        """Draw all of it from the present place."""
        session, panes = self.session, self.panes
        session.read()
        view = LabView(session, panes.row, panes.node, self.prompt.talking, self.lessons, self.player.state)
        panes.show_view(view)
        if self._held and not self.player.working:
            self._take_held()
        offered = bool(session.losses), self.player.working, self.player.playing is not None
        if self._offered != offered:
            self._offered = offered
            self.refresh_bindings()
        self.query_one(Caption).show_view(view)
        self.player.show_view(view)
        self.query_one(WatchBar).show_view(view)
        self.query_one(LaboratoryHeader).show_view(view)

    def on_resize(self) -> None:
        """Fit it."""
        self.call_after_refresh(self.draw)

    @on(Prompt.Executed)
    def _executed(self) -> None:
        """Show another place, and the reply if no pane in sight shows it: a long one in the console."""
        self.changed()
        talking, chosen = self.prompt.talking, self.panes.current
        if not talking or not self.has_class("-narrow") or chosen == "detail":
            return
        reply = last_reply(self.session.history, talking)
        if len(reply) > 1 or len("".join(reply)) > LINE:
            self.panes.choose_pane("detail")
        elif reply and chosen != "messages":
            told = reply[0].removeprefix("(error)").strip()
            severity: SeverityLevel = "information" if told == reply[0] else "warning"
            self.notify(told, title=f"{talking} replies; Esc leaves", severity=severity, markup=False)

    @on(Player.Moved)
    def changed(self) -> None:
        """Show another place, record it, and prepare the step back from it when the screen is idle."""
        self.panes.event = -1
        self.draw()
        self.keeper.keep()
        if self._idle is not None:
            self._idle.stop()
        if self.player.playing is None:
            self._idle = self.set_timer(IDLE_S, self.session.history.prepare)

    @on(LaboratoryPanes.Chosen)
    def _chosen(self, message: LaboratoryPanes.Chosen) -> None:
        if message.node and self.prompt.talking:
            self.prompt.talk_to(message.node)  # an open console follows
        self.draw()

    @on(Prompt.Left)
    def _prompt_left(self) -> None:
        self.draw()

    # -- what the learner does

    def action_panes(self, method: str, *arguments: int) -> None:
        """Have the panes choose something."""
        getattr(self.panes, method)(*arguments)

    def action_player(self, method: str, *arguments: int) -> None:
        """Let time run, or otherwise than it does."""
        if self.live is not None and method == "toggle":
            self.end_live()  # time stands still then
        elif self.live is not None:
            self.notify(AS_THE_CLOCK, timeout=3)
        else:
            getattr(self.player, method)(*arguments)
            self.draw()

    def action_stop(self) -> None:
        """Stop the time, or what is sought."""
        self.action_player("toggle")

    def action_travel(self, how: str) -> None:
        """Go through time, as a method of the session does."""
        if self.live is not None and how in FORWARD and not self.session.history.in_past:
            self.notify(AS_THE_CLOCK, timeout=3)
        else:
            self._in_another_time(partial(self._travel, how))

    def _travel(self, how: str) -> None:
        try:
            if getattr(self.session, how)() is False:
                self.notify(NOTHING_TO_DO[how])
        except (ActionError, HistoryError) as error:
            self.notify(str(error), severity="warning", markup=False)
        self.changed()

    def action_next(self) -> None:
        """Do the scenario's next step."""
        if self.session.over:
            self.notify("The scenario is over.")
            return

        def done(wrong: list[str]) -> None:
            for text in wrong:
                self.notify(text, title="Different from the scenario", severity="warning", markup=False)
            self.changed()

        label = f"step {self.session.runner.done + 1}"
        self.player.perform(self.session.next_step_work(), label, done, lambda error: done([str(error)]))

    def action_topology(self) -> None:
        """Draw the cluster, or describe it again."""
        self.panes.choose_pane("cluster" if self.panes.upper == "topology" else "topology")

    def action_branch(self) -> None:
        """Go to the next branch; in a presentation the key makes the screen blank."""
        if self.has_class("-presenting"):
            self.action_blank()
        else:
            self.action_travel("next_branch")

    # -- presenting

    def action_present(self) -> None:
        """Begin or end a presentation: few panes, wide spacing, a caption, and the keys of a remote control."""
        self.toggle_class("-presenting")
        self.remove_class("-blank")
        if self.has_class("-presenting"):
            self.notify(
                "PgDn and PgUp go on and back, b or . blanks the screen, Esc ends the presentation.", timeout=4
            )
        self.refresh_bindings()
        self.draw()
        self.call_after_refresh(self.draw)

    def action_blank(self) -> None:
        """Show nothing in a presentation, or all of it again."""
        if self.has_class("-presenting"):
            self.toggle_class("-blank")

    def action_page(self, by: int) -> None:
        """Go to where the next step ends or began, or the one before; a presentation goes on with the scenario."""
        session = self.session
        if by < 0:
            self.action_travel("step_before")
        elif self.has_class("-presenting") and not any(mark > session.history.place for mark in session.marks):
            self.action_next()
        else:
            self.action_travel("step_after")

    def action_data(self) -> None:
        """Show the data, or the bytes and reasons again."""
        self.panes.choose_pane("detail" if self.panes.lower == "data" else "data")

    def action_loss(self) -> None:
        """Go to the moment at which writes were lost: the last one, then those before."""
        if (number := self.session.last_loss()) is not None:
            self._go_to(number)

    @on(Pane.MomentChosen)
    def _moment_chosen(self, message: Pane.MomentChosen) -> None:
        if not self.player.working:
            self._go_to(message.event)

    def _go_to(self, number: int) -> None:
        """Go to the moment after an event, and choose that event."""
        self._in_another_time(partial(self._be_at, number))

    def _be_at(self, number: int) -> None:
        try:
            self.session.goto_event(number)
        except HistoryError as error:
            self.notify(str(error), severity="warning", markup=False)
        self.changed()
        self.panes.choose_moment(number)

    def action_pending(self) -> None:
        """Show what is pending: choose what comes next, hold, delay, drop and duplicate messages."""
        self._in_another_time(self._show_pending)

    def _show_pending(self) -> None:
        self.player.stop()

        def closed(line: str | None) -> None:
            if line is not None:
                self.action_prompt(line)

        self.app.push_screen(PendingDialog(self.session, self.changed), closed)

    def _do_pending(self, _: str) -> None:
        self.action_pending()

    def action_compare(self) -> None:
        """Show two branches side by side."""
        if len(self.session.history.branches) < 2:
            self.notify(ONE_BRANCH)
            return
        self.app.push_screen(CompareScreen(self.session.history, self.session.log.letters))

    def on_key(self, event: Key) -> None:
        """Give the prompt the keys that it has not got by itself.

        A key that begins a line does so at once: as a binding it would come after those typed in one burst with it.
        """
        self.prompt.take(event)
        if self.focused is not None or self.prompt.active:
            return
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            _, name, parameters = parse(binding.action)
            if name in BEGIN_A_LINE and self.check_action(name, parameters):
                getattr(self, f"action_{name}")(*parameters)
                event.stop()
                event.prevent_default()
                return

    def _forward_event(self, event: Event) -> None:
        """Hold the keys that are typed while the laboratory works, except Esc: they are taken when it is done."""
        if self._stays and isinstance(event, Key):
            self._stays = False
            self.app.clear_notifications()
        if self.is_mounted and self.player.working and self.player.any_key and isinstance(event, Key):
            self.action_leave()
        elif self.is_mounted and self.player.working and isinstance(event, Key | Paste) and not _stops(event):
            self._held.append(event)
        else:
            super()._forward_event(event)

    def _take_held(self) -> None:
        held, self._held = self._held, []
        for event in held:
            self.app.post_message(event)

    def action_prompt(self, text: str) -> None:
        """Begin a line."""
        self.prompt.begin(text)
        self.draw()

    def action_begin(self, text: str) -> None:
        """Begin a line for the chosen node."""
        self.action_prompt(fill(text, self.session.world, self.panes.node, self.session.spec.clients))

    def action_console(self) -> None:
        """Talk to the chosen node."""
        self.prompt.begin("", talking=self.panes.node)
        self.panes.lower = "detail"
        if self.has_class("-narrow"):
            self.panes.choose_pane("detail")
        self.draw()

    # -- finding the way

    def _seek(self, target: SeekTarget) -> None:
        self.session.target = target
        self.action_seek()

    def _do_next(self, text: str) -> None:
        self._seek(target_of(text, list(self.session.world.machines)))

    def _do_search(self, text: str) -> None:
        self._seek(pattern_of(text))

    def _do_find(self, text: str) -> None:
        """Seek a history in which a condition holds; what is found opens as a branch."""
        self._in_another_time(partial(self._find_history, text))

    def _find_history(self, text: str) -> None:
        def done(found: Exploration) -> None:
            self.changed()
            if not found.branch:
                self.notify(found.told, title="Not found: press any key", timeout=STAYS_S, markup=False)
                self._stays = True
                return
            about = f"{found.told} :actions shows all of its actions, to be copied; u goes back."
            self.app.push_screen(Sheet(f"Found: {found.sought.text}", "\n".join(found.moves), about))

        self.player.perform(self.session.find_work(text), "find", done, self._not_possible, any_key=True)

    def _no_change(self, error: Exception) -> None:
        self.changed()
        self.notify(shorten(str(error), LINE), markup=False)

    def _do_watch(self, text: str) -> None:
        self.session.watches.add(text, self.session.history)
        self.draw()
        self.keeper.keep()

    def _do_unwatch(self, text: str) -> None:
        self.session.watches.remove(text)
        self.draw()
        self.keeper.keep()

    def _not_possible(self, error: Exception) -> None:
        self.notify(shorten(str(error), LINE), title="Not possible", severity="warning", markup=False)

    def _do_event(self, text: str) -> None:
        if not text.isdigit():
            raise ActionError("event NUMBER")
        last = len(self.session.history.trace) - 1
        if int(text) > last:
            raise ActionError(f"there is no event {text}: the last one is {last}")
        self._go_to(int(text))

    def _do_filter(self, text: str) -> None:
        self.session.shown.choose(EventFilter.parse(text, self.session.world.machines))
        self.panes.event = -1
        self.draw()

    def action_seek(self, forward: bool = True) -> None:
        """Go to the next event, or the one before, that is sought; beyond what is known, time runs until it comes."""
        self._in_another_time(partial(self._seek_from_here, forward))

    def _seek_from_here(self, forward: bool) -> None:
        self.player.stop()
        if self.session.target.kind == CHANGE:
            work = self.session.watches.change_work(self.session.history, forward)
            self.player.perform(work, "next change", lambda _: self.changed(), self._no_change)
            return
        try:
            found = self.session.seek(forward)
        except HistoryError as error:
            self.notify(str(error), severity="warning", markup=False)
            return
        if found >= 0:
            self.changed()
            self.panes.choose_moment(found)
        elif forward:
            self.session.history.end()
            self.player.seek()
            self.draw()
        else:
            self.notify(f"There is no {self.session.target.told} before this.", markup=False)

    @on(Player.Found)
    def _found(self) -> None:
        """Go from the end of the slice in which it was found back to its moment."""
        session = self.session
        session.history.goto(session.sought_from)
        found = session.seek()
        self.changed()
        self.panes.choose_moment(found)

    @on(DetailPane.CauseChosen)
    def action_cause(self) -> None:
        """Go to the event that the chosen one came of."""
        row = self.panes.row
        cause = self.session.log.cause(self.session.shown.number(row)) if row >= 0 else -1
        if cause < 0:
            self.notify("It came of nothing that is shown.")
        else:
            self._go_to(cause)

    # -- real ports

    def _do_live(self, text: str) -> None:
        if text == "off" and self.live is not None:
            self.end_live()
        elif text and not (text.isascii() and text.isdigit() and int(text[:6]) < 65536):
            raise ActionError("live [PORT | off]")
        else:
            self.begin_live(int(text) if text else FIRST_PORT)

    def begin_live(self, first_port: int) -> None:
        """Put the nodes on real ports; from now on time runs as the clock does."""
        if self.own:
            self.notify("The servers of a lesson have ports of their own: see the lesson.", markup=False)
            return
        if self.live is not None:
            self.notify("The ports are open already: the cluster shows them.", markup=False)
            return
        self.player.stop()
        try:
            self.live = LivePorts(self.session, first_port, partial(self.notify, title="Ports", markup=False))
        except (OSError, ActionError) as error:
            self.notify(str(error), title="The ports stay closed", severity="error", timeout=10, markup=False)
            self.changed()
            return
        self._serving = self.run_worker(self.live.serve(self._lived, self._is_busy), group="live")
        ports = list(self.live.exposition.ports.items())
        told = f"redis-cli -p {ports[0][1]} speaks to {ports[0][0]}." if ports else "No node runs."
        self.notify(
            f"{told} Going back in time closes the ports.", title="The ports are open", timeout=5, markup=False
        )
        self._lived()

    def _is_busy(self) -> bool:
        """Return whether something else changes the history, or the screen ends."""
        return not self.query(Player) or self.player.working

    def _lived(self) -> None:
        """Show what has come from outside, and record it."""
        if self.live is not None and self.query(Player):
            self.player.live = self.live.state
            self.draw()
            self.keeper.keep()

    def end_live(self) -> None:
        """Close the ports, after a question if somebody is connected."""
        self._in_another_time(self.draw)

    def _in_another_time(self, then: Callable[[], None]) -> None:
        """Do what the outside cannot take part in: the ports are closed first, after a question if they are used."""
        live = self.live
        if live is None:
            then()
            return
        if not live.exposition.outsiders:
            self._close_ports()
            self.notify("The ports are closed: :live opens them again.", timeout=4, markup=False)
            then()
            return

        def chosen(choice: str | bool | None) -> None:
            if choice == "close":
                self._close_ports()
                then()

        text = f"{live.who} will be closed: the outside cannot go back. What it did stays in the history."
        choices = [("stay", "Stay"), ("close", "Disconnect, and close the ports")]
        self.app.push_screen(ChoiceDialog("Disconnect the outside?", text, choices), chosen)

    def _close_ports(self) -> None:
        live, self.live = self.live, None
        if live is None:
            return
        if self._serving is not None:
            self._serving.cancel()
        self._serving, self.player.live = None, ""
        live.close()
        self.changed()

    # -- keeping it

    @on(Prompt.Asked)
    def _asked(self, message: Prompt.Asked) -> None:
        """Do what a line about the laboratory says."""
        try:
            getattr(self, f"_do_{message.verb.replace('-', '_')}")(message.rest)
        except (ActionError, HistoryError) as error:
            self._not_possible(error)

    def _do_save(self, name: str) -> None:
        self.keeper.save(name)

    def _do_note(self, text: str) -> None:
        self.session.note(text)
        self.draw()
        self.keeper.keep()

    def _do_open(self, name: str) -> None:
        self.run_worker(open_saved(self.app, name))

    def _do_new(self, text: str) -> None:
        self.run_worker(open_new(self.app, text))

    def _do_export(self, name: str) -> None:
        self.run_worker(self.keeper.export(name), group="export")

    def _do_actions(self, _: str) -> None:
        self.action_recipe()

    def action_save(self) -> None:
        """Save under the name that it has, or begin a line with a name for it."""
        if self.session.title:
            self.keeper.save("")
        else:
            self.prompt.begin(f"save {self.keeper.suggestion}", replaced=len("save "))
            self.draw()

    def action_begin_note(self) -> None:
        """Begin a line with a note about this place, or change the one that it has."""
        history = self.session.history
        here = (history.branch_name, history.place)
        text = next((note.text for note in self.session.notes if (note.branch, note.place) == here), "")
        self.action_prompt(f"note {text}")

    def action_recipe(self) -> None:
        """Show the seed and the actions, to be copied."""
        about = "Paste it into `redis-tutor lab --open -`, or open a file that holds it."
        self.app.push_screen(Sheet("Seed and actions", self.session.recipe(), about))

    def on_unmount(self) -> None:
        """Close the ports, and end the journal."""
        if self.live is not None:
            if self._serving is not None:
                self._serving.cancel()
            self.live.close()
            self.live = None
            self.keeper.keep()
        self.keeper.end()

    def _do_to_lesson(self, _: str) -> None:
        self.action_continue()

    def action_continue(self) -> None:
        """Go on with the lesson from the present place of this branch."""
        if not self.own:
            self.notify("Only the servers of a lesson can go on in it: F12 in the lesson opens them.")
            return
        history = self.session.history
        self.goes_on = history.line_until_here()
        self.session.worked = False
        self.dismiss()

    def action_lesson(self) -> None:
        """Go to the lesson that the scenario belongs to: back to it, or into it."""
        from tutor.screens.lesson import LessonScreen

        came_from_one = any(isinstance(screen, LessonScreen) for screen in self.app.screen_stack)

        def leave() -> None:
            self.app.ends_with_laboratory = False
            self.dismiss()
            if not came_from_one:
                self.app.open_lesson(self.lessons[0][0])

        self.keeper.ask(leave)

    def action_leave(self) -> None:
        """Leave the prompt, stop seeking, or leave the laboratory."""
        if self.player.seeking:
            if self.player.any_key:
                self.notify("Stopped. Nothing has changed.")
            elif self.player.working:
                self.notify("Stopped. What was done stays; u takes it back.")
                self._held.clear()
            self.player.stop()
            self.refresh_bindings()
            self.changed()
        elif self.has_class("-presenting") and not self.prompt.active:
            self.action_present()
        elif self.prompt.active:
            self.prompt.action_leave()
        else:
            leave = partial(self.keeper.ask, self._end, self.action_continue if self.own else None)
            self._in_another_time(leave)

    def _end(self) -> None:
        """Go back to where the laboratory was opened; the command that opened it ends."""
        is_first = sum(isinstance(screen, LaboratoryScreen) for screen in self.app.screen_stack) == 1
        if is_first and self.app.ends_with_laboratory:
            self.app.exit()
        else:
            self.dismiss()
