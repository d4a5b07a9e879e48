"""The nodes of a cluster as rows of styled text: who serves which slot, what moves, and who believes what.

Everything is drawn as a chosen node sees it, except the matrix of beliefs: a row for each observer, a column for each
node that it may believe something about.
"""

from engine.keyspace.slots import SLOTS
from engine.simulation.cluster_state import ClusterView, WriterView
from engine.simulation.state import NodeView
from tutor.lab.drawing import Text

HEALTH = {"ok": ("ok", "good"), "pfail": ("PFAIL", "bad"), "fail": ("FAIL", "bad"), "me": ("me", "dim"),
          "handshake": ("meets", "accent"), "noaddr": ("noaddr", "bad"), "unknown": ("·", "dim")}  # fmt: skip
CELL = 8
MOVING_SHOWN = 4
KEYS_SHOWN = 3
RUNS_SHOWN = 6


def slots(view: ClusterView, views: dict[str, ClusterView], width: int) -> list[Text]:
    """Draw the slots as a node sees them: a bar of their owners, and the slots that move."""
    room = max(24, width - 2)
    state: Text = [("  up", "good")] if view.ok else [("  down", "bad")]
    rows: list[Text] = [[("Slots as seen by ", "strong"), (view.name, "strong"), *state,
                         (f"  epoch {view.current_epoch}", "dim")]]  # fmt: skip
    failed = {peer.name for peer in view.peers if peer.health in ("fail", "noaddr")}
    bar, legend = _bar(view, room, failed), _legend(view, failed)
    rows += [bar, legend]
    for slot, other in view.migrating[:MOVING_SHOWN]:
        rows.append(_moving(slot, view.name, other, views))
    for slot, other in view.importing[:MOVING_SHOWN]:
        if not any(slot == moved for moved, _ in dict.get(_migrations(views), other, ())):
            rows.append(_moving(slot, other, view.name, views))
    more = len(view.migrating) + len(view.importing) - 2 * MOVING_SHOWN
    if more > 0:
        rows.append([(f" and {more} more slots that move", "dim")])
    if view.keys:
        shown = ", ".join(f"{slot}: {count}" for slot, count in view.keys[:KEYS_SHOWN])
        rest = len(view.keys) - KEYS_SHOWN
        rows.append([(" keys by slot  ", "dim"), (shown, ""), (f" and {rest} more slots" if rest > 0 else "", "dim")])
    return rows


def _migrations(views: dict[str, ClusterView]) -> dict[str, tuple[tuple[int, str], ...]]:
    return {name: view.migrating for name, view in views.items()}


def _segments(view: ClusterView, room: int) -> list[tuple[str, int]]:
    """Return the owners of the slots in order, and how many columns each gets; "" for slots without one."""
    runs: list[tuple[int, int, str]] = []
    at = 0
    for first, last, name in view.owners:
        if first > at:
            runs.append((at, first - 1, ""))
        runs.append((first, last, name))
        at = last + 1
    if at < SLOTS:
        runs.append((at, SLOTS - 1, ""))
    segments: list[tuple[str, int]] = []
    for first, last, name in runs:
        left, right = first * room // SLOTS, (last + 1) * room // SLOTS
        if right > left:
            if segments and segments[-1][0] == name:
                segments[-1] = name, segments[-1][1] + right - left
            else:
                segments.append((name, right - left))
    return segments


def _bar(view: ClusterView, room: int, failed: set[str]) -> Text:
    row: Text = [(" ", "")]
    for name, columns in _segments(view, room):
        if not name:
            row.append(("×" * columns, "bad"))
        elif columns < len(name) + 2:
            row.append(("─" * columns, "bad" if name in failed else ""))
        else:
            style = "bad" if name in failed else "strong" if name == view.name else ""
            row.append((f"├{name:─^{columns - 2}}┤", style))
    return row


def _legend(view: ClusterView, failed: set[str]) -> Text:
    row: Text = [(" ", "")]
    served = sum(last - first + 1 for first, last, _ in view.owners)
    for first, last, name in view.owners[:RUNS_SHOWN]:
        text = f"{name} {first}-{last}" if first != last else f"{name} {first}"
        row.append((f"{text}  ", "bad" if name in failed else "dim"))
    if len(view.owners) > RUNS_SHOWN:
        row.append((f"and {len(view.owners) - RUNS_SHOWN} more ranges  ", "dim"))
    if served < SLOTS:
        row.append((f"not served: {SLOTS - served}", "bad"))
    return row


def _moving(slot: int, source: str, target: str, views: dict[str, ClusterView]) -> Text:
    left, arrived = (dict(views[name].keys).get(slot, 0) if name in views else "?" for name in (source, target))
    says = slot in dict(views[target].importing) if target in views else False
    row: Text = [(f" slot {slot} ", "accent"), (f"{source} ▶ {target}", "accent")]
    row.append((f"  {left} keys left, {arrived} there", ""))
    if not says:
        row.append((f"  {target} does not import it", "bad"))
    return row


def beliefs(views: dict[str, ClusterView], nodes: dict[str, NodeView], selected: str, width: int) -> list[Text]:
    """Draw what every node believes about every other one: state and configuration epoch."""
    names = [name for name in nodes if name in views or any(view.peer(name) for view in views.values())]
    strangers = dict.fromkeys(peer.name for view in views.values() for peer in view.peers if peer.name not in names)
    names += strangers
    widest = max((len(name) for name in names), default=1)
    cell = min(CELL, max(4, (width - widest - 4) // max(1, len(names))))
    header: Text = [(f" {'':{widest}}   ", "")]
    header += [(f"{name[: cell - 1]:<{cell}}", "strong" if name == selected else "") for name in names]
    rows: list[Text] = [[("Beliefs", "strong"), ("  of each node: state, epoch", "dim")], header]
    for observer, view in views.items():
        row: Text = [("▸" if observer == selected else " ", "dim"), (f"{observer:<{widest}} ", "strong")]
        row.append(("✓ " if view.ok else "✗ ", "good" if view.ok else "bad"))
        for name in names:
            peer = view.peer(name)
            word, style = HEALTH[peer.health if peer is not None else "unknown"]
            epoch = f" {peer.epoch}" if peer is not None and peer.role == "master" else ""
            if len(word) + len(epoch) >= cell:
                word = {"PFAIL": "PF", "FAIL": "F", "meets": "…", "noaddr": "na"}.get(word, word)
            row.append((f"{word + epoch:<{cell}}"[:cell], style))
        rows.append(row)
    for view in views.values():
        rows += _candidate(view)
    return rows


def _candidate(view: ClusterView) -> list[Text]:
    candidacy = view.candidacy
    if candidacy is None:
        return []
    if not candidacy.epoch:
        return [[(f" {view.name} will ask for votes", "accent"), (f"  rank {candidacy.rank}", "dim")]]
    boxes = "■" * candidacy.votes + "□" * max(0, candidacy.needed - candidacy.votes)
    told = f" {view.name} stands in epoch {candidacy.epoch}: {boxes} {candidacy.votes}, needs {candidacy.needed}"
    return [[(told, "accent")]]


def writers(nodes: dict[str, NodeView], writing: list[WriterView], views: dict[str, ClusterView]) -> list[Text]:
    """Draw the applications that write to a cluster: what they do, and where their slot maps are outdated."""
    by_address = {node.address: name for name, node in nodes.items()}
    rows: list[Text] = []
    for writer in writing:
        where = by_address.get(writer.target, writer.target)
        does = f"writes to {where}" if writer.does == "writes" else writer.does
        rows.append([(f" {writer.name} ", "strong"), (f"cluster client ({writer.follows})", "dim"), (f"  {does}", ""),
                     *([(f"  {writer.error}", "bad")] if writer.error else [])])  # fmt: skip
        rows.append([(f"   {writer.acknowledged} acknowledged  {writer.failed} failed  {writer.moved} MOVED  "
                      f"{writer.asked} ASK", "dim"),
                     *([(f"  {writer.lost} lost", "bad")] if writer.lost else [])])  # fmt: skip
        row: Text = [("   map  ", "dim")]
        for first, last, address in writer.map[:RUNS_SHOWN]:
            name = by_address.get(address, address)
            stale = not _serves(views, name, first, last)
            row.append((f"{first}-{last} {name}{' (outdated)' if stale else ''}  ", "bad" if stale else ""))
        if len(writer.map) > RUNS_SHOWN:
            row.append((f"and {len(writer.map) - RUNS_SHOWN} more", "dim"))
        rows.append(row if writer.map else [("   no map yet", "dim")])
    return rows


def _serves(views: dict[str, ClusterView], name: str, first: int, last: int) -> bool:
    """Tell whether a node itself believes that it serves all these slots, and no node of a later epoch does."""
    view = views.get(name)
    if view is None:
        return False
    latest = max(views.values(), key=lambda each: (each.owner_of(first) == each.name, each.epoch))
    if latest.owner_of(first) == latest.name != name:
        return False
    return any(begin <= first and last <= end and owner == name for begin, end, owner in view.owners)


def cluster_line(view: ClusterView) -> str:
    """Return what a node believes in one line."""
    told = f"{view.name} considers the cluster {'up' if view.ok else 'down'}  epoch {view.current_epoch}"
    serves = f", serves {view.slots} at {view.epoch}" if view.slots else ""
    bad = [f"{peer.name} {peer.health}" for peer in view.peers if peer.health not in ("ok", "me")]
    moving = [f"{slot} ▶ {name}" for slot, name in view.migrating[:MOVING_SHOWN]]
    moving += [f"{slot} ◀ {name}" for slot, name in view.importing[:MOVING_SHOWN]]
    return (
        told + serves + (f"  ({', '.join(bad)})" if bad else "") + (f"  moving {', '.join(moving)}" if moving else "")
    )


def writer_line(view: WriterView) -> str:
    """Return what an application that writes to a cluster does in one line."""
    told = f"{view.name} {view.does}: {view.acknowledged} writes acknowledged, {view.failed} failed"
    told += f", {view.moved} MOVED, {view.asked} ASK"
    return told + (f"; {view.lost} lost" if view.lost else "") + (f"  ({view.error})" if view.error else "")
