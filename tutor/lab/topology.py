"""The cluster as a drawing: nodes as boxes that keep their place, links between them, messages on their way.

    ╔═════════╗                        ┌─────────┐
    ║ ● A     ║━━━━━━━━━━━━●━━━━━━━━━━▶│ ● B     │      a master has a double frame, a Sentinel a round one
    ║ α 83    ║                        │ α 83    │      and clients none
    ╚═════════╝                        └─────────┘

The stroke says what a link is, without color: `━▶` a master's stream to its replica, `─` connected, `·` no
connection yet, `╌✂╌` silent (bytes wait: so many), `╌½╌` half-open (bytes get lost), `≈` slow. `●` is a message that
is under way, at the part of the way that it has come; `◆` are messages that came since the picture before.
"""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from engine.simulation import trace
from engine.simulation.connection import LATENCY_US
from engine.simulation.program_state import ProgramView
from engine.simulation.state import ApplicationView, LinkView, NodeView
from engine.simulation.trace import TraceEvent
from tutor.lab.drawing import ChosenMessage, Text
from tutor.pictures.letters import Letters

CAPACITIES = (1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 20, 25, 30, 36)
ON_ELLIPSE = 8  # nodes at most; more stand in rows
LOOKED_AT = 400  # events before the present place, among which those are that are under way
RECENT_MAX = 40
Cell = tuple[int, int]

_FRAMES = {"master": "╔═╗║╚╝", "replica": "┌─┐│└┘", "sentinel": "╭─╮│╰╯", "": "┌╌┐┆└┘"}
_LIGHT, _HEAVY = "─│╮╯╭╰", "━┃┓┛┏┗"
_GLYPHS = {"up": "●", "down": "○", "paused": "‖"}


class MovingMessage(NamedTuple):
    """A message that is under way, and how much of its way it has come; 2: it has arrived since the last picture."""

    source: str
    target: str
    part: float


class NodeBox(NamedTuple):
    """Where a node is drawn: its first column and row, and its size."""

    name: str
    x: int
    y: int
    width: int
    height: int

    @property
    def middle(self) -> Cell:
        """The cell in the middle."""
        return self.x + self.width // 2, self.y + self.height // 2

    def has(self, x: int, y: int) -> bool:
        """Tell whether a cell is in it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


def under_way(events: Sequence[TraceEvent], place: int, now_us: int, links: Sequence[LinkView], since: int) -> list[
    MovingMessage
]:  # fmt: skip
    """Return the messages between machines at a place, and those that have come and gone since an earlier place."""
    latency = {frozenset((link.a, link.b)): link.latency_us for link in links}
    cut = {frozenset((link.a, link.b)) for link in links if not link.whole}
    arrived: dict[int, int] = {}
    messages: list[MovingMessage] = []
    first = max(0, place - LOOKED_AT)
    for number in range(place - 1, first - 1, -1):
        event = events[number]
        if isinstance(event, trace.Delivered | trace.Dropped):
            arrived[event.sent] = number
        elif isinstance(event, trace.Sent):
            pair = frozenset((event.source, event.target))
            if number not in arrived and pair in cut:
                continue  # the link tells how much waits
            if number not in arrived:
                takes = max(1, latency.get(pair, LATENCY_US))
                part = min(0.95, (now_us - event.at_us) / takes)
                messages.append(MovingMessage(event.source, event.target, part))
            elif arrived[number] >= since:
                messages.append(MovingMessage(event.source, event.target, 2.0))
            if len(messages) >= RECENT_MAX:
                break
    return messages


class Topology:
    """A drawing of machines, each of which keeps its place as long as the others leave room."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self.boxes: list[NodeBox] = []

    def _arrange(self, names: Collection[str]) -> int:
        """Give each machine a slot; return how many slots there are."""
        for name in names:
            if name not in self._slots:
                taken = set(self._slots.values())
                self._slots[name] = next(slot for slot in range(len(names) + len(taken)) if slot not in taken)
        most = max(self._slots[name] for name in names) + 1
        return next((capacity for capacity in CAPACITIES if capacity >= most), most)

    def draw(
        self,
        nodes: dict[str, NodeView],
        programs: Collection[str],
        links: Sequence[LinkView],
        messages: Sequence[MovingMessage],
        letters: Letters,
        selected: str,
        chosen: ChosenMessage,
        size: tuple[int, int],
    ) -> list[Text]:
        """Draw machines in so many columns and rows; `programs` are clients and applications."""
        width, height = size
        names = [*nodes, *programs]
        canvas = _Canvas(width, height)
        if not names:
            return [[("There is no node yet.", "dim")]]
        self.boxes = self._boxes(names, nodes, width, height)
        by_name = {box.name: box for box in self.boxes}
        by_address = {node.address: name for name, node in nodes.items()}
        follows = {(by_address.get(node.master, ""), name) for name, node in nodes.items() if node.link == "up"}
        many = (
            [name for name in names if name not in nodes or nodes[name].role == "sentinel"] if len(names) > 4 else []
        )
        messages = [each for each in messages if each.part <= 1 or not {each.source, each.target}.intersection(many)]
        busy = {frozenset((message.source, message.target)) for message in messages}
        for link in links:
            if link.a in by_name and link.b in by_name:
                ordinary = [] if {link.a, link.b} in busy else many
                self._link(canvas, link, by_name, follows, chosen, ordinary)
        self._messages(canvas, messages, chosen, by_name)
        for box in self.boxes:
            self._box(canvas, box, nodes.get(box.name), letters, selected, chosen)
        return canvas.rows()

    def _boxes(self, names: Sequence[str], nodes: dict[str, NodeView], width: int, height: int) -> list[NodeBox]:
        """Return the largest boxes that have room: on an ellipse, or in rows where they are many."""
        slots = self._arrange(names)
        for ellipse, tall in ((True, 4), (True, 3), (False, 3), (True, 1), (False, 1)):
            if ellipse and slots > ON_ELLIPSE:
                continue
            boxes = [self._place(name, name in nodes, slots, ellipse, tall, width, height) for name in names]
            if not any(_touch(one, other) for at, one in enumerate(boxes) for other in boxes[at + 1 :]):
                break
        return boxes

    def _place(
        self, name: str, is_node: bool, slots: int, ellipse: bool, tall: int, width: int, height: int
    ) -> NodeBox:  # fmt: skip
        slot = self._slots[name]
        columns = math.ceil(math.sqrt(slots * 1.3))
        lines = math.ceil(slots / columns)
        wide = max(len(name) + 6, 13) if tall == 4 and is_node else len(name) + (6 if tall > 1 else 3)
        wide = min(wide, width if slots == 1 else width // 2 - 1 if ellipse else width // columns - 1)
        if slots == 1:
            x, y = (width - wide) / 2, (height - tall) / 2
        elif ellipse:
            turn = 2 * math.pi * slot / slots - (math.pi if slots == 2 else math.pi / 2)
            x = (width - wide) / 2 * (1 + math.cos(turn))
            y = (height - tall) / 2 * (1 + math.sin(turn))
        else:
            line, column = divmod(slot, columns)
            shift = (width // columns) // 2 if line % 2 else 0
            x = min(width - wide, column * (width // columns) + shift)
            y = line * (height - tall) / max(1, lines - 1)
        return NodeBox(name, max(0, round(x)), max(0, round(y)), max(4, wide), tall)

    @staticmethod
    def _link(
        canvas: "_Canvas",
        link: LinkView,
        by_name: dict[str, NodeBox],
        follows: set[tuple[str, str]],
        chosen: ChosenMessage,
        many: Collection[str],
    ) -> None:
        stream = next((pair for pair in ((link.a, link.b), (link.b, link.a)) if pair in follows), None)
        a, b = stream or (link.a, link.b)
        slow = link.latency_us > LATENCY_US or link.bytes_per_s > 0
        about = {link.a, link.b} == {chosen.source, chosen.target}
        if link.whole and not slow and not stream and not about and (link.a in many or link.b in many):
            return
        path = _between(by_name[a], by_name[b])
        if not path:
            return
        if not link.whole:
            canvas.stroke(path, "╌┆╌╌╌╌", "bad")
            sign = "½" if "lost" in link.states else "✂"
            canvas.put(*path[len(path) // 2], sign, "bad")
            waiting = sum(link.under_way)
            if waiting:
                canvas.text(path[len(path) // 2][0] + 1, path[len(path) // 2][1], f"{waiting} B", "accent")
        elif slow:
            canvas.stroke(path, "≈≈≈≈≈≈", "accent")
        elif stream:
            canvas.stroke(path, _HEAVY, "good")
        else:
            canvas.stroke(path, _LIGHT if link.connected else "······", "dim")
        if stream and link.whole:
            canvas.put(*path[-1], _head(path), "good")

    @staticmethod
    def _messages(
        canvas: "_Canvas", messages: Sequence[MovingMessage], chosen: ChosenMessage, by_name: dict[str, NodeBox]
    ) -> None:
        for message in sorted(messages, key=lambda each: -each.part):
            if message.source in by_name and message.target in by_name:
                path = _between(by_name[message.source], by_name[message.target])
                if path:
                    part = 0.66 if message.part > 1 else max(0.0, message.part)
                    at = path[min(len(path) - 1, int(part * len(path)))]
                    canvas.put(*at, "◆" if message.part > 1 else "●", "accent")
        if chosen.source in by_name and chosen.target in by_name:
            path = _between(by_name[chosen.source], by_name[chosen.target])
            if path:
                canvas.put(*path[-1], _head(path), "accent")

    @staticmethod
    def _box(
        canvas: "_Canvas",
        box: NodeBox,
        node: NodeView | None,
        letters: Letters,
        selected: str,
        chosen: ChosenMessage,
    ) -> None:
        state = node.state if node is not None else "up"
        role = node.role if node is not None and state != "down" else ""
        style = "bad" if state == "down" else "accent" if box.name in (chosen.source, chosen.target) else "strong"
        mark = "▸" if box.name == selected else " "
        name = f"{mark}{_GLYPHS[state]} {box.name}" if node is not None else f"{mark} {box.name}"
        if box.height == 1:
            frame = {"master": "[]", "sentinel": "()"}.get(role, "  " if node is None else "<>")
            sign = _GLYPHS[state] if state != "up" else mark
            name = f"{sign}{box.name}".ljust(box.width - 2)[: box.width - 2]
            canvas.text(box.x, box.y, f"{frame[0]}{name}{frame[1]}", style)
            return
        for y in range(box.y, box.y + box.height):
            canvas.text(box.x, y, " " * box.width, "")
        if node is not None:
            canvas.frame(box, _FRAMES[role], style)
        inner = box.width - 2
        canvas.text(box.x + 1, box.y + 1, name[:inner], style)
        if box.height == 4 and node is not None:
            letter = letters.shown(node.replid).partition(" ")[0]
            told = {"down": "down", "paused": "paused"}.get(state) or (
                "Sentinel" if role == "sentinel" else f"{letter} {node.offset}"
            )
            canvas.text(box.x + 2, box.y + 2, told[: inner - 1], "bad" if state == "down" else "dim")

    def at(self, x: int, y: int) -> str:
        """Return the node whose box has a cell; "" if none has."""
        return next((box.name for box in self.boxes if box.has(x, y)), "")


def _touch(one: NodeBox, other: NodeBox) -> bool:
    """Tell whether two boxes overlap, or have no gap between them."""
    beside = one.x + one.width < other.x or other.x + other.width < one.x
    above = one.y + one.height <= other.y or other.y + other.height <= one.y
    return not (beside or above)


def _between(a: NodeBox, b: NodeBox) -> list[Cell]:
    """Return the cells of a line from one box to another, without those in the boxes."""
    (x, y), (to_x, to_y) = a.middle, b.middle
    cells = [(x, y)]
    wide, high = abs(to_x - x), abs(to_y - y)
    right, down = (1 if to_x > x else -1), (1 if to_y > y else -1)
    steps = wide + high
    done_x = done_y = 0
    for _ in range(steps):
        # The step that keeps nearer to the line; so the path is of straight pieces with corners.
        if done_y >= high or (done_x < wide and (done_x + 0.5) * high <= (done_y + 0.5) * wide):
            done_x += 1
        else:
            done_y += 1
        cells.append((x + right * done_x, y + down * done_y))
    return [cell for cell in cells if not a.has(*cell) and not b.has(*cell)]


def _head(path: Sequence[Cell]) -> str:
    """Return the head of an arrow at the end of a path."""
    if len(path) < 2:
        return "◆"
    (x, y), (to_x, to_y) = path[-2:]
    return "▶" if to_x > x else "◀" if to_x < x else "▼" if to_y > y else "▲"


class _Canvas:
    """Cells with a character and a style each."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cells: dict[Cell, tuple[str, str]] = {}

    def put(self, x: int, y: int, character: str, style: str) -> None:
        if 0 <= x < self.width and 0 <= y < self.height:
            self._cells[x, y] = character, style

    def text(self, x: int, y: int, text: str, style: str) -> None:
        for at, character in enumerate(text):
            self.put(x + at, y, character, style)

    def frame(self, box: NodeBox, signs: str, style: str) -> None:
        left_top, across, right_top, up, left_low, right_low = list(signs)
        right, low = box.x + box.width - 1, box.y + box.height - 1
        self.text(box.x, box.y, left_top + across * (box.width - 2) + right_top, style)
        self.text(box.x, low, left_low + across * (box.width - 2) + right_low, style)
        for y in range(box.y + 1, low):
            self.put(box.x, y, up, style)
            self.put(right, y, up, style)

    def stroke(self, path: Sequence[Cell], signs: str, style: str) -> None:
        """Draw a line: signs are those of across, up, and the corners from right to down, to up, left to down, up."""
        across, up, right_down, right_up, left_down, left_up = list(signs)
        for at, (x, y) in enumerate(path):
            before = path[at - 1] if at else path[at]
            after = path[at + 1] if at + 1 < len(path) else path[at]
            came, goes = (x - before[0], y - before[1]), (after[0] - x, after[1] - y)
            if came == (0, 0):
                came = goes
            if goes == (0, 0):
                goes = came
            if came[1] == 0 and goes[1] == 0:
                sign = across
            elif came[0] == 0 and goes[0] == 0:
                sign = up
            else:
                corners = {
                    ((1, 0), (0, 1)): right_down, ((0, -1), (-1, 0)): right_down,
                    ((1, 0), (0, -1)): right_up, ((0, 1), (-1, 0)): right_up,
                    ((-1, 0), (0, 1)): left_down, ((0, -1), (1, 0)): left_down,
                    ((-1, 0), (0, -1)): left_up, ((0, 1), (1, 0)): left_up,
                }  # fmt: skip
                sign = corners.get((came, goes), across)
            self.put(x, y, sign, style)

    def rows(self) -> list[Text]:
        """Return all rows."""
        rows: list[Text] = []
        for y in range(self.height):
            row: Text = []
            text, style = "", ""
            for x in range(self.width):
                character, its = self._cells.get((x, y), (" ", ""))
                if its != style and text:
                    row.append((text, style))
                    text = ""
                style = its
                text += character
            row.append((text.rstrip() if not row else text, style))
            rows.append(row)
        return rows


def programs_of(
    applications: Sequence[ApplicationView | ProgramView], links: Sequence[LinkView], nodes: Collection[str]
) -> list[str]:
    """Return the clients and applications to be drawn: those that have, or had, a connection."""
    names = {view.name: None for view in applications}
    for link in links:
        for name in (link.a, link.b):
            if name not in nodes and not name.startswith("@"):
                names[name] = None
    return list(names)
