"""The panes of the laboratory. Each draws its part of a `LabView`; a click on a row says what was chosen."""

import textwrap
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message

from engine.sentinel.role import SentinelRole
from engine.simulation.cluster_state import cluster_views, writer_views
from engine.simulation.program_state import program_views
from engine.simulation.state import application_views, belief_views, link_views, node_views, resync_views
from tutor.lab import data, drawing, outside, programs, slots
from tutor.lab.console import transcript
from tutor.lab.drawing import Text
from tutor.lab.format import clock
from tutor.lab.sequence_diagram import Lanes
from tutor.lab.session import LabSession
from tutor.screens.laboratory.data import DataPane
from tutor.screens.laboratory.pane import Pane
from tutor.screens.laboratory.topology import TopologyPane
from tutor.screens.laboratory.view import LabView
from tutor.widgets.drawn import Drawn

TITLES = {
    "cluster": "Cluster",
    "messages": "Messages",
    "detail": "Bytes and reasons",
    "story": "Scenario",
    "data": "Data",
    "topology": "Topology",
}
PANES = tuple(TITLES)
UPPER = ("cluster", "topology")  # they share a place where the screen is not tall
LOWER = ("detail", "data")  # they share a place
TALL = 36  # rows of the screen
SCROLL_LINES = 3


class ClusterPane(VerticalScroll, Pane, can_focus=False):
    """The nodes with their roles and histories, what Sentinels and applications believe, links and backlogs."""

    class NodeChosen(Message):
        """A row that belongs to a node was clicked."""

        def __init__(self, node: str) -> None:
            super().__init__()
            self.node = node

    def __init__(self) -> None:
        super().__init__(id="cluster", classes="pane")
        self.owners: list[str] = []  # whose each row is
        self._losses: list[data.DataRow] = []

    def compose(self) -> ComposeResult:
        """Lay out cluster, writes and backlog."""
        yield Drawn("", id="cluster-text")
        yield Drawn("", id="writes")
        yield Drawn("", id="backlog")

    def draw_view(self, view: LabView) -> None:
        """Draw the world as it is now."""
        world, chosen = view.session.world, view.chosen
        nodes = node_views(world)
        width = max(20, self.size.width - 2)
        watching = [name for name, host in world.hosts.items() if host.role is SentinelRole]
        rows, self.owners = drawing.cluster(nodes, view.session.log.letters, view.node, chosen, width, watching)
        views = cluster_views(world)
        if views:
            seen = views.get(view.node) or next(iter(views.values()))
            above = [*slots.slots(seen, views, width), *slots.beliefs(views, nodes, view.node, width)]
            above.append([("Nodes", "strong")])
            rows, self.owners = [*above, *rows], [*[view.node] * len(above), *self.owners]
        if watching:
            more, owners = drawing.sentinels(nodes, belief_views(world), watching, view.node, chosen, width)
            rows, self.owners = [*rows, [("Sentinels", "strong")], *more], [*self.owners, view.node, *owners]
        rows = [*rows, *outside.rows(world)]
        running = drawing.applications(nodes, application_views(world))
        running += programs.rows(nodes, program_views(world))
        if running := running + slots.writers(nodes, writer_views(world), views):
            rows = [*rows, [("Applications", "strong")], *running]
        if links := drawing.links(link_views(world), chosen, [*watching, *world.applications, *views]):
            rows = [*rows, [("Links", "strong")], *links]
        self.query_one("#cluster-text", Drawn).draw(rows)
        self._losses = list(data.summary(view.session.ledger, view.session.history, width))
        self.query_one("#writes", Drawn).draw([[("Writes", "strong")], *(row.text for row in self._losses)])
        backlog: list[Text] = [
            [("Backlog", "strong")],
            *drawing.backlog(nodes, resync_views(world), view.session.log.letters, width, chosen),
        ]
        self.query_one("#backlog", Drawn).draw(backlog)

    @on(Drawn.Clicked, "#cluster-text")
    def _clicked(self, event: Drawn.Clicked) -> None:
        event.stop()
        if event.row < len(self.owners):
            self.post_message(self.NodeChosen(self.owners[event.row]))

    @on(Drawn.Clicked, "#writes")
    def _loss_clicked(self, event: Drawn.Clicked) -> None:
        event.stop()
        if 0 < event.row <= len(self._losses) and self._losses[event.row - 1].event >= 0:
            self.post_message(self.MomentChosen(self._losses[event.row - 1].event))


class MessagesPane(Vertical, Pane):
    """The sequence diagram."""

    class EventChosen(Message):
        """A row of the event log was clicked."""

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    def __init__(self) -> None:
        super().__init__(id="messages", classes="pane")
        self.first = 0  # the row that is shown first
        self._count = 0

    def compose(self) -> ComposeResult:
        """Lay out the rows."""
        yield Drawn("", id="messages-text")

    def draw_view(self, view: LabView) -> None:
        """Draw as many rows as there is room for, the chosen one among them."""
        log, history = view.session.shown, view.session.history
        narrow = self.screen.has_class("-narrow")
        spaced = self.screen.has_class("-presenting")
        height = max(3, (self.size.height or self.screen.size.height) - 1)
        if spaced:
            height = max(2, height // 2)
        at, count = view.row, log.count
        self._count = count
        first = self.first = max(0, min(max(self.first, at - height + 1), at, count - height))
        shown = log.rows(first, min(count, first + height))
        times = [clock(history.trace[row[0]].at_us) for row in shown]
        widest = max(map(len, times), default=5)
        world, wide = history.world, self.screen.size.width - 4 if narrow else self.size.width - 2
        lanes = Lanes.fitting(shown, list(world.machines), list(world.hosts), widest, wide)
        rows: list[Text] = [[(lanes.heading(), "strong")]]
        for number, (row, time) in enumerate(zip(shown, times, strict=True), start=first):
            rows.append(lanes.draw(row, time, number == at, log.what(number)))
            if spaced:
                rows.append([(lanes.gap(), "dim")])
        self.border_title = TITLES["messages"] + (f"  filter: {log.filter.text}" if log.filter.text else "")
        self.query_one(Drawn).draw(rows, layout=False)

    @on(Drawn.Clicked)
    def _clicked(self, event: Drawn.Clicked) -> None:
        event.stop()
        row = (event.row + 1) // 2 if self.screen.has_class("-presenting") else event.row
        if 0 < row <= self._count - self.first:
            self.post_message(self.EventChosen(self.first + row - 1))


class DetailPane(VerticalScroll, Pane, can_focus=False):
    """The chosen event: its bytes, or a decision's reasons; or the console of a node."""

    def __init__(self) -> None:
        super().__init__(id="detail", classes="pane")

    def compose(self) -> ComposeResult:
        """Lay out the rows."""
        yield Drawn("", id="detail-text")

    def draw_view(self, view: LabView) -> None:
        """Draw the chosen event, or what was said at the prompt."""
        session, rows = view.session, self.query_one(Drawn)
        if not view.talking:
            self.border_title = TITLES["detail"]
            rows.draw(session.shown.opened(view.row))
            return
        self.border_title = f"Console of {view.talking}"
        said = transcript(session.history, view.talking, session.address(view.talking))
        rows.draw(said or [[("Type a command, as in redis-cli. Esc leaves.", "dim")]])
        self.scroll_end(animate=False)

    @on(Drawn.Clicked)
    def _clicked(self, event: Drawn.Clicked) -> None:
        """Go to the cause, whose line is the last one: at its end, or where it is broken into several."""
        event.stop()
        view, rows = self._view, event.drawn.rows or []
        if view is None or view.talking or not rows or not rows[-1][0][0].startswith("because"):
            return
        if event.row >= len(rows) - 1:
            self.post_message(self.CauseChosen())

    class CauseChosen(Message):
        """The line that names the cause was clicked."""


class StoryPane(VerticalScroll, Pane, can_focus=False):
    """The scenario: what its last step said, and what comes next."""

    def __init__(self) -> None:
        super().__init__(id="story", classes="pane")

    def compose(self) -> ComposeResult:
        """Lay out the rows."""
        yield Drawn("", id="story-text")

    def draw_view(self, view: LabView) -> None:
        """Draw how far the scenario is."""
        self.query_one(Drawn).draw(story(view))


class Caption(Drawn):
    """The last step's text on a line, where the scenario's pane is not in sight."""

    def show_view(self, view: LabView) -> None:
        """Draw it."""
        size = self.content_size
        self.draw([fitted(row, size.width, size.height) for row in story(view)[:1]])


def fitted(row: Text, width: int, height: int) -> Text:
    """Return a row that fits into so many lines; "…" stands for what does not."""
    text = "".join(part for part, _ in row)
    if not width or not height or len(textwrap.wrap(text, width)) <= height:
        return row
    left = len(" ".join(textwrap.wrap(text, width, max_lines=height, placeholder=" …"))) - 2
    cut: Text = []
    for part, style in row:
        cut.append((part[: max(0, left)], style))
        left -= len(part)
    return [*cut, (" …", "dim")]


def story(view: LabView) -> list[Text]:
    """Return the rows of a scenario."""
    session = view.session
    place = session.history.place
    notes = [(clock(note.at_us), note.text, note.place == place) for note in session.notes_here]
    return drawing.story(session.spec, session.done_at(view.place), [title for _, title in view.lessons], notes)


class LaboratoryPanes(Horizontal):
    """The panes, or where there is little room one of them; the current one's title is marked.

    They share what is chosen: an event and a node, which each of them marks.
    """

    LEFT: ClassVar = ("cluster", "topology", "story")

    class Chosen(Message):
        """Another event, node or pane was chosen; `node` is a node's name, if it was one."""

        def __init__(self, node: str = "") -> None:
            super().__init__()
            self.node = node

    def __init__(self, session: LabSession) -> None:
        super().__init__()
        self._session = session
        self.current = PANES[0]
        self.upper = UPPER[0]  # which of them is in sight
        self.lower = LOWER[0]
        self.event = -1  # a row of the event log; -1: the last
        self._node = next(iter(session.world.hosts), "")

    def compose(self) -> ComposeResult:
        """Lay them out."""
        with Vertical(id="left"):
            yield TopologyPane()
            yield ClusterPane()
            yield StoryPane()
        with Vertical(id="right"):
            yield MessagesPane()
            yield DetailPane()
            yield DataPane()

    def on_mount(self) -> None:
        """Set the titles."""
        for name, title in TITLES.items():
            self.query_one(f"#{name}").border_title = title

    def show_view(self, view: LabView) -> None:
        """Draw all panes."""
        narrow, presenting = self.screen.has_class("-narrow"), self.screen.has_class("-presenting")
        low = self.screen.size.height < TALL
        for name in PANES:
            pane = self.query_one(f"#{name}")
            if presenting:
                hidden = name not in ("topology",) if narrow else name not in ("topology", "messages")
            elif narrow:
                hidden = name != self.current
            else:
                hidden = (name in LOWER and name != self.lower) or (low and name in UPPER and name != self.upper)
            pane.set_class(hidden, "-hidden")
            pane.set_class(name == self.current, "-current")
            others = [TITLES[each] for each in PANES[PANES.index(name) + 1 :] + PANES[: PANES.index(name)]]
            pane.border_subtitle = "⇥ " + " · ".join(others) if narrow else ""
        current = "topology" if presenting else self.current
        self.query_one("#left").set_class(narrow and current not in self.LEFT, "-hidden")
        self.query_one("#right").set_class(narrow and current in self.LEFT, "-hidden")
        for kind in (TopologyPane, ClusterPane, MessagesPane, DetailPane, DataPane, StoryPane):
            self.query_one(kind).show_view(view)

    # -- what is chosen

    @property
    def row(self) -> int:
        """The row of the chosen event, -1 if nothing has happened."""
        count = self._session.shown.count
        return count - 1 if self.event < 0 or self.event >= count else self.event

    @property
    def node(self) -> str:
        """The chosen node."""
        if (
            self._node not in self._session.world.hosts and self._session.world.hosts
        ):  # before the first event there is none
            self._node = next(iter(self._session.world.hosts), self._node)
        return self._node

    def choose_event(self, row: int) -> None:
        """Choose an event."""
        self.event = row
        self.post_message(self.Chosen())

    def choose_node(self, name: str) -> None:
        """Choose a node."""
        self._node = name
        self.post_message(self.Chosen(name))

    @on(MessagesPane.EventChosen)
    def _event_clicked(self, message: MessagesPane.EventChosen) -> None:
        message.stop()
        self.choose_event(message.row)

    @on(ClusterPane.NodeChosen)
    @on(TopologyPane.NodeChosen)
    def _node_clicked(self, message: ClusterPane.NodeChosen | TopologyPane.NodeChosen) -> None:
        message.stop()
        self.choose_node(message.node)

    def choose_moment(self, number: int) -> None:
        """Choose what the log shows of an event, if it shows anything."""
        if self._session.shown.has(number):
            self.choose_event(self._session.shown.at(number))

    def next_event(self, by: int) -> None:
        """Choose another event, so many rows on."""
        if count := self._session.shown.count:
            self.choose_event(max(0, min(count - 1, self.row + by)))
            self.query_one(DetailPane).scroll_home(animate=False)

    def next_node(self) -> None:
        """Choose the next node."""
        names = list(self._session.world.hosts)
        if self.node in names:
            self.choose_node(names[(names.index(self.node) + 1) % len(names)])

    def choose_pane(self, name: str) -> None:
        """Make a pane the current one."""
        self.current = name
        self.lower = name if name in LOWER else self.lower
        self.upper = name if name in UPPER else self.upper
        self.post_message(self.Chosen())

    def next_pane(self, by: int = 1) -> None:
        """Make another pane the current one."""
        self.choose_pane(PANES[(PANES.index(self.current) + by) % len(PANES)])

    def scroll_current(self, by: int) -> None:
        """Scroll the current pane; the messages have their own way of moving on."""
        if self.current == "messages":
            self.next_event(by * SCROLL_LINES)
        else:
            self.query_one(f"#{self.current}").scroll_relative(y=by * SCROLL_LINES, animate=False)
