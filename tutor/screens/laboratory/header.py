"""The first line of the laboratory: which scenario, and where and when in its history."""

from tutor.lab.format import clock
from tutor.screens.laboratory.view import LabView
from tutor.widgets.header import HeaderBar


class LaboratoryHeader(HeaderBar):
    """The header of the laboratory."""

    def show_view(self, view: LabView) -> None:
        """Show the place in the history."""
        history = view.session.history
        at = f"t {clock(history.world.now_us)} s  event {history.place} of {len(history.trace)}"
        self.show(f"Laboratory › {view.session.spec.title}", f"{at}  {view.state}  {history.branch_name}")
