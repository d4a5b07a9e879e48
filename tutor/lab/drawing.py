"""What the laboratory's panes show, as rows of styled text: no widget, no color alone.

Nodes that differ in history show another letter; the offset of each stands in the same column, so that differences
are what the eye finds first.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from engine.simulation.application import WRITING
from engine.simulation.connection import LATENCY_US
from engine.simulation.state import ApplicationView, BeliefView, LinkView, NodeView, ResyncView
from tutor.lab.model import ScenarioSpec
from tutor.pictures.letters import Letters

Text = list[tuple[str, str]]  # text and its style: "", strong, dim, good, bad, accent


class ChosenMessage(NamedTuple):
    """The chosen message, as every pane marks it: who sends and who gets it, and the stream's bytes in it."""

    source: str = ""
    target: str = ""
    before: int = -1
    after: int = -1

    def mark(self, name: str) -> Text:
        """Return what stands behind a node that has to do with it."""
        if name == self.source:
            return [("  ▷ sends" if self.target else "  ◆ here", "accent")]
        return [("  ◁ gets", "accent")] if name == self.target else []


NOTHING = ChosenMessage()


def cluster(
    nodes: dict[str, NodeView],
    letters: Letters,
    selected: str,
    chosen: ChosenMessage = NOTHING,
    width: int = 0,
    sentinels: Collection[str] = (),
) -> tuple[list[Text], list[str]]:
    """Draw the servers, replicas below their masters; returns the rows, and whose each of them is.

    What fits beside each other in `width` columns stands in one row.
    """
    rows: list[Text] = []
    owners: list[str] = []
    by_address = {node.address: name for name, node in nodes.items()}
    newest: dict[str, int] = {}  # of each history
    for node in nodes.values():
        newest[node.replid] = max(newest.get(node.replid, 0), node.offset)

    nodes = {name: node for name, node in nodes.items() if node.role != "sentinel" and name not in sentinels}

    def draw(node: NodeView, depth: int) -> None:
        indent = "   " * depth
        hook = f"{indent[:-3]}└─ " if depth else ""
        mark = "▸" if node.name == selected else " "
        glyph, style = {"down": ("○ down ", "bad"), "paused": ("‖ paused ", "accent")}.get(node.state, ("● ", "good"))
        role = node.role if node.state != "down" else ""
        rows.append([(f"{mark}{hook}", "dim"), (glyph, style), (f"{node.name} ", "strong"), (node.address, "dim"),
                     (f"  {role}", "strong" if role == "master" else ""), *chosen.mark(node.name)])  # fmt: skip
        if node.state == "down":
            return
        behind = newest[node.replid] - node.offset
        offset = f"{letters.shown(node.replid)}  offset {node.offset}"
        line: Text = [(offset, "accent")]
        if behind:
            line.append((f" ({behind} behind)", "bad"))
        line.append((f"  {node.keys} {'key' if node.keys == 1 else 'keys'}", ""))
        pieces = [line]
        if node.replid2:
            pieces.append([(f"and {letters.shown(node.replid2)} below {node.second_offset}", "dim")])
        if node.role == "replica":
            up = node.link == "up"
            whom = by_address.get(node.master, node.master)
            told = "✓ linked to" if up else f"✗ not linked ({node.link}) to"
            line = [(f"{told} {whom}", "good" if up else "bad")]
            lag = _lag(node, nodes.get(whom))
            if lag is not None:
                line.append((f"  lag {lag} B", "bad" if behind else "dim"))
            pieces.append(line)
        rows.extend(_flowing(pieces, f"   {indent}", width))

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
    return rows, owners


def sentinels(
    nodes: dict[str, NodeView],
    beliefs: list[BeliefView],
    names: Collection[str],
    selected: str,
    chosen: ChosenMessage = NOTHING,
    width: int = 0,
) -> tuple[list[Text], list[str]]:
    """Draw what each Sentinel believes; returns the rows, and whose each of them is."""
    rows: list[Text] = []
    owners: list[str] = []
    by_address = {node.address: name for name, node in nodes.items()}
    ids = {belief.run_id: belief.sentinel for belief in beliefs}
    for name in names:
        node = nodes[name]
        glyph, style = {"down": ("○ down ", "bad"), "paused": ("‖ paused ", "accent")}.get(node.state, ("● ", "good"))
        mark = "▸" if name == selected else " "
        rows.append([(mark, "dim"), (glyph, style), (f"{name} ", "strong"), (node.address, "dim"),
                     *chosen.mark(name)])  # fmt: skip
        for belief in beliefs:
            if belief.sentinel == name:
                rows += _flowing(_belief(belief, by_address, ids), "   ", width)
        owners += [name] * (len(rows) - len(owners))
    return rows, owners


def _belief(belief: BeliefView, by_address: dict[str, str], ids: dict[str, str]) -> list[Text]:
    flags = belief.flags.split(",")
    master = by_address.get(belief.address, belief.address)
    head: Text = [(f"{belief.master}: ", ""), (master, "strong")]
    head += [(f" {flag}", "bad") for flag in ("s_down", "o_down") if flag in flags]
    pieces = [head, [(f"config {belief.config_epoch}, epoch {belief.current_epoch}", "accent")]]
    if belief.tilt:
        pieces.append([("TILT: does not act", "bad")])
    if "s_down" in flags:
        enough = belief.agree >= belief.quorum
        agree = f"down: {_bar(belief.agree, belief.voters)}"
        pieces.append([(f"{agree} of {belief.voters}, quorum {belief.quorum}", "bad" if enough else "")])
    if belief.vote:
        pieces.append([(f"voted {ids.get(belief.vote, belief.vote[:8])} in {belief.vote_epoch}", "")])
    if belief.failover_state != "none":
        pieces.append([(f"failover {belief.failover_epoch}: {belief.failover_state}", "accent")])
    if belief.failover_state == "wait_start":
        mine = (belief.run_id, belief.failover_epoch)
        votes = sum((member.vote, member.vote_epoch) == mine for member in belief.members)
        votes += (belief.vote, belief.vote_epoch) == mine
        needed = max(belief.voters // 2 + 1, belief.quorum)
        pieces.append([(f"votes: {_bar(votes, belief.voters)}, needs {needed}", "accent")])
    peers: Text = [("knows", "dim")]
    for member in belief.members:
        down = "s_down" in member.flags
        name = by_address.get(member.address, member.address)
        peers.append((f" {name}{' s_down' if down else ''}", "bad" if down else "dim"))
    pieces.append(peers)
    return pieces


def _bar(count: int, whole: int) -> str:
    return f"{'■' * count}{'□' * (whole - count)} {count}"


def applications(nodes: dict[str, NodeView], views: list[ApplicationView]) -> list[Text]:
    """Draw the applications: where they write, and what came of it."""
    by_address = {node.address: name for name, node in nodes.items()}
    rows: list[Text] = []
    for view in views:
        where = by_address.get(view.target, view.target)
        writes = view.does == WRITING
        does = f"writes to {where}" if writes else view.does + (f" {where}" if where else "")
        line: Text = [(f" {view.name} ", "strong"), ("asks Sentinel" if view.asks else "fixed address", "dim")]
        line.append((f"  {does}", "good" if writes else ""))
        line += [(f"  {view.error}", "bad")] if view.error else []
        rows.append(line)
        line = [
            (f"   {view.acknowledged} acknowledged", ""),
            (f"  {view.failed} failed", "bad" if view.failed else "dim"),
        ]
        lost = [f"{name} lacks {count}" for name, count in view.missing.items() if count]
        line += [(f"  {', '.join(lost)}", "bad")] if lost else []
        rows.append(line)
    return rows


def _flowing(pieces: list[Text], indent: str, width: int) -> list[Text]:
    """Return pieces in rows, as many in each as fit."""
    rows: list[Text] = []
    used = 0
    for piece in pieces:
        size = sum(len(text) for text, _ in piece)
        if rows and used + 3 + size <= width:
            rows[-1] += [("   ", ""), *piece]
            used += 3 + size
        else:
            rows.append([(indent, ""), *piece])
            used = len(indent) + size
    return rows


def _lag(replica: NodeView, master: NodeView | None) -> int | None:
    """Return what of the stream a replica has not acknowledged, as its master sees it; None: it does not see it."""
    for seen in master.replicas if master is not None else ():
        if seen.address == replica.address and seen.state == "online" and master is not None:
            return master.offset - seen.offset
    return None


def links(views: list[LinkView], chosen: ChosenMessage = NOTHING, many: Collection[str] = ()) -> list[Text]:
    """Draw the ways between machines: latency, bandwidth, what is under way, and what is wrong.

    Those of machines that talk to all others are left out as long as nothing is remarkable about them.
    """
    rows: list[Text] = []
    for view in views:
        ends = {view.a, view.b}
        ordinary = view.whole and view.latency_us == LATENCY_US and not view.bytes_per_s
        if ordinary and ends != {chosen.source, chosen.target} and not ends.isdisjoint(many):
            continue
        stroke = ("───" if view.connected else "┄┄┄") if view.whole else "─✂─"
        line: Text = [(f" {view.a} {stroke} {view.b}", "" if view.whole else "bad")]
        if view.whole:
            line.append((f"  {view.latency_us / 1000:g} ms", "dim"))
            line += [(f"  {view.bytes_per_s} B/s", "dim")] if view.bytes_per_s else []
            line += [] if view.connected else [("  no connection yet", "dim")]
        else:
            line.append((f"  {_wrong(view)}", "bad"))
        there, back = view.under_way
        if there:
            line.append((f"  {there} B ▶", "accent"))
        if back:
            line.append((f"  ◀ {back} B", "accent"))
        if {view.a, view.b} == {chosen.source, chosen.target}:
            line.append(("  ◂ the message", "accent"))
        rows.append(line)
    return rows


def _wrong(view: LinkView) -> str:
    words = {"silent": "silent: bytes wait", "lost": "half-open: bytes get lost"}
    there, back = view.states
    if there == back:
        return words[there]
    source, target, state = (view.a, view.b, there) if there != "up" else (view.b, view.a, back)
    return f"{source} to {target} {words[state]}"


def backlog(
    nodes: dict[str, NodeView],
    resyncs: Collection[ResyncView],
    letters: Letters,
    width: int,
    chosen: ChosenMessage = NOTHING,
) -> list[Text]:
    """Draw the backlogs, where the replicas stand in them, and the chosen message.

    One that no node follows is a line: it is for the case that its node is promoted.
    """
    rows: list[Text] = []
    for node in nodes.values():
        if node.backlog is None:
            continue
        followers = [view for view in resyncs if view.master == node.name]
        first, last, size = node.backlog
        held = last - first + 1
        kept = f"{first} – {last}" if held else f"empty, from {first} on"
        head: Text = [(f"{node.name}  ", "strong"), (kept, "accent"), (f"  {held} of {size} B", "dim")]
        if node.role != "master" and not followers:
            rows.append([*head, ("  used if it is promoted", "dim")])
            continue
        rows.append(head)
        room = max(10, width - 2)
        full = min(room, -(-held * room // size)) if held > 0 else 0
        bar = "░" * (room - full) + "▓" * full
        speaks = nodes.get(chosen.source)
        if chosen.after >= 0 and speaks is not None and speaks.replid == node.replid:
            empty = last + 1 - size  # the offset at the bar's left end
            low, high = ((at - empty) * room // size for at in (chosen.before + 1, chosen.after))
            if low < 0:
                rows += [[(bar, "")], [(f"◂ the message, {chosen.before} → {chosen.after}, is gone", "bad")]]
            else:
                low, high = min(low, room - 1), min(high, room - 1) + 1
                rows.append([(bar[:low], ""), ("█" * (high - low), "accent"), (bar[high:], "")])
                told = f"the message, {chosen.before} → {chosen.after} "
                above = told + "▲" if len(told) <= low else f"{' ' * low}▲ {told}"
                rows.append([(" " * max(0, low - len(told)) if len(told) <= low else "", ""), (above, "accent")])
        else:
            rows.append([(bar, "")])
        for view in followers:
            rows += _resync(view, node, letters)
    return rows or [[("No node has a backlog: no replica has connected yet.", "dim")]]


def _resync(view: ResyncView, node: NodeView, letters: Letters) -> Iterator[Text]:
    """Draw what the next PSYNC of a replica would ask for, and what decides it."""
    granted = view.decision.granted
    asks = "any history" if view.asked_id == "?" else f"{letters.letter(view.asked_id)} {view.asked_offset}"
    line: Text = [("✓ " if granted else "✗ ", "good" if granted else "bad")]
    line.append((f"PSYNC of {view.replica} would ask for {asks}: ", ""))
    if granted:
        lacks = node.offset + 1 - view.asked_offset
        yield [*line, (f"partial, {lacks} B", "good")]
        return
    yield [*line, ("full", "bad")]
    yield [(f"    {letters.in_text(view.decision.conditions[-1].text)}", "dim")]


def story(
    spec: ScenarioSpec, done: int, lessons: list[str], notes: Sequence[tuple[str, str, bool]] = ()
) -> list[Text]:
    """Draw how far a scenario is: what the last step told, what the next one does, and the lessons it belongs to.

    Notes are the learner's: when, what, and whether that is the present place.
    """
    steps = spec.steps
    if done:
        rows: list[Text] = [[(f"{done} of {len(steps)}  ", "accent"), (steps[done - 1].say, "")]]
    else:
        rows = [[(spec.summary, "")]]
    rows.append([("", "")])
    if done < len(steps):
        does = " · ".join(steps[done].do[:4]) or "time passes"
        rows.append([("n  ", "accent"), ("next: ", "strong"), (does, "dim")])
    elif steps:
        rows.append([("The scenario is over. The cluster is yours: break it.", "good")])
    else:
        rows.append([("There are no steps: go back, change something, and see what would have happened.", "dim")])
    if lessons:
        rows.append([("l  ", "accent"), ("lesson: ", "strong"), (" · ".join(lessons), "dim")])
    for when, text, here in notes:
        rows.append(
            [
                ("▸" if here else " ", "accent"),
                ("✎ ", "accent"),
                (f"{when}  ", "dim"),
                (text, "strong" if here else ""),
            ]
        )
    return rows
