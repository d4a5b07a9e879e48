"""The pane that draws the cluster: boxes, links, messages on their way. A click chooses a node."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from engine.simulation.program_state import program_views
from engine.simulation.state import application_views, link_views, node_views
from tutor.lab.topology import Topology, programs_of, under_way
from tutor.screens.laboratory.pane import Pane
from tutor.screens.laboratory.view import LabView
from tutor.widgets.drawn import Drawn


class TopologyPane(Vertical, Pane):
    """The cluster, drawn."""

    class NodeChosen(Message):
        """The box of a node was clicked."""

        def __init__(self, node: str) -> None:
            super().__init__()
            self.node = node

    def __init__(self) -> None:
        super().__init__(id="topology", classes="pane")
        self.topology = Topology()
        self._drawn = (0, 0)  # the place that was drawn last, and the one before it

    def compose(self) -> ComposeResult:
        """Lay out the rows."""
        yield Drawn("", id="topology-text")

    def draw_view(self, view: LabView) -> None:
        """Draw the cluster as it is now, and what is under way."""
        drawn = self.query_one(Drawn)
        width, height = drawn.size if drawn.size.width else (0, 0)
        if width < 10 or height < 3:
            return
        history, world = view.session.history, view.session.world
        place = history.place
        if place != self._drawn[0]:
            self._drawn = place, self._drawn[0]
        since = self._drawn[1] if self._drawn[1] < place else place
        nodes, links = node_views(world), link_views(world)
        rows = self.topology.draw(
            nodes,
            programs_of([*application_views(world), *program_views(world)], links, nodes),
            links,
            under_way(history.trace, place, world.now_us, links, since),
            view.session.log.letters,
            view.node,
            view.chosen,
            (width, height),
        )
        drawn.draw(rows, layout=False)

    @on(Drawn.Clicked)
    def _clicked(self, event: Drawn.Clicked) -> None:
        event.stop()
        if name := self.topology.at(event.column, event.row):
            self.post_message(self.NodeChosen(name))
