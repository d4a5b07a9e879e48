"""The laboratory on the full screen.

screen   keys, palette, what is chosen; draws all of it again after each change
view     what the screen hands to its panes
panes    the cluster, its messages, the chosen message, the scenario
header   where and when in the history this is
prompt   the line at which actions and commands are typed
topology the cluster, drawn
pending  what has not happened yet, to choose from
watches  the values that are watched
keeper   saving, the journal, and the question before leaving
sheet    a text to read and copy
player   the line of time, and time that runs

What a learner does there is carried out by `tutor.lab.session`.
"""

from tutor.screens.laboratory.player import SPEEDS
from tutor.screens.laboratory.screen import LaboratoryScreen

__all__ = ["SPEEDS", "LaboratoryScreen"]
