"""The laboratory: a cluster that stands still until the learner lets time go on, and goes back as easily.

The screen holds a `Stage` (a scenario on a history) and draws it anew after each change: all of it follows from
the present place of the history alone, so that going back needs no undoing. What can be typed: `tutor.lab.words`.
"""

from bisect import bisect_right
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input, Static

from engine.simulation.actions import ActionError
from engine.simulation.happenings import Delivered, Sent
from engine.simulation.history import HistoryError
from tutor.lab import drawing
from tutor.lab.drawing import Text
from tutor.lab.look import look
from tutor.lab.model import ScenarioSpec
from tutor.lab.stage import SETTLE_US, Stage
from tutor.lab.telling import Row, Teller, clock
from tutor.lab.words import PROMPT, carry_out
from tutor.widgets.header import HeaderBar
from tutor.widgets.keybar import KeyBar

HELP = """\
Time stands still until you let it go on. **n** does the scenario's next step; **→** goes on to the next event and
**←** back by one; **Space** lets time run, and stops it. **Home** and **End** go to the first and the last event.
**↑** and **↓** choose a message, and the pane below opens it: its bytes, field by field, or a decision's reasons.

**:** is the prompt: `cut A B reset`, `heal A B`, `crash A`, `start A`, `pause A`, `continue A`, `plug A` (power cut),
`slow A B 200`, `write app 100`, `add C 172.16.6.59:6379`, `A> INFO replication` at a node and `app> SET k v` as a
client. **c h k s o w f** begin such a line for the node that **m** chose. An action after going back starts a branch;
**b** goes to the next one. Nothing breaks: go back.
"""
STYLES = {"": "", "strong": "bold", "dim": "$muted", "good": "$text-success", "bad": "$text-error",
          "accent": "$text-accent"}  # fmt: skip
TICK_S = 0.1
TITLES = {"cluster": "Cluster", "messages": "Messages", "detail": "Bytes and reasons", "story": "Scenario"}
PANES = tuple(TITLES)


def content(rows: list[Text]) -> Content:
    """Return rows as what a Static shows."""
    lines = [Content.assemble(*((text, STYLES[style]) for text, style in row)) for row in rows]
    return Content("\n").join(lines)


class LaboratoryScreen(Screen[None]):
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
        Binding("tab", "pane", "pane", key_display="⇥", id="lab.pane"),
        Binding("c", "begin('cut {a} {b} reset')", "cut", id="lab.cut"),
        Binding("h", "begin('heal {a} {b}')", "heal", id="lab.heal"),
        Binding("k", "begin('crash {a}')", "crash", id="lab.crash"),
        Binding("s", "begin('start {a}')", "start", id="lab.start"),
        Binding("o", "begin('plug {a}')", "plug", id="lab.plug"),
        Binding("f", "begin('{a}> REPLICAOF NO ONE')", "promote", id="lab.promote"),
        Binding("w", "begin('write {client} 100')", "write", id="lab.write"),
        Binding("m", "mark", "node", id="lab.node"),
        Binding("b", "branch", "branch", id="lab.branch"),
        Binding("up", "choose(-1)", "choose", show=False),
        Binding("down", "choose(1)", "choose", show=False),
        Binding("home", "goto(0)", "first", show=False),
        Binding("end", "goto(-1)", "last", show=False),
        Binding("escape", "leave", "map", id="lab.leave"),
    ]
    CSS = """
    LaboratoryScreen { background: $background; }
    LaboratoryScreen .pane { border: round $rule; border-title-color: $muted; padding: 0 1;
        scrollbar-size-vertical: 1; }
    LaboratoryScreen Static { text-wrap: wrap; }
    LaboratoryScreen #messages-text { text-wrap: nowrap; text-overflow: ellipsis; }
    LaboratoryScreen #left { width: 40%; }
    LaboratoryScreen #cluster { height: 1fr; }
    LaboratoryScreen #backlog { height: auto; margin-top: 1; }
    LaboratoryScreen #story { height: 11; }
    LaboratoryScreen #messages { height: 1fr; }
    LaboratoryScreen #detail { height: 40%; }
    LaboratoryScreen #line { dock: bottom; height: 1; border: none; padding: 0 1; background: $surface;
        margin-bottom: 1; }
    LaboratoryScreen.-narrow #left { width: 100%; }
    LaboratoryScreen.-narrow #detail, LaboratoryScreen.-narrow #story { height: 1fr; }
    LaboratoryScreen.-narrow .pane.-hidden { display: none; }
    LaboratoryScreen.-narrow #left.-hidden, LaboratoryScreen.-narrow #right.-hidden { display: none; }
    """

    def __init__(self, spec: ScenarioSpec) -> None:
        super().__init__()
        self.stage = Stage(spec)
        self.teller = Teller()
        self.rows: list[Row] = []
        self.read = 0  # happenings that are in `rows`
        self.told_branch = self.stage.history.branch_name
        self.chosen = -1  # a row; -1: the last
        self.pane = PANES[0]
        self.node = next(iter(spec.nodes))
        self.note: list[Text] = []  # what the last typed line gave
        self.playing: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay out the laboratory."""
        yield HeaderBar()
        with Horizontal():
            with Vertical(id="left"):
                with VerticalScroll(id="cluster", classes="pane", can_focus=False):
                    yield Static("", id="cluster-text")
                    yield Static("", id="backlog")
                with VerticalScroll(id="story", classes="pane", can_focus=False):
                    yield Static("", id="story-text")
            with Vertical(id="right"):
                with Vertical(id="messages", classes="pane"):
                    yield Static("", id="messages-text")
                with VerticalScroll(id="detail", classes="pane", can_focus=False):
                    yield Static("", id="detail-text")
        yield Input(id="line", placeholder=": cut A B reset · crash A · A> INFO replication · app> SET k v")
        yield KeyBar()

    def on_mount(self) -> None:
        """Draw the beginning."""
        for name, title in TITLES.items():
            self.query_one(f"#{name}").border_title = title
        self.set_focus(None)
        self.call_after_refresh(self.draw)

    def on_resize(self) -> None:
        """Fit it."""
        self.call_after_refresh(self.draw)

    # -- drawing

    def draw(self) -> None:
        """Draw everything anew from the present place."""
        history, spec = self.stage.history, self.stage.spec
        self._read()
        nodes = look(history.world)
        if self.node not in nodes:
            self.node = next(iter(nodes), self.node)  # before the first event there is none
        width = max(20, self.query_one("#cluster").size.width - 2)
        letters = self.teller.letters
        self._set("cluster-text", drawing.cluster(nodes, letters, self.node, self._cuts()))
        bar: list[Text] = [[("Backlog", "strong")], *drawing.backlog(nodes, letters, width)]
        self._set("backlog", bar)
        self._draw_messages()
        self._set("detail-text", self.note or self._detail())
        self._draw_story()
        state = "▶ running" if self.playing else "‖ paused"
        last = len(history.happenings)
        right = f"t {clock(history.world.now_us)} s  event {history.place} of {last}  {state}  {history.branch_name}"
        self.query_one(HeaderBar).show(f"Laboratory › {spec.title}", right)
        narrow = self.has_class("-narrow")
        for name in PANES:
            pane = self.query_one(f"#{name}")
            pane.set_class(narrow and name != self.pane, "-hidden")
            others = [TITLES[each] for each in PANES[PANES.index(name) + 1 :] + PANES[: PANES.index(name)]]
            pane.border_subtitle = "⇥ " + " · ".join(others) if narrow else ""
        self.query_one("#left").set_class(narrow and self.pane not in ("cluster", "story"), "-hidden")
        self.query_one("#right").set_class(narrow and self.pane in ("cluster", "story"), "-hidden")

    def _set(self, name: str, rows: list[Text]) -> None:
        self.query_one(f"#{name}", Static).update(content(rows))

    def _read(self) -> None:
        history = self.stage.history
        if history.branch_name != self.told_branch:
            self.told_branch = history.branch_name
            self.teller, self.rows, self.read = Teller(self.teller.letters), [], 0
        for happening in history.happenings[self.read :]:
            self.rows += self.teller.rows(happening)
        self.read = len(history.happenings)

    def _cuts(self) -> list[str]:
        world = self.stage.history.world
        names = list(world.machines)
        pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
        states = [(a, b, world.network.lane(a, b).state, world.network.lane(b, a).state) for a, b in pairs]
        return [f"{a} – {b}: {one if one != 'up' else other}" for a, b, one, other in states
                if (one, other) != ("up", "up")]  # fmt: skip

    def _shown(self) -> int:
        """Return how many rows have happened."""
        place = self.stage.history.place
        count = len(self.rows)
        while count and self.rows[count - 1][0] >= place:
            count -= 1
        return count

    def _selected(self) -> int:
        count = self._shown()
        return count - 1 if self.chosen < 0 or self.chosen >= count else self.chosen

    def _draw_messages(self) -> None:
        history = self.stage.history
        names = list(history.world.machines)
        room = self.size.height - 5 if self.has_class("-narrow") else self.query_one("#messages").size.height
        height = max(3, room - 1)
        at, count = self._selected(), self._shown()
        first = max(0, min(at - height // 2, count - height))
        rows: list[Text] = [[(drawing.lanes(names), "strong")]]
        for number in range(first, min(count, first + height)):
            row = self.rows[number]
            drawn = drawing.message(row, clock(history.happenings[row[0]].at_us), names)
            mark = "▸" if number == at else " "
            rows.append([(mark, "accent"), (drawn[0][0][1:], "dim"), *drawn[1:]])
        self._set("messages-text", rows)

    def _detail(self) -> list[Text]:
        at = self._selected()
        if at < 0:
            return [[("Nothing has happened yet.", "dim")]]
        history = self.stage.history
        number = self.rows[at][0]
        happening = history.happenings[number]
        rows: list[Text] = []
        if isinstance(happening, Sent):
            parts = self.teller.parts.get(number, [])
            rows.append(
                [(f"{happening.source} ──▶ {happening.target}  ", "strong"), (f"{len(happening.data)} B", "dim")]
            )
            for part in parts[:20]:
                if part.after >= 0:
                    rows.append([(f"offset {part.before} → {part.after}", "accent")])
                for span in list(part.spans())[:60]:
                    told = f"  {span.meaning}" if span.meaning else ""
                    rows.append([(f"{span.offset:>6} ", "dim"), (f"{span.data[:8].hex(' '):<24}", ""),
                                 (f" {span.field}: ", "strong"), (span.value, ""), (told, "dim")])  # fmt: skip
            if not parts:
                rows.append([("the rest of it comes in a later message", "dim")])
        else:
            rows += [[(row[4], "strong" if row[0] != number else "")] for row in self.rows if row[0] == number]
        if happening.cause >= 0:
            cause = next((row for row in self.rows if row[0] == happening.cause), None)
            kind = type(history.happenings[happening.cause]).__name__.lower()
            why = f"{cause[2]} {cause[4]}" if cause else kind
            if isinstance(history.happenings[happening.cause], Delivered):
                sent = history.happenings[happening.cause].sent  # type: ignore[union-attr]
                cause = next((row for row in self.rows if row[0] == sent), None)
                why = f"{cause[2]} said {cause[4]}" if cause else "what had arrived"
            rows.append([("because of event ", "dim"), (f"{happening.cause}: {why}", "dim")])
        return rows

    def _draw_story(self) -> None:
        stage = self.stage
        rows: list[Text] = []
        if not stage.done:
            rows.append([(stage.spec.summary, "")])
        else:
            rows.append(
                [(f"{stage.done} of {len(stage.spec.steps)}  ", "accent"), (stage.spec.steps[stage.done - 1].say, "")]
            )
        if stage.next_step is not None:
            rows += [
                [("", "")],
                [
                    ("n  ", "accent"),
                    ("next: ", "strong"),
                    (" · ".join(stage.next_step.do[:4]) or "time passes", "dim"),
                ],
            ]
        else:
            rows += [[("", "")], [("The scenario is over. The cluster is yours: break it.", "good")]]
        self._set("story-text", rows)

    # -- time

    def act(self, what: str, *args: object) -> None:
        """Call a method of the history, and draw; an error is told."""
        try:
            getattr(self.stage.history, what)(*args)
        except (ActionError, HistoryError) as error:
            self.notify(str(error), severity="warning", markup=False)
        self.note = []
        self.chosen = -1
        self.draw()

    def action_next(self) -> None:
        """Do the scenario's next step."""
        if self.stage.next_step is None:
            self.notify("The scenario is over.")
            return
        try:
            wrong = self.stage.step()
        except (ActionError, HistoryError) as error:
            wrong = [str(error)]
        for text in wrong:
            self.notify(text, title="Not as the scenario tells", severity="warning", markup=False)
        self.note = []
        self.chosen = -1
        self.draw()

    def action_step(self) -> None:
        """Go on to the next thing that shows."""
        shown = self._shown()
        history = self.stage.history
        for _ in range(2000):
            before = history.world.now_us, history.place
            history.step()
            self._read()
            if self._shown() != shown or before == (history.world.now_us, history.place):
                break
        self.note = []
        self.chosen = -1
        self.draw()

    def action_back(self) -> None:
        """Go back by one thing that shows."""
        count = self._shown()
        if count:
            counts = self.stage.history.branch_now.counts
            self.act("goto", counts[bisect_right(counts, self.rows[count - 1][0]) - 1])

    def action_goto(self, number: int) -> None:
        """Go to the first or the last event."""
        self.act("end") if number < 0 else self.act("goto", number)

    def action_play(self) -> None:
        """Let time run, or stop it."""
        if self.playing is None:
            self.playing = self.set_interval(TICK_S, self._tick)
        else:
            self.playing.stop()
            self.playing = None
        self.draw()

    def _tick(self) -> None:
        self.act("run", self.stage.history.world.now_us + int(TICK_S * 1_000_000))

    def action_branch(self) -> None:
        """Go to the next branch."""
        history = self.stage.history
        names = list(history.branches)
        if len(names) < 2:
            self.notify("There is one branch. Go back and do something else: that starts another one.")
            return
        self.act("switch", names[(names.index(history.branch_name) + 1) % len(names)])

    # -- choosing

    def action_choose(self, by: int) -> None:
        """Choose another message."""
        count = self._shown()
        if count:
            self.chosen = max(0, min(count - 1, self._selected() + by))
            self.note = []
            self.draw()

    def action_mark(self) -> None:
        """Choose the next node."""
        names = list(self.stage.history.world.hosts)
        if self.node in names:
            self.node = names[(names.index(self.node) + 1) % len(names)]
        self.draw()

    def action_pane(self) -> None:
        """Show the next pane, where there is room for one."""
        self.pane = PANES[(PANES.index(self.pane) + 1) % len(PANES)]
        self.draw()

    # -- the prompt

    @property
    def line(self) -> Input:
        """The prompt."""
        return self.query_one("#line", Input)

    def action_prompt(self, text: str) -> None:
        """Begin a line."""
        self.line.value = text
        self.line.cursor_position = len(text)
        self.line.focus()

    def action_begin(self, text: str) -> None:
        """Begin a line for the chosen node."""
        others = [name for name in self.stage.history.world.hosts if name != self.node]
        client = next(iter(self.stage.spec.clients), self.node)
        other = others[0] if others else self.node
        self.action_prompt(text.replace("{a}", self.node).replace("{b}", other).replace("{client}", client))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do what was typed."""
        text = event.value.strip().removeprefix(":")
        if not text:
            return
        history = self.stage.history
        before = history.place
        try:
            carry_out(history, text, self.stage.spec.clients)
        except ActionError as error:
            self.notify(str(error), title="Not possible; nothing has changed", severity="warning", markup=False)
            return
        name, prompt, _ = text.partition(">")
        self.line.value = ""
        self.note = []
        if prompt and " " not in name:
            history.run(history.world.now_us + SETTLE_US)
            heard = [h.data for h in history.happenings[before : history.place]
                     if isinstance(h, Delivered) and h.target in (name, PROMPT + name)]  # fmt: skip
            answer = b"".join(heard).decode("utf-8", "replace").replace("\r", "") or "(no answer yet: let time go on)"
            self.note = [[(text, "strong")], [(answer, "")]]
        self.chosen = -1
        self.draw()

    def action_leave(self) -> None:
        """Leave the prompt, or the laboratory."""
        if self.focused is self.line:
            self.set_focus(None)
        else:
            self.dismiss()
