"""The rows of the Data pane: what was lost, the keys of all nodes side by side, who has which acknowledged write."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from engine.simulation.history import History
from engine.simulation.state import ValueView
from tutor.lab.actions import shown
from tutor.lab.drawing import Text
from tutor.lab.format import clock
from tutor.lab.ledger import Holder, Ledger

KEYS_SHOWN = 40
WRITES_SHOWN = 100
KEY_WIDTH = 18
CELL = 7  # columns for a node in the ledger
NARROWEST = 8  # column of a node's values

Keys = Mapping[tuple[int, bytes], ValueView]


class DataRow(NamedTuple):
    """A row, and the event that it is about (-1: none)."""

    text: Text
    event: int = -1


def summary(ledger: Ledger, history: History, width: int) -> Iterator[DataRow]:
    """Yield how many writes are acknowledged, and what was lost by which event."""
    place = history.place
    count, losses = ledger.acknowledged(place), ledger.losses(place)
    if not count:
        yield DataRow([(" No write has been acknowledged yet.", "dim")])
        return
    told = f" {count} {'write is' if count == 1 else 'writes are'} acknowledged"
    yield DataRow([(f"{told}{':' if losses else ', and none is lost.'}", "" if losses else "good")])
    for loss in losses:
        number = loss.change.number
        when = f"event {number}, {clock(history.trace[number].at_us)} s"
        row: Text = [(f" ✗ {loss.sentence}", "bad")]
        if len(loss.sentence) + len(when) + 6 > width:
            yield DataRow(row, number)
            row = [(" ", "")]
        yield DataRow([*row, (f"  {when}", "accent")], number)
    yield from rivals(ledger, place)


def rivals(ledger: Ledger, place: int) -> Iterator[DataRow]:
    """Yield what each of several masters of a group lacks: one of them will give way, and lose what only it has."""
    for group in ledger.rivals(place):
        row: Text = [(f" {' and '.join(cost.host for cost in group)} are masters: ", "bad")]
        row.append((", ".join(f"{cost.host} lacks {cost.lacks}" for cost in group), "bad"))
        yield DataRow(row)


def promotion_costs(ledger: Ledger, place: int) -> Iterator[DataRow]:
    """Yield what the promotion of each replica would lose now."""
    costs = ledger.promotion_costs(place)
    if costs and ledger.acknowledged(place):
        row: Text = [(" A promotion now would lose  ", "dim")]
        for cost in costs:
            row.append((f"{cost.host}: {cost.lacks}  ", "bad" if cost.lacks else "good"))
        yield DataRow(row)


def keys(nodes: Mapping[str, Keys], width: int) -> Iterator[DataRow]:
    """Yield the keys of all nodes side by side: those whose values differ first."""
    everything: dict[tuple[int, bytes], None] = {}
    for held in nodes.values():
        everything |= dict.fromkeys(held)
    names = list(nodes)[: max(1, (width - KEY_WIDTH - 2) // (NARROWEST + 1))]
    if not everything:
        yield DataRow([(" No node has a key.", "dim")])
        return
    column = max(NARROWEST, min(24, (width - KEY_WIDTH - 2) // len(names) - 1))
    head = "".join(f"{_fit(name, column):<{column + 1}}" for name in names)
    left_out = f" and {len(nodes) - len(names)} more nodes" if len(names) < len(nodes) else ""
    yield DataRow([("  " + f"{'key':<{KEY_WIDTH}}" + head + left_out, "strong")])
    differing: list[tuple[int, bytes]] = []
    equal: list[tuple[int, bytes]] = []
    for key in sorted(everything):
        marks = {held[key].mark if key in held else None for held in nodes.values()}
        (differing if len(marks) > 1 else equal).append(key)
    for key in (differing + equal)[:KEYS_SHOWN]:
        sign = ("≠ ", "bad") if key in differing[:KEYS_SHOWN] else ("  ", "")
        row: Text = [sign, (f"{_fit(_name(key), KEY_WIDTH - 1):<{KEY_WIDTH}}", "strong")]
        row += _values([nodes[name].get(key) for name in names], column)
        yield DataRow(row)
    if (more := len(differing) + len(equal) - KEYS_SHOWN) > 0:
        unlike = max(0, len(differing) - KEYS_SHOWN)
        yield DataRow([(f"  and {more} more keys, {unlike or 'none'} of which differ", "dim")])


def _values(values: list[ValueView | None], column: int) -> Iterator[tuple[str, str]]:
    """Yield the values of one key; what differs from the first node's value is marked."""
    first = values[0].mark if values[0] is not None else None
    for value in values:
        if value is None:
            yield f"{'–':<{column + 1}}", "dim" if first is None else "bad"
        else:
            yield f"{_fit(value.text, column):<{column + 1}}", "" if value.mark == first else "bad"


def _name(key: tuple[int, bytes]) -> str:
    db, name = key
    return ("" if not db else f"db{db} ") + name.decode("utf-8", "replace")


def _fit(text: str, width: int) -> str:
    text = "".join(each if each.isprintable() else "·" for each in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def writes(ledger: Ledger, history: History, width: int) -> Iterator[DataRow]:
    """Yield the acknowledged writes, lost ones first, then the newest first, with who has each of them."""
    place = history.place
    acknowledged = ledger.written(place)
    if not acknowledged:
        return
    lost = {write: loss for loss in ledger.losses(place) for write in loss.writes}
    names = list(ledger.machines)[: max(1, (width - 44) // CELL)]
    command = max(12, min(40, width - 32 - CELL * len(names)))
    head = "".join(f"{_fit(name, CELL - 1):<{CELL}}" for name in names)
    yield DataRow([(f"{'':10}{'acknowledged write':<{command + 2}}{head}", "strong")])
    rest = [write for write in reversed(acknowledged) if write not in lost]
    for write in [*lost, *rest][:WRITES_SHOWN]:
        who = f"{shown(write.client).strip()}> " + b" ".join(write.argv[:6]).decode("utf-8", "replace")
        at = clock(history.trace[write.number].at_us)
        row: Text = [(f"{at:>8}  ", "dim"), (f"{_fit(who, command):<{command + 2}}", "bad" if write in lost else "")]
        holders = ledger.holders(write, place)
        row += [_cell(holders[name]) for name in names]
        if write in lost:
            row.append((f"lost by event {lost[write].change.number}", "bad"))
        yield DataRow(row, write.number)
    if (more := len(acknowledged) - WRITES_SHOWN) > 0:
        yield DataRow([(f"  and {more} more", "dim")])
    legend = "● in memory  ○ only in its files  disk: fsynced  file: not fsynced yet  mem: in no file"
    yield DataRow([(f"  {legend}", "dim")])


def _cell(holder: Holder) -> tuple[str, str]:
    saved = "disk" if holder.on_disk else "file" if holder.in_files else "mem" if holder.in_memory else ""
    mark = "●" if holder.in_memory else "○" if saved else "·"
    return f"{f'{mark} {saved}':<{CELL}}", "good" if holder.in_memory and holder.on_disk else "" if saved else "dim"


def pane(
    ledger: Ledger, history: History, nodes: Callable[[], Mapping[str, Keys]], width: int, moves: bool = False
) -> Iterator[DataRow]:
    """Yield all rows of the pane; `nodes` returns the keys of those that run, `moves`: slots can move with them."""
    yield from summary(ledger, history, width)
    yield from promotion_costs(ledger, history.place)
    if moves:
        yield DataRow([(" A key that has moved to another node is counted where it was written.", "dim")])
    yield DataRow([])
    yield from keys(nodes(), width)
    yield DataRow([])
    yield from writes(ledger, history, width)


def lines(ledger: Ledger, history: History) -> Iterator[str]:
    """Yield the summary as lines of text."""
    if ledger.acknowledged(history.place):
        for row in (*summary(ledger, history, 1 << 16), *promotion_costs(ledger, history.place)):
            yield "".join(text for text, _ in row.text).rstrip()


__all__ = ["DataRow", "lines", "pane", "summary"]
