"""What the laboratory's panes show, as rows of styled text: no widget, no colour alone.

Nodes that differ in history show another letter; the offset of each stands in the same column, so that differences
are what the eye finds first.
"""

from tutor.lab.look import Letters, NodeView
from tutor.lab.telling import Row

Text = list[tuple[str, str]]  # text and its style: "", strong, dim, good, bad, accent
LANE = 8


def cluster(
    nodes: dict[str, NodeView], letters: Letters, selected: str, cuts: list[str]
) -> tuple[list[Text], list[str]]:
    """Draw the nodes, replicas below their masters; returns the rows, and whose each of them is."""
    rows: list[Text] = []
    owners: list[str] = []
    by_address = {node.address: name for name, node in nodes.items()}
    newest = max((node.offset for node in nodes.values()), default=0)

    def draw(node: NodeView, depth: int) -> None:
        indent = "   " * depth
        hook = f"{indent[:-3]}└─ " if depth else ""
        mark = "▸" if node.name == selected else " "
        glyph, style = {"down": ("○ down", "bad"), "paused": ("‖ paused", "accent")}.get(node.state, ("● ", "good"))
        role = node.role if node.state != "down" else ""
        rows.append([(f"{mark}{hook}", "dim"), (glyph, style), (f"{node.name} ", "strong"), (node.address, "dim"),
                     (f"  {role}", "strong" if role == "master" else "")])  # fmt: skip
        if node.state == "down":
            return
        behind = newest - node.offset
        offset = f"{letters.of(node.replid)}  offset {node.offset}"
        line: Text = [(f"    {indent}", ""), (offset, "accent")]
        if behind:
            line.append((f"  {behind} B less than the newest", "bad"))
        line.append((f"  {node.keys} {'key' if node.keys == 1 else 'keys'}", ""))
        rows.append(line)
        if node.replid2:
            rows.append([(f"    {indent}and {letters.of(node.replid2)} below {node.second_offset}", "dim")])
        if node.role == "replica":
            up = node.link == "up"
            whom = by_address.get(node.master, node.master)
            told = "✓ linked to" if up else f"✗ not linked ({node.link}) to"
            rows.append([(f"    {indent}{told} {whom}", "good" if up else "bad")])

    drawn: dict[str, None] = {}

    def below(name: str, depth: int) -> None:
        if name in drawn:
            return
        drawn[name] = None
        draw(nodes[name], depth)
        owners.extend([name] * (len(rows) - len(owners)))
        for other, node in nodes.items():
            if node.role == "replica" and by_address.get(node.master) == name:
                below(other, depth + 1)

    for name, node in nodes.items():
        if node.role != "replica" or by_address.get(node.master) not in nodes:
            below(name, 0)
    for name in nodes:
        below(name, 0)
    rows += [[(f"✂ {cut}", "bad")] for cut in cuts]
    return rows, owners


def backlog(nodes: dict[str, NodeView], letters: Letters, width: int) -> list[Text]:
    """Draw the backlog of each master that has one, and where its replicas stand in it."""
    rows: list[Text] = []
    by_address = {node.address: node for node in nodes.values()}
    for node in nodes.values():
        if node.role != "master" or node.backlog is None:
            continue
        first, last, size = node.backlog
        room = max(10, width - 2)
        held = last - first + 1
        full = min(room, -(-held * room // size)) if held > 0 else 0
        rows.append([(f"{node.name}  ", "strong"), (f"{first} – {last}", "accent"), (f"  {held} of {size} B", "dim")])
        rows.append([("░" * (room - full) + "▓" * full, "")])
        for other in nodes.values():
            master = by_address.get(other.master)
            if other.role == "replica" and master is node:
                wants = other.offset + 1
                known = other.replid in (node.replid, node.replid2)
                ok = known and first <= wants <= last + 1
                what = "would be partial" if ok else "would need a full resync"
                sign = "✓" if ok else "✗"
                rows.append([(f"{sign} {other.name} ", "good" if ok else "bad"), (f"wants {wants}: {what}", "")])
    return rows or [[("No master has a backlog: nobody has followed yet.", "dim")]]


def lanes(names: list[str]) -> str:
    """Return the heading of the messages: time and who."""
    return " " * 11 + "".join(f"{name[: LANE - 1]:<{LANE}}" for name in names)


def message(row: Row, time: str, names: list[str]) -> Text:
    """Draw a happening in its lanes: an arrow from one to the other, then what it was."""
    _, kind, source, target, text = row
    cells = [("│" + " " * (LANE - 1)) for _ in names]
    if kind == "!":
        return [(f"{time:>9}  ", "dim"), (f"▌ {text}", "accent")]
    if source in names and target in names:
        a, b = names.index(source), names.index(target)
        low, high = min(a, b), max(a, b)
        stroke = {">": "─", "+": "┄"}.get(kind, "✗")
        for at in range(low, high):
            cells[at] = ("│" if at == low else "┼" if kind == ">" else "│") + stroke * (LANE - 1)
        if a < b:
            cells[high - 1] = cells[high - 1][:-1] + "▶"
        else:
            cells[low] = "│◀" + cells[low][2:]
    elif source in names:
        at = names.index(source)
        cells[at] = ("●" if kind == "*" else "◆") + " " * (LANE - 1)
    style = {"x": "bad", "?": "", "*": "strong", "+": "dim"}.get(kind, "")
    return [(f"{time:>9}  ", "dim"), ("".join(cells), "bad" if kind == "x" else "dim"), (text, style)]
