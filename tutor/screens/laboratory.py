"""The laboratory: a cluster that stands still until the learner lets time go on, and goes back as easily.

The screen holds a `Stage` (a scenario on a history) and draws it anew after each change: all of it follows from
the present place of the history alone, so that going back needs no undoing. What can be typed: `tutor.lab.actions`.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import ClassVar

from textual import work
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Key
from textual.timer import Timer
from textual.widgets import Input, Static
from textual.worker import Worker

from engine.sentinel.role import SentinelRole
from engine.simulation.actions import ActionError
from engine.simulation.history import History, HistoryError
from engine.simulation.state import look, look_applications, look_beliefs, look_links
from engine.simulation.world import BEGINNING_US
from tutor.lab import completer as assist
from tutor.lab import drawing
from tutor.lab.actions import carry_out
from tutor.lab.console import transcript
from tutor.lab.controls import CONTROLS, fill
from tutor.lab.drawing import Text
from tutor.lab.event_log import Account
from tutor.lab.format import clock
from tutor.lab.model import ScenarioSpec
from tutor.lab.runner import SETTLE_US, Stage
from tutor.lab.sequence_diagram import Lanes
from tutor.prompt.words import LINE, shorten
from tutor.screens.base import TutorScreen
from tutor.screens.compare import CompareScreen
from tutor.screens.drawn import Drawn
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar
from tutor.widgets.timeline import Timeline

HELP = """\
Time stands still until you let it go on. **n** does the scenario's next step; **→** goes on to the next event and
**←** back by one; **Space** lets time run, and stops it; **+** and **-** make it faster and slower. The line below
is the whole history: click it, or go with **PgUp** and **PgDn** from step to step, **Home** and **End** to its ends.
**↑** and **↓** (or a click) choose a message, and the pane below opens it: its bytes, or a decision's reasons.

**⇥** goes from pane to pane (its title is marked); **⇧↑** and **⇧↓** scroll the pane, as the wheel does.

The strokes: `═▶` a snapshot, `━▶` the stream of writes, `··▶` acknowledgements, `─▶` commands and replies, `┄▶` a new
connection, `✗▶` its end; `◆` something in a node, `▌` an action.

**m** (or a click) chooses a node. **c** **h** **d** **k** **s** **p** **o** **f** **r** **a** **w** begin a line for
it, which **Enter** carries out (all that can be done is in the palette, **^P**); **:** begins an empty line, for
`cut A B silent`, `goto 2.5` (seconds) or `app> SET k v` (a client's command).
What the cluster shows of a replica: how many bytes of its history it is *behind*, and its *lag*, what its master has
not heard it acknowledge (it does so once a second). ▷, ◁ and ▲ mark where the chosen message goes. **l** opens the
lesson that the scenario belongs to.

**i** talks to the chosen node as redis-cli does. In both prompts **Tab** completes, and **↑** brings back what was
typed. **u** takes your last action back; going back and doing something else starts a branch: **b** goes to the next
branch, **=** compares. Nothing breaks: go back.
"""
PLACEHOLDER = "cut A B silent · crash A · A> INFO replication · app> SET k v · goto 2.5"
ONE_BRANCH = "There is one branch. Go back and do something else: that starts another one."
TICK_S = 0.1  # between two pictures while time runs
BUSY_S = 0.01  # the longest that running time may keep a key waiting (a checkpoint may come to it)
IDLE_S = 0.05  # after which nobody waits, and the next step back is made ready
SCROLL_LINES = 3
SPEEDS = (0.001, 0.01, 0.1, 1, 10, 100)
TITLES = {"cluster": "Cluster", "messages": "Messages", "detail": "Bytes and reasons", "story": "Scenario"}
PANES = tuple(TITLES)


class LaboratoryScreen(TutorScreen[None]):
    """The laboratory, on one scenario."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = ""
    HELP = HELP
    HELP_TITLE = "The laboratory"
    BINDINGS: ClassVar = [
        Binding("f1,question_mark", "app.help", "help", id="help", key_display="F1"),
        Binding("n", "next", "next step", id="lab.next"),
        Binding("right", "step", "step", id="lab.step"),
        Binding("left", "back", "back", id="lab.back"),
        Binding("space", "play", "play", id="lab.play"),
        Binding("colon", "prompt('')", "type", key_display=":", id="lab.prompt"),
        Binding("i", "console", "console", id="lab.console"),
        Binding("tab", "pane", "pane", key_display="⇥", id="lab.pane"),
        Binding("m", "mark", "node", id="lab.node"),
        Binding("u", "undo", "undo", id="lab.undo"),
        *(
            Binding(
                control.key, f"begin({control.line!r})", control.label, id=f"lab.{control.label.replace(' ', '-')}"
            )
            for control in CONTROLS
            if control.key
        ),
        Binding("b", "branch", "branch", id="lab.branch"),
        Binding("equals_sign", "compare", "compare", key_display="=", id="lab.compare"),
        Binding("plus", "speed(1)", "faster", key_display="+", id="lab.faster"),
        Binding("minus", "speed(-1)", "slower", key_display="-", id="lab.slower"),
        Binding("l", "lesson", "lesson", id="lab.lesson"),
        Binding("up", "choose(-1)", "choose", show=False),
        Binding("down", "choose(1)", "choose", show=False),
        Binding("shift+tab", "pane(-1)", "pane before", show=False),
        Binding("shift+up", "scroll(-1)", "scroll up", show=False),
        Binding("shift+down", "scroll(1)", "scroll down", show=False),
        Binding("pageup", "jump(-1)", "step before", show=False),
        Binding("pagedown", "jump(1)", "step after", show=False),
        Binding("home", "goto(0)", "first", show=False),
        Binding("end", "goto(-1)", "last", show=False),
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
    LaboratoryScreen #cluster { height: 1fr; }
    LaboratoryScreen #backlog { height: auto; margin-top: 1; }
    LaboratoryScreen #story { height: 11; }
    LaboratoryScreen #messages { height: 1fr; }
    LaboratoryScreen #detail { height: 40%; }
    LaboratoryScreen #prompt { height: 1; background: $surface; }
    LaboratoryScreen #who { width: auto; padding: 0 0 0 1; color: $text-accent; }
    LaboratoryScreen #line { height: 1; width: 1fr; border: none; padding: 0 1; background: $surface; }
    LaboratoryScreen #say { display: none; height: 2; padding: 0 2; }
    LaboratoryScreen.-narrow #say { display: block; }
    LaboratoryScreen #hint { width: auto; max-width: 60%; height: 1; padding: 0 1; color: $muted; text-wrap: nowrap;
        text-overflow: ellipsis; }
    LaboratoryScreen.-narrow #left { width: 100%; }
    LaboratoryScreen.-narrow #backlog { margin-top: 0; }
    LaboratoryScreen.-narrow #detail, LaboratoryScreen.-narrow #story { height: 1fr; }
    LaboratoryScreen.-narrow .pane.-hidden { display: none; }
    LaboratoryScreen.-narrow #left.-hidden, LaboratoryScreen.-narrow #right.-hidden { display: none; }
    """

    def __init__(self, spec: ScenarioSpec, history: History | None = None) -> None:
        super().__init__()
        self.stage = Stage(spec, history=history)
        self.account = Account(self.stage.history)
        self.worked = False  # whether something was done that leaving would lose
        self.chosen = -1  # a row; -1: the last
        self.pane = PANES[0]
        self.node = next(iter(self.stage.history.world.hosts), "")
        self.playing: Worker[None] | None = None
        self.idle: Timer | None = None
        self.speed = SPEEDS.index(1)
        self.talking = ""  # whose console is open
        self.before: list[tuple[str, int]] = []  # branch and place before each action, to take it back
        self.typed: list[str] = []  # at the prompt, the last at the end
        self.recalled = 0  # which of them is shown again
        self.offers: list[str] = []  # what the line may become
        self.owners: list[str] = []  # whose each row of the cluster's pane is
        self.first = 0  # the message that is shown first
        self.lessons: tuple[tuple[str, str], ...] = ()  # id and title of those that the scenario stages

    def compose(self) -> ComposeResult:
        """Lay out the laboratory."""
        yield HeaderBar()
        with Horizontal():
            with Vertical(id="left"):
                with VerticalScroll(id="cluster", classes="pane", can_focus=False):
                    yield Drawn("", id="cluster-text")
                    yield Drawn("", id="backlog")
                with VerticalScroll(id="story", classes="pane", can_focus=False):
                    yield Drawn("", id="story-text")
            with Vertical(id="right"):
                with Vertical(id="messages", classes="pane"):
                    yield Drawn("", id="messages-text")
                with VerticalScroll(id="detail", classes="pane", can_focus=False):
                    yield Drawn("", id="detail-text")
        yield Drawn("", id="say")
        yield Timeline()
        with Horizontal(id="prompt"):
            yield Static(":", id="who")
            yield Input(id="line", placeholder=PLACEHOLDER, select_on_focus=False)
            yield Static("", id="hint", markup=False)
        yield KeyBar(lines=2)

    def on_mount(self) -> None:
        """Draw the beginning."""
        for name, title in TITLES.items():
            self.query_one(f"#{name}").border_title = title
        self.set_focus(None)
        self.call_after_refresh(self.draw)
        self.find_lessons()

    @work(group="lessons")
    async def find_lessons(self) -> None:
        """Find the lessons that the scenario stages; the course may have to be read first."""
        course = self.app.course
        self.lessons = await asyncio.to_thread(course.lessons_staged, self.stage.spec.id)
        self.refresh_bindings()
        self.draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the lesson where there is one, and `+` and `-` only where they are not typed."""
        if action == "speed":
            return not isinstance(self.focused, Input)
        return bool(self.lessons) if action == "lesson" else True

    def on_resize(self) -> None:
        """Fit it."""
        self.call_after_refresh(self.draw)

    def commands(self) -> Iterator[SystemCommand]:
        """Yield what the palette offers here: everything that can be done, with a key or without."""
        yield SystemCommand("Next step", "Do the scenario's next step", self.action_next)
        yield SystemCommand("Play or pause", "Let time run, or stop it", self.action_play)
        yield SystemCommand("Faster", "Let time run ten times as fast", partial(self.action_speed, 1))
        yield SystemCommand("Slower", "Let time run at a tenth of its speed", partial(self.action_speed, -1))
        for by, way in ((-1, "up"), (1, "down")):
            told = f"Scroll the pane {TITLES[self.pane]}, or move on in it (⇧{'↑' if by < 0 else '↓'})"
            yield SystemCommand(f"Scroll {way}", told, partial(self.action_scroll, by))
        yield SystemCommand("Undo", "Take the last action back", self.action_undo)
        yield SystemCommand("Console", f"Talk to {self.node} as redis-cli does", self.action_console)
        if self.lessons:
            yield SystemCommand(
                "Lesson", f"Go to “{self.lessons[0][1]}”, which this scenario stages", self.action_lesson
            )
        yield SystemCommand("Next branch", "Go to the end of another branch", self.action_branch)
        yield SystemCommand("Compare branches", "Show two branches side by side", self.action_compare)
        for control in CONTROLS:
            told = f"{control.told} ({control.key})" if control.key else control.told
            yield SystemCommand(control.label.capitalize(), told, partial(self.action_begin, control.line))

    # -- drawing

    def draw(self) -> None:
        """Draw everything anew from the present place."""
        history, spec = self.stage.history, self.stage.spec
        self.account.read(self.stage.history)
        nodes = look(history.world)
        if self.node not in nodes:
            self.node = next(iter(nodes), self.node)  # before the first event there is none
        width = max(20, self.query_one("#cluster").size.width - 2)
        letters = self.account.letters
        chosen = self.account.chosen(self._selected())
        watching = [name for name, host in history.world.hosts.items() if host.role is SentinelRole]
        rows, self.owners = drawing.cluster(nodes, letters, self.node, chosen, width, watching)
        if watching:
            beliefs = look_beliefs(history.world)
            more, owners = drawing.sentinels(nodes, beliefs, watching, self.node, chosen, width)
            rows, self.owners = [*rows, [("Sentinels", "strong")], *more], [*self.owners, self.node, *owners]
        running = drawing.applications(nodes, look_applications(history.world))
        if running:
            rows = [*rows, [("Applications", "strong")], *running]
        ways = drawing.links(look_links(history.world), chosen, [*watching, *history.world.applications])
        self._set("cluster-text", [*rows, [("Links", "strong")], *ways] if ways else rows)
        bar: list[Text] = [[("Backlog", "strong")], *drawing.backlog(nodes, width, chosen)]
        self._set("backlog", bar)
        self._draw_messages()
        self._draw_detail()
        story = drawing.story(spec, self.stage.done, [title for _, title in self.lessons])
        self._set("story-text", story)
        self._set("say", story[:1])
        self.query_one(Timeline).show(history.place, len(history.trace), self._marks())
        state = f"▶ ×{SPEEDS[self.speed]:g}" if self.playing else "‖ paused"
        last = len(history.trace)
        right = f"t {clock(history.world.now_us)} s  event {history.place} of {last}  {state}  {history.branch_name}"
        self.query_one(HeaderBar).show(f"Laboratory › {spec.title}", right)
        narrow = self.has_class("-narrow")
        for name in PANES:
            pane = self.query_one(f"#{name}")
            pane.set_class(narrow and name != self.pane, "-hidden")
            pane.set_class(name == self.pane, "-current")
            others = [TITLES[each] for each in PANES[PANES.index(name) + 1 :] + PANES[: PANES.index(name)]]
            pane.border_subtitle = "⇥ " + " · ".join(others) if narrow else ""
        self.query_one("#left").set_class(narrow and self.pane not in ("cluster", "story"), "-hidden")
        self.query_one("#right").set_class(narrow and self.pane in ("cluster", "story"), "-hidden")

    def _set(self, name: str, rows: list[Text]) -> None:
        self.query_one(f"#{name}", Drawn).draw(rows)

    def _marks(self) -> list[int]:
        return sorted({span.began for span in self.stage.spans} | {span.ended for span in self.stage.spans})

    def _selected(self) -> int:
        count = self.account.count
        return count - 1 if self.chosen < 0 or self.chosen >= count else self.chosen

    def _draw_messages(self) -> None:
        history = self.stage.history
        narrow, pane = self.has_class("-narrow"), self.query_one("#messages")
        height = max(3, (pane.size.height or self.size.height) - 1)
        at, count = self._selected(), self.account.count
        first = self.first = max(0, min(max(self.first, at - height + 1), at, count - height))
        shown = self.account.rows[first : min(count, first + height)]
        times = [clock(history.trace[row[0]].at_us) for row in shown]
        widest = max(map(len, times), default=5)
        world, wide = history.world, self.size.width - 4 if narrow else pane.size.width - 2
        paths = Lanes.fitting(shown, list(world.machines), list(world.hosts), widest, wide)
        rows: list[Text] = [[(paths.heading(), "strong")]]
        for number, (row, time) in enumerate(zip(shown, times, strict=True), start=first):
            rows.append(paths.draw(row, time, number == at, self.account.what(number)))
        self.query_one("#messages-text", Drawn).draw(rows, layout=False)

    def _draw_detail(self) -> None:
        pane = self.query_one("#detail", VerticalScroll)
        if not self.talking:
            pane.border_title = TITLES["detail"]
            self._set("detail-text", self.account.opened(self._selected()))
            return
        pane.border_title = f"Console of {self.talking}"
        said = transcript(self.stage.history, self.talking, self._address(self.talking))
        self._set("detail-text", said or [[("Type a command, as in redis-cli. Esc leaves.", "dim")]])
        pane.scroll_end(animate=False)

    def _address(self, name: str) -> str:
        host = self.stage.history.world.hosts.get(self.stage.spec.clients.get(name, name))
        return host.address if host is not None and name == host.name else name

    # -- time

    def act(self, what: str, *args: object) -> None:
        """Call a method of the history, and draw; an error is told."""
        try:
            getattr(self.stage.history, what)(*args)
        except (ActionError, HistoryError) as error:
            self.notify(str(error), severity="warning", markup=False)
        self.changed()

    def changed(self) -> None:
        """Show another place, and make the way back from it ready once nobody waits."""
        self.chosen = -1
        self.draw()
        if self.idle is not None:
            self.idle.stop()
        if self.playing is None:
            self.idle = self.set_timer(IDLE_S, self.stage.history.prepare)

    def action_next(self) -> None:
        """Do the scenario's next step."""
        history = self.stage.history
        before = history.branch_name, history.place
        if self.stage.next_step is None and not any(span.ended > history.place for span in self.stage.spans):
            self.notify("The scenario is over.")
            return
        try:
            wrong = self.stage.step()
        except (ActionError, HistoryError) as error:
            wrong = [str(error)]
        self.before.append(before)
        for text in wrong:
            self.notify(text, title="Not as the scenario tells", severity="warning", markup=False)
        self.changed()

    def action_step(self) -> None:
        """Go on to the next thing that shows."""
        shown = self.account.count
        history = self.stage.history
        for _ in range(2000):
            before = history.world.now_us, history.place
            history.step()
            self.account.read(self.stage.history)
            if self.account.count != shown or before == (history.world.now_us, history.place):
                break
        self.changed()

    def action_back(self) -> None:
        """Go back by one thing that shows."""
        count = self.account.count
        if count:
            counts = self.stage.history.branch_now.counts
            self.act("goto", counts[bisect_right(counts, self.account.rows[count - 1][0]) - 1])

    def action_goto(self, number: int) -> None:
        """Go to the first or the last event."""
        self.act("end") if number < 0 else self.act("goto", number)

    def action_jump(self, by: int) -> None:
        """Go to where a step began or ended: the one before, or the one after."""
        history = self.stage.history
        marks = [0, *self._marks(), len(history.trace)]
        if by < 0:
            self.act("goto", max((mark for mark in marks if mark < history.place), default=0))
        else:
            self.act("goto", min((mark for mark in marks if mark > history.place), default=history.place))

    def on_timeline_chosen(self, event: Timeline.Chosen) -> None:
        """Go where the bar was clicked."""
        self.act("goto", event.place)

    def action_play(self) -> None:
        """Let time run, or stop it."""
        if self.playing is None:
            self.playing = self.play()
        else:
            self.playing.cancel()
            self.playing = None
        self.draw()

    @work(group="play")
    async def play(self) -> None:
        """Let time run, a picture a tick; keys are heard in between, and a slow machine takes longer."""
        while True:
            ends = perf_counter() + TICK_S
            until_us = self.stage.history.world.now_us + int(TICK_S * 1_000_000 * SPEEDS[self.speed])
            try:
                while self.run_on(until_us) and perf_counter() < ends:
                    await asyncio.sleep(0)
            except HistoryError as error:
                self.notify(str(error), severity="warning", markup=False)
                self.playing = None
            self.changed()
            if self.playing is None:
                return
            await asyncio.sleep(max(0.0, ends - perf_counter()))

    def run_on(self, until_us: int) -> bool:
        """Let time run for no longer than a key may wait; returns whether it is not yet there.

        Raises HistoryError when what has happened before does not happen again.
        """
        history = self.stage.history
        ends = perf_counter() + BUSY_S
        history.run(until_us, lambda: perf_counter() > ends)
        self.account.read(self.stage.history)
        return history.world.now_us < until_us

    def action_speed(self, by: int) -> None:
        """Let time run faster or slower."""
        self.speed = max(0, min(len(SPEEDS) - 1, self.speed + by))
        if self.playing is None:
            self.notify(f"Time will run {SPEEDS[self.speed]:g} times as fast as it does for us.", timeout=2)
        self.draw()

    def action_branch(self) -> None:
        """Go to the next branch."""
        history = self.stage.history
        names = list(history.branches)
        if len(names) < 2:
            self.notify(ONE_BRANCH)
            return
        self.act("switch", names[(names.index(history.branch_name) + 1) % len(names)])

    def action_compare(self) -> None:
        """Show two branches side by side."""
        history = self.stage.history
        if len(history.branches) < 2:
            self.notify(ONE_BRANCH)
            return
        self.app.push_screen(CompareScreen(history, self.account.letters))

    def action_undo(self) -> None:
        """Take the last action back: be where it was done, in the branch where it was done."""
        if not self.before:
            self.notify("There is no action to take back.")
            return
        branch, place = self.before.pop()
        history = self.stage.history
        if history.branch_name != branch:
            history.switch(branch)
        self.act("goto", place)

    # -- choosing

    def action_choose(self, by: int) -> None:
        """Choose another message; in the prompt, another line of those that were typed."""
        if self.focused is self.line:
            self.recall(by)
            return
        count = self.account.count
        if count:
            self.chosen = max(0, min(count - 1, self._selected() + by))
            self.draw()
            self.query_one("#detail").scroll_home(animate=False)

    def on_drawn_clicked(self, event: Drawn.Clicked) -> None:
        """Choose the message or the node that was clicked."""
        if event.control.id == "messages-text" and 0 < event.row <= self.account.count - self.first:
            self.chosen = self.first + event.row - 1
        elif event.control.id == "cluster-text" and event.row < len(self.owners):
            self.choose_node(self.owners[event.row])
        self.draw()

    def choose_node(self, name: str) -> None:
        """Choose a node; an open console follows."""
        self.node = name
        if self.talking:
            self.talk_to(name)

    def action_mark(self) -> None:
        """Choose the next node."""
        names = list(self.stage.history.world.hosts)
        if self.node in names:
            self.choose_node(names[(names.index(self.node) + 1) % len(names)])
        self.draw()

    def action_pane(self, by: int = 1) -> None:
        """Go to the next pane, the only one shown where there is no room for more; in the prompt, complete."""
        if self.focused is self.line:
            self.complete()
            return
        self.show_pane(PANES[(PANES.index(self.pane) + by) % len(PANES)])

    def action_scroll(self, by: int) -> None:
        """Scroll the pane that ⇥ has come to; the messages have their own way of moving on."""
        if self.pane == "messages":
            self.action_choose(by * SCROLL_LINES)
        else:
            self.query_one(f"#{self.pane}").scroll_relative(y=by * SCROLL_LINES, animate=False)

    def show_pane(self, name: str) -> None:
        """Show a pane; how much of it there is room for is known afterwards."""
        self.pane = name
        self.draw()
        self.call_after_refresh(self.draw)

    # -- the prompt

    @property
    def line(self) -> Input:
        """The prompt."""
        return self.query_one("#line", Input)

    def action_prompt(self, text: str) -> None:
        """Begin a line."""
        self.talk_to("")
        self._put(text)
        self.set_focus(self.line)
        self.draw()

    def action_begin(self, text: str) -> None:
        """Begin a line for the chosen node."""
        self.action_prompt(fill(text, self.stage.history.world, self.node, self.stage.spec.clients))

    def action_console(self) -> None:
        """Talk to the chosen node."""
        self.talk_to(self.node)
        self.line.value = ""
        self.set_focus(self.line)
        if self.has_class("-narrow"):
            self.pane = "detail"
        self.draw()

    def talk_to(self, name: str) -> None:
        """Open the console of a node or client; none: what is typed are actions."""
        self.talking = name
        self.query_one("#who", Static).update(f"{self._address(name)}>" if name else ":")
        self.line.placeholder = "" if name else PLACEHOLDER

    def on_key(self, event: Key) -> None:
        """Give the prompt what was typed behind the `:` before the prompt had the focus: keys may come in a burst."""
        if self.focused is self.line and event.is_printable and event.character:
            self.line.insert_text_at_cursor(event.character)
        elif self.focused is None and event.character == ":":
            self.action_prompt("")
        else:
            return
        event.stop()
        event.prevent_default()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what is still to come of the line."""
        self.query_one("#hint", Static).update(assist.hint(event.value, self.talking))

    def complete(self) -> None:
        """Complete what is typed; again: what else it may become."""
        value = self.line.value
        if value not in self.offers:
            world, clients = self.stage.history.world, self.stage.spec.clients
            self.offers = assist.completions(value, self.talking, world, clients)
            if not self.offers:
                return
            value = self.offers[-1]
        self._put(self.offers[(self.offers.index(value) + 1) % len(self.offers)])

    def recall(self, by: int) -> None:
        """Put another of the lines that were typed into the prompt."""
        self.recalled = max(0, min(len(self.typed), self.recalled + by))
        self._put(self.typed[self.recalled] if self.recalled < len(self.typed) else "")

    def _put(self, text: str) -> None:
        self.line.value = text
        self.line.cursor_position = len(text)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do what was typed."""
        text = event.value.strip()
        if not text:
            return
        self.typed = [*(line for line in self.typed if line != text), text]
        self.recalled = len(self.typed)
        if self.talking and not text.startswith(":"):
            text = f"{self.talking}> {text}"
        text = text.removeprefix(":").strip()
        history = self.stage.history
        before = history.branch_name, history.place
        name, prompt, command = text.partition(">")
        spoken = bool(prompt) and " " not in name.strip()
        try:
            if spoken and not command.strip():
                raise ActionError("a command is missing")
            if text.startswith("goto "):
                self._goto_time(text.removeprefix("goto "))
            else:
                carry_out(history, text, self.stage.spec.clients)
                self.worked = True
        except (ActionError, HistoryError) as error:
            self.notify(
                shorten(str(error), LINE), title="Not possible; nothing has changed", severity="warning", markup=False
            )
            return
        if (history.branch_name, history.place) != before and not text.startswith("goto "):
            self.before.append(before)
        self.line.value = ""
        if spoken:
            history.run(history.world.now_us + SETTLE_US)
            if self.talking != name.strip():
                self.talk_to(name.strip())
        self.changed()

    def _goto_time(self, text: str) -> None:
        """Go to a time, in seconds since the beginning; beyond the end time runs on. Raises ActionError."""
        try:
            at_us = BEGINNING_US + int(float(text) * 1_000_000)
        except ValueError:
            raise ActionError("goto SECONDS") from None
        history = self.stage.history
        if at_us < history.world.now_us:
            moments = history.branch_now.places
            history.goto(next((place.happened for place in reversed(moments) if place.now_us <= at_us), 0))
        history.run(at_us)

    def action_lesson(self) -> None:
        """Go to the lesson that the scenario stages: back to it, or into it."""
        from tutor.screens.lesson import LessonScreen

        came_from_one = any(isinstance(screen, LessonScreen) for screen in self.app.screen_stack)
        self.dismiss()
        if not came_from_one:
            self.app.open_lesson(self.lessons[0][0])

    def action_leave(self) -> None:
        """Leave the prompt, or the laboratory."""
        if self.focused is self.line or self.talking:
            self.set_focus(None)
            self.talk_to("")
            self.draw()
        elif self.worked:
            from tutor.screens.dialogs import ChoiceDialog

            def chosen(choice: str | bool | None) -> None:
                if choice == "leave":
                    self.dismiss()

            choices = [("stay", "Stay"), ("leave", "Leave")]
            self.app.push_screen(
                ChoiceDialog("Leave the laboratory?", "What you did here is not kept.", choices), chosen
            )
        else:
            self.dismiss()
