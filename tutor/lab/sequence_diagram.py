"""The sequence diagram: time downwards, a path for each machine, what was said on the arrow between two of them.

The paths take no more than two fifths of the room, so that what was said stays readable: they become narrower when
there are more of them, and clients that say nothing in what is shown have none. More than nine machines have a path
each only where that leaves the text forty columns; otherwise those that say least share the last path, and their rows
name them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from engine.simulation.actions import PROMPT
from tutor.lab.actions import shown
from tutor.lab.drawing import Text
from tutor.lab.format import Row

WIDEST, NARROWEST = 8, 4
PATHS_OF_THEIR_OWN = 9  # machines at most that have one each whatever the room
TEXT_WIDTH = 40  # at least, with more machines than that
BEFORE = 4  # columns beside the time: the mark of the chosen row, and a gap

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
    others: frozenset[str] = frozenset()  # who shares the last path, where there is no room for one each

    @classmethod
    def fitting(
        cls, rows: Sequence[Row], machines: Sequence[str], nodes: Sequence[str], time: int, room: int
    ) -> "Lanes":
        """Return the paths for rows that are shown in so many columns."""
        speaking = Counter(name for _, _, source, target, _ in rows for name in (source, target))
        names = [name for name in machines if name in nodes or name in speaking]
        most = max(3, (room - time - BEFORE - TEXT_WIDTH) // NARROWEST)
        others: frozenset[str] = frozenset()
        if len(names) > max(most, PATHS_OF_THEIR_OWN):
            ranked = sorted(names, key=lambda name: -speaking[name])  # in the order of machines where they are equal
            chosen = dict.fromkeys(ranked[: most - 1])
            others = frozenset(ranked[most - 1 :])
            names = [name for name in names if name in chosen] + [f"+{len(others)}"]
        lanes = room - time - BEFORE - TEXT_WIDTH if others else room * 2 // 5
        width = lanes // len(names) if names else WIDEST
        return cls(names, max(NARROWEST, min(WIDEST, width)), time, others)

    def lane_of(self, name: str) -> int:
        """Return the path of a machine; -1: it has none."""
        if name in self.others:
            return len(self.names) - 1
        return self.names.index(name) if name in self.names else -1

    def heading(self) -> str:
        """Return the line above: who is who."""
        room = self.width - 1
        return " " * (self.time + BEFORE) + "".join(f"{_short(name, room):<{self.width}}" for name in self.names)

    def gap(self) -> str:
        """Return a row between two others: only the paths."""
        return " " * (self.time + BEFORE) + "".join("│" + " " * (self.width - 1) for _ in self.names)

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
        if source in self.others or target in self.others:  # the path does not tell who it is
            ends = [shown(name).strip() for name in (source, target) if name]
            text = f"{' → '.join(ends)}: {text}"
        return [*head, (self._cells(kind, source, target, stroke), ink), (text, style)]

    def _cells(self, kind: str, source: str, target: str, stroke: str) -> str:
        names, wide = self.names, self.width - 1
        cells = ["│" + " " * wide for _ in names]
        a, b = self.lane_of(source), self.lane_of(target)
        if a == b >= 0 and target:
            cells[a] = ("├" + stroke * wide)[:-1] + "┤"
        elif a >= 0 and b >= 0:
            low, high = min(a, b), max(a, b)
            for at in range(low, high):
                cells[at] = ("│" if at == low or kind != ">" else "┼") + stroke * wide
            if a < b:
                cells[high - 1] = cells[high - 1][:-1] + "▶"
            else:
                cells[low] = "│◀" + cells[low][2:]
        elif a >= 0:
            cells[a] = ("●" if kind == "*" else "◆") + " " * wide
        return "".join(cells)
