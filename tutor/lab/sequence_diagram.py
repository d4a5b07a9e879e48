"""The sequence diagram: time downwards, a path for each machine, what was said on the arrow between two of them.

The paths take no more than two fifths of the room, so that what was said stays readable: they become narrower when
there are more of them, and clients that say nothing in what is shown have none.
"""

from collections.abc import Sequence
from typing import NamedTuple

from engine.simulation.actions import PROMPT
from tutor.lab.drawing import Text
from tutor.lab.format import Row

WIDEST, NARROWEST = 8, 4

# A message's stroke and style by what its bytes are (`tutor.lab.explain.Part.kind`): it can be told without color.
STROKES = {
    "psync": ("─", "accent"), "continue": ("─", "accent"), "fullresync": ("─", "accent"),
    "snapshot": ("═", "accent"), "size": ("═", "accent"), "mark": ("═", "accent"),
    "stream": ("━", "good"),
    "ack": ("·", "dim"), "alive": ("·", "dim"), "newline": ("·", "dim"),
}  # fmt: skip


def _short(name: str, room: int) -> str:
    """Return a name that fits, with the number at its end: it tells `redis01` from `redis02`."""
    if name.startswith(PROMPT):
        return "you"[:room]
    name = name.strip()
    if len(name) <= room:
        return name
    number = name[len(name.rstrip("0123456789")) :][-room:].lstrip("0")
    return name[: room - len(number)] + number


class Lanes(NamedTuple):
    """Who has a path, how wide each is, and the columns that the time takes."""

    names: list[str]
    width: int = WIDEST
    time: int = 6

    @classmethod
    def fitting(
        cls, rows: Sequence[Row], machines: Sequence[str], nodes: Sequence[str], time: int, room: int
    ) -> "Lanes":
        """Return the paths for rows that are shown in so many columns."""
        speaking = {name for _, _, source, target, _ in rows for name in (source, target)}
        names = [name for name in machines if name in nodes or name in speaking]
        width = room * 2 // 5 // len(names) if names else WIDEST
        return cls(names, max(NARROWEST, min(WIDEST, width)), time)

    def heading(self) -> str:
        """Return the line above: who is who."""
        room = self.width - 1
        return " " * (self.time + 4) + "".join(f"{_short(name, room):<{self.width}}" for name in self.names)

    def draw(self, row: Row, time: str, chosen: bool, what: str = "") -> Text:
        """Draw a event in its paths: an arrow from one to the other, then what it was; `what` are the bytes."""
        _, kind, source, target, text = row
        head: Text = [("▸ " if chosen else "  ", "accent"), (f"{time:>{self.time}}  ", "dim")]
        if kind == "!":
            return [*head, (f"▌ {text}", "accent")]
        style = {"x": "bad", "*": "strong", "+": "dim"}.get(kind, "")
        stroke, ink = STROKES.get(what, ("─", "dim"))
        if kind != ">":
            stroke, ink = ("┄", "dim") if kind == "+" else ("✗", "bad") if kind == "x" else ("", "dim")
        return [*head, (self._cells(kind, source, target, stroke), ink), (text, style)]

    def _cells(self, kind: str, source: str, target: str, stroke: str) -> str:
        names, wide = self.names, self.width - 1
        cells = ["│" + " " * wide for _ in names]
        if source in names and target in names:
            a, b = names.index(source), names.index(target)
            low, high = min(a, b), max(a, b)
            for at in range(low, high):
                cells[at] = ("│" if at == low or kind != ">" else "┼") + stroke * wide
            if a < b:
                cells[high - 1] = cells[high - 1][:-1] + "▶"
            else:
                cells[low] = "│◀" + cells[low][2:]
        elif source in names:
            cells[names.index(source)] = ("●" if kind == "*" else "◆") + " " * wide
        return "".join(cells)
