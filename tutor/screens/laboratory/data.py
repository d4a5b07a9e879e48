"""The Data pane: what was lost, the keys of all nodes side by side, and who has each acknowledged write."""

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from engine.sentinel.role import SentinelRole
from engine.simulation.cluster_state import cluster_views
from engine.simulation.state import ValueView, value_views
from engine.simulation.world import World
from tutor.lab import data
from tutor.lab.data import DataRow
from tutor.screens.laboratory.pane import Pane
from tutor.screens.laboratory.view import LabView
from tutor.widgets.drawn import Drawn


class DataPane(VerticalScroll, Pane, can_focus=False):
    """What is true of the data."""

    def __init__(self) -> None:
        super().__init__(id="data", classes="pane")
        self._rows: list[DataRow] = []
        self._read: dict[str, tuple[int, dict[tuple[int, bytes], ValueView]]] = {}  # keys, and the node's version

    def compose(self) -> ComposeResult:
        """Lay out the rows."""
        yield Drawn("", id="data-text")

    def draw_view(self, view: LabView) -> None:
        """Draw what is so at the present place, while the pane is in sight."""
        if not self.display:
            return
        session = view.session
        width = max(40, self.size.width - 2)
        moves = bool(cluster_views(session.world))
        rows = data.pane(session.ledger, session.history, lambda: self._keys(session.world), width, moves)
        self._rows = list(rows)
        self.query_one(Drawn).draw([row.text for row in self._rows])

    def _keys(self, world: World) -> dict[str, dict[tuple[int, bytes], ValueView]]:
        """Return the keys of the servers that run; of those that had no input since, as they were read."""
        self._read = {
            name: known
            if (known := self._read.get(name)) is not None and known[0] == host.version
            else (host.version, value_views(world, name))
            for name, host in world.hosts.items()
            if host.node is not None and host.role is not SentinelRole
        }
        return {name: keys for name, (_, keys) in self._read.items()}

    @on(Drawn.Clicked)
    def _clicked(self, event: Drawn.Clicked) -> None:
        event.stop()
        if event.row < len(self._rows) and self._rows[event.row].event >= 0:
            self.post_message(self.MomentChosen(self._rows[event.row].event))
