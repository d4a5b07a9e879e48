"""Two branches of a history side by side, at the same virtual time: what happened there, and what is different.

Each branch is moved in a copy of the history, so that the history itself stays where it is. A step goes to the next
time at which something happened in either of them.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from engine.keyspace.digest import key_digest
from engine.simulation.history import History
from engine.simulation.state import NodeView, node_views
from engine.simulation.trace import TraceEvent
from tutor.lab.drawing import Text
from tutor.lab.format import EventFormatter, Row, clock
from tutor.pictures.letters import Letters

KEYS_SHOWN = 6
ROWS_SHOWN = 4  # of what happened last in each branch
READ_MAX = 30_000  # events of a branch, of which the last ones before a time are shown
STEPS_MAX = 2_000  # to the next difference
Keys = dict[tuple[int, bytes], bytes]  # database and key: digest of the value


class Side(NamedTuple):
    """A branch at a time."""

    name: str
    at_us: int
    over: bool  # whether it ends there
    nodes: dict[str, NodeView]
    data: dict[str, Keys]


class SideBySide:
    """Two branches at one time. Raises HistoryError."""

    def __init__(self, history: History, first: str, second: str, letters: Letters) -> None:
        self.letters = letters
        self.names = first, second
        self.parted = history.compare(first, second)
        self.viewers = history.viewer(first), history.viewer(second)
        self._ends = [viewer.branch_now.places[-1].now_us for viewer in self.viewers]
        happened = {event.at_us for viewer in self.viewers for event in viewer.trace[self.parted.common :]}
        common = self.viewers[0].trace[self.parted.common - 1].at_us if self.parted.common else min(self._ends)
        self.times = sorted({common, *happened, *self._ends})
        self.at = len(self.times) - 1
        self._logs: list[list[Row]] = []
        for viewer in self.viewers:
            formatter, happened_there = EventFormatter(letters), viewer.trace[:READ_MAX]
            self._logs.append([row for event in happened_there for row in formatter.rows(event)])

    def close(self) -> None:
        """Give the memory of the copies back."""
        for viewer in self.viewers:
            viewer.drop(viewer.world)

    @property
    def now_us(self) -> int:
        """The time at which both are looked at."""
        return self.times[self.at]

    def move(self, by: int) -> None:
        """Go on, or back, by so many times at which something happened."""
        self._be_at(max(0, min(len(self.times) - 1, self.at + by)))

    def parting(self) -> None:
        """Go to the last time at which both are the same."""
        self._be_at(0)

    def end(self) -> None:
        """Go to the end of both."""
        self._be_at(len(self.times) - 1)

    def next_difference(self) -> bool:
        """Go to the next time at which other things are different than now; False: there is none near."""
        start, now = self.at, self.differences()
        for at in range(start + 1, min(len(self.times), start + STEPS_MAX)):
            self._be_at(at)
            if self.differences() != now:
                return True
        self._be_at(start)
        return False

    def _be_at(self, at: int) -> None:
        self.at = at
        for viewer in self.viewers:
            viewer.look_at(self.now_us)

    def _side(self, number: int) -> Side:
        viewer = self.viewers[number]
        world = viewer.world
        data: dict[str, Keys] = {}
        for host in world.hosts.values():
            if host.node is not None:
                data[host.name] = {
                    (db.index, key): key_digest(db, key) for db in host.node.space.databases for key in db.positions
                }
        at_us = min(self.now_us, self._ends[number])
        return Side(self.names[number], at_us, self.now_us >= self._ends[number], node_views(world), data)

    def differences(self) -> frozenset[tuple[str, str]]:
        """Return what is different now: nodes, and in what."""
        one, other = self._side(0), self._side(1)
        found: set[tuple[str, str]] = set()
        for name in {*one.nodes, *other.nodes}:
            facts = [_facts(side.nodes.get(name), self.letters) for side in (one, other)]
            found |= {(name, label) for label in {*facts[0], *facts[1]} if facts[0].get(label) != facts[1].get(label)}
            if one.data.get(name) != other.data.get(name):
                found.add((name, "data"))
        return frozenset(found)

    def rows(self, width: int) -> list[Text]:
        """Return what is to be shown."""
        first, second = self.names
        sides = self._side(0), self._side(1)
        column = max(16, min(36, (width - 20) // 2))
        told = [f"{'ends at' if side.over else 'at'} {clock(side.at_us)} s" for side in sides]
        rows: list[Text] = [
            [(f"The first {self.parted.common} events are the same. Then", "")],
            [(f"{first:<12}", "strong"), ("  " + _told(self.parted.first), "")],
            [(f"{second:<12}", "strong"), ("  " + _told(self.parted.second), "")],
            [("", "")],
            [(" " * 18, ""), (f"{first:<{column}}", "strong"), (second, "strong")],
            [(f"{'':<18}{told[0]:<{column}}{told[1]}", "dim")],
        ]
        rows += self._happened(column)
        for name in list(dict.fromkeys([*sides[0].nodes, *sides[1].nodes])):
            rows.append([(name, "strong")])
            one, other = (_facts(side.nodes.get(name), self.letters) for side in sides)
            for label in dict.fromkeys([*one, *other]):
                left, right = one.get(label, "–"), other.get(label, "–")
                same = left == right
                sign, style = (" ", "dim") if same else ("≠", "bad")
                rows.append(
                    [(f"{sign} ", style), (f"{label:<16}", "dim"), (f"{left:<{column}}", "dim" if same else ""),
                     (right, "dim" if same else "strong")]
                )  # fmt: skip
            rows += _keys(name, sides)
        return rows

    def _happened(self, column: int) -> list[Text]:
        """Return what happened last in each branch, where they are not at their ends."""
        if self.at == len(self.times) - 1:
            return []
        lasts: list[list[Row]] = []
        for viewer, log in zip(self.viewers, self._logs, strict=True):
            known = bisect_right(viewer.trace, self.now_us, key=lambda event: event.at_us)
            since = max(0, bisect_left(log, max(self.parted.common, 1), key=lambda row: row[0]))
            until = bisect_left(log, known, key=lambda row: row[0])
            lasts.append(log[max(since, until - ROWS_SHOWN) : until])
        rows: list[Text] = []
        for at in range(max(map(len, lasts), default=0)):
            cells = [_cell(last[at], column - 1) if at < len(last) else "" for last in lasts]
            times = {clock(viewer.trace[last[at][0]].at_us) for viewer, last in zip(self.viewers, lasts, strict=True)
                     if at < len(last)}  # fmt: skip
            rows.append([
                (f"{' / '.join(sorted(times))[:17]:<18}", "dim"), (f"{cells[0]:<{column}}", ""), (cells[1], ""),
            ])  # fmt: skip
        return rows


def _cell(row: Row, width: int) -> str:
    _, _, source, target, text = row
    who = f"{source} → {target}: " if target else f"{source}: " if source else ""
    told = f"{who}{' '.join(text.split())}"
    return told if len(told) <= width else told[: width - 1] + "…"


def _facts(node: NodeView | None, letters: Letters) -> dict[str, str]:
    if node is None:
        return {"": "no such node"}
    if node.state == "down":
        return {"state": "down"}
    facts = {"state": node.state, "role": node.role, "replication ID": letters.shown(node.replid),
             "offset": str(node.offset), "keys": str(node.keys)}  # fmt: skip
    if node.role == "replica":
        facts["link"] = f"{node.link} to {node.master}"
    if node.replid2:
        facts["former ID"] = f"{letters.shown(node.replid2)} below {node.second_offset}"
    facts["resyncs"] = f"{node.sync_full} full, {node.sync_partial_ok} partial"
    return facts


def _keys(name: str, ends: tuple[Side, Side]) -> list[Text]:
    """Tell which keys of a node are in one branch only, or have another value there."""
    rows: list[Text] = []
    one, other = (end.data.get(name, {}) for end in ends)
    for what, keys in (
        (f"only in {ends[0].name}", [key for key in one if key not in other]),
        (f"only in {ends[1].name}", [key for key in other if key not in one]),
        ("another value", [key for key in one if key in other and one[key] != other[key]]),
    ):
        if keys:
            shown = ", ".join(key.decode("utf-8", "replace") for _, key in sorted(keys)[:KEYS_SHOWN])
            more = f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else ""
            rows.append([("≠ ", "bad"), (f"{what}: ", "strong"), (f"{shown}{more}", "")])
    return rows


def _told(event: TraceEvent | None) -> str:
    if event is None:
        return "ends there"
    rows = list(EventFormatter().rows(event))
    what = rows[0] if rows else (0, "", getattr(event, "host", ""), "", type(event).__name__.lower())
    who = f"{what[2]} → {what[3]}: " if what[3] else f"{what[2]}: " if what[2] else ""
    return f"{clock(event.at_us)} s  {who}{what[4]}"


__all__ = ["Side", "SideBySide"]
