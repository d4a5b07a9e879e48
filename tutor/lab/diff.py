"""Two branches of a history side by side: where they part, and what is different at their ends."""

from typing import NamedTuple

from engine.keyspace.digest import key_digest
from engine.simulation.history import History
from engine.simulation.state import NodeView, node_views
from engine.simulation.trace import TraceEvent
from tutor.lab.drawing import Text
from tutor.lab.format import EventFormatter, clock
from tutor.pictures.letters import Letters

KEYS_SHOWN = 6
Keys = dict[tuple[int, bytes], bytes]  # database and key: digest of the value


class End(NamedTuple):
    """How a branch ends."""

    name: str
    at_us: int
    nodes: dict[str, NodeView]
    data: dict[str, Keys]


def _ends(history: History, first: str, second: str) -> tuple[End, End]:
    """Look at the ends of two branches; the history stands where it stood afterwards. Raises HistoryError."""
    home, place = history.branch_name, history.place
    ends = _end(history, first), _end(history, second)
    if history.branch_name != home:
        history.switch(home)
    history.goto(place)
    return ends


def _end(history: History, name: str) -> End:
    history.switch(name)
    world = history.world
    data: dict[str, Keys] = {}
    for host in world.hosts.values():
        if host.node is not None:
            data[host.name] = {
                (db.index, key): key_digest(db, key) for db in host.node.space.databases for key in db.positions
            }
    return End(name, world.now_us, node_views(world), data)


def compare(history: History, first: str, second: str, letters: Letters, width: int) -> list[Text]:
    """Return what is to be shown of two branches. Raises HistoryError."""
    parted = history.compare(first, second)
    ends = _ends(history, first, second)
    column = max(16, min(36, (width - 20) // 2))
    rows: list[Text] = [
        [(f"The first {parted.common} events are the same. Then", "")],
        [(f"{first:<12}", "strong"), ("  " + _told(parted.first), "")],
        [(f"{second:<12}", "strong"), ("  " + _told(parted.second), "")],
        [("", "")],
        [(" " * 18, ""), (f"{first:<{column}}", "strong"), (second, "strong")],
        [(f"{'ends at':<18}{clock(ends[0].at_us) + ' s':<{column}}{clock(ends[1].at_us)} s", "dim")],
    ]
    names = list(dict.fromkeys([*ends[0].nodes, *ends[1].nodes]))
    for name in names:
        rows.append([(name, "strong")])
        one, other = (_facts(end.nodes.get(name), letters) for end in ends)
        for label in dict.fromkeys([*one, *other]):
            left, right = one.get(label, "–"), other.get(label, "–")
            same = left == right
            sign, style = (" ", "dim") if same else ("≠", "bad")
            rows.append(
                [(f"{sign} ", style), (f"{label:<16}", "dim"), (f"{left:<{column}}", "dim" if same else ""),
                 (right, "dim" if same else "strong")]
            )  # fmt: skip
        rows += _keys(name, ends)
    return rows


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


def _keys(name: str, ends: tuple[End, End]) -> list[Text]:
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


__all__ = ["End", "compare"]
