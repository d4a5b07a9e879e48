"""Lists: boxes from the head to the tail, with the index of each from both ends.

What was pushed or popped is found by comparing two readings, so it does not matter which command did it: an insertion
in the middle, a rotation and a trim are told apart from a push.
"""

from dataclasses import dataclass
from difflib import SequenceMatcher

from tutor.pictures.canvas import (
    WIDE,
    Line,
    cells,
    center,
    clauses,
    count,
    line,
    listed,
    mark,
    named,
    padded,
    shown,
    were,
)
from tutor.pictures.picture import Picture, encoding_lines, key_heading, made, told, ttl_lines
from tutor.pictures.readings import WINDOW, Argv, Key, ListExcerpt
from tutor.prompt.rows import Span

BOX = 14  # the most of an element in a box
BOXES = 7  # of each end


@dataclass(frozen=True, slots=True)
class Box:
    """An element as it is drawn. `index` is None for one that is gone."""

    text: bytes
    index: int | None
    style: str = "plain"  # or new, changed, gone
    old: bytes = b""


@dataclass(frozen=True, slots=True)
class ListChange:
    """What happened to a list: the elements that came or went at each end, or elsewhere.

    `number` is how many came or went at an end, which may be more than were read.
    """

    pushed_head: tuple[bytes, ...] = ()
    pushed_tail: tuple[bytes, ...] = ()
    popped_head: tuple[bytes, ...] = ()
    popped_tail: tuple[bytes, ...] = ()
    inserted: tuple[tuple[int, bytes], ...] = ()  # by the index that they have now
    removed: tuple[tuple[int, bytes], ...] = ()  # by the index that they had
    replaced: tuple[tuple[int, bytes, bytes], ...] = ()  # index, before, now
    number: int = 0


NOTHING = ListChange()


def _value(key: Key | None) -> ListExcerpt:
    value = key.value if key is not None else None
    return value if isinstance(value, ListExcerpt) else ListExcerpt(())


def _whole(key: Key) -> tuple[bytes, ...] | None:
    """Return all elements, if they were read."""
    value = _value(key)
    if key.size <= len(value.head):
        return value.head
    if key.size <= len(value.head) + len(value.tail):
        return value.head + value.tail[len(value.head) + len(value.tail) - key.size :]
    return None


def _at(key: Key, index: int) -> bytes | None:
    """Return the element at an index, if it was read."""
    value = _value(key)
    if index < len(value.head):
        return value.head[index]
    from_end = index - key.size
    if -len(value.tail) <= from_end < 0:
        return value.tail[from_end]
    place = index - value.near_at
    return value.near[place] if 0 <= place < len(value.near) else None


def change_of(before: Key | None, key: Key, cause: Argv = ()) -> ListChange:
    """Return what became of a list between two readings."""
    if before is None or before.kind not in ("list", "none") or key.kind not in ("list", "none") or before == key:
        return NOTHING
    words = [word.lower() for word in cause[:5]]
    at_head = words[:1] and words[0] in (b"lpush", b"lpushx", b"lpop", b"blpop", b"rpoplpush", b"brpoplpush")
    at_head = bool(at_head) or words[3:5] == [b"right", b"left"]
    old, new = _whole(before), _whole(key)
    if old is not None and new is not None:
        return _compared(old, new, at_head)
    grown = key.size - before.size
    was, now = _value(before), _value(key)
    same_tail, same_head = was.tail[-4:] == now.tail[-4:], was.head[:4] == now.head[:4]
    if not before.exists:
        return ListChange(pushed_tail=now.tail, number=grown)
    if grown and same_tail and (at_head or not same_head):
        return (
            ListChange(pushed_head=now.head[:grown], number=grown)
            if grown > 0
            else ListChange(popped_head=was.head[:-grown], number=-grown)
        )
    if grown and same_head:
        return (
            ListChange(pushed_tail=now.tail[-grown:], number=grown)
            if grown > 0
            else ListChange(popped_tail=was.tail[grown:], number=-grown)
        )
    if grown == 0:
        known = {*range(len(now.head)), *range(key.size - len(now.tail), key.size)}
        known |= {now.near_at + i for i in range(len(now.near))}
        pairs = [(at, _at(before, at), _at(key, at)) for at in sorted(known)]
        return ListChange(
            replaced=tuple((at, a, b) for at, a, b in pairs if a is not None and b is not None and a != b)
        )
    return NOTHING


def _compared(old: tuple[bytes, ...], new: tuple[bytes, ...], at_head: bool) -> ListChange:
    """Compare two lists that are known as a whole."""
    grown = len(new) - len(old)
    number = abs(grown)
    if not old:
        return ListChange(pushed_head=new, number=number) if at_head else ListChange(pushed_tail=new, number=number)
    ends = [
        (grown > 0 and new[grown:] == old, ListChange(pushed_head=new[:grown], number=number)),
        (grown > 0 and new[: len(old)] == old, ListChange(pushed_tail=new[len(old) :], number=number)),
        (grown < 0 and old[-grown:] == new, ListChange(popped_head=old[:-grown], number=number)),
        (grown < 0 and old[: len(new)] == new, ListChange(popped_tail=old[len(new) :], number=number)),
        (new[1:] + new[:1] == old, ListChange(pushed_head=new[:1], popped_tail=old[-1:], number=1)),
        (new[-1:] + new[:-1] == old, ListChange(pushed_tail=new[-1:], popped_head=old[:1], number=1)),
    ]
    for fits, change in ends if at_head else (ends[at] for at in (1, 0, 3, 2, 5, 4)):
        if fits:
            return change
    inserted: list[tuple[int, bytes]] = []
    removed: list[tuple[int, bytes]] = []
    replaced: list[tuple[int, bytes, bytes]] = []
    for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "replace" and b - a == d - c:
            replaced += [(c + i, old[a + i], new[c + i]) for i in range(b - a)]
        elif what != "equal":
            removed += [(at, old[at]) for at in range(a, b)]
            inserted += [(at, new[at]) for at in range(c, d)]
    return ListChange(inserted=tuple(inserted), removed=tuple(removed), replaced=tuple(replaced))


# --- drawing -----------------------------------------------------------------------------------------------------


def _boxes(key: Key, change: ListChange) -> list[Box | None]:
    """Return the boxes from head to tail; None where elements are left out."""
    heads = change.number if change.pushed_head else 0
    tails = change.number if change.pushed_tail else 0
    inserted = {at for at, _ in change.inserted}
    replaced = {at: old for at, old, _ in change.replaced}
    known = _shown_indexes(key, [*inserted, *replaced])
    boxes: list[Box | None] = [Box(each, None, "gone") for each in change.popped_head[:2]]
    if change.popped_head and change.number > 2:
        boxes.append(None)
    removed = dict(change.removed)
    for place, index in enumerate(known):
        if place and index != known[place - 1] + 1:
            boxes.append(None)
        if index in removed:
            boxes.append(Box(removed.pop(index), None, "gone"))
        item = _at(key, index)
        if item is None:
            continue
        new = index < heads or index >= key.size - tails or index in inserted
        style = "new" if new else "changed" if index in replaced else "plain"
        boxes.append(Box(item, index, style, replaced.get(index, b"")))
    boxes += [Box(each, None, "gone") for each in removed.values()]
    popped = change.popped_tail
    if len(popped) < change.number or len(popped) > 3:  # the last of many
        return [*boxes, None, *(Box(each, None, "gone") for each in popped[-2:])] if popped else boxes
    return boxes + [Box(each, None, "gone") for each in popped]


def _shown_indexes(key: Key, also: list[int]) -> list[int]:
    if key.size <= 2 * BOXES:
        return list(range(key.size))
    value = _value(key)
    near = range(value.near_at, value.near_at + len(value.near)) if value.near else ()
    wanted = {*range(BOXES), *range(key.size - BOXES, key.size), *near}
    return sorted(wanted | {at for at in also if at < WINDOW or at >= key.size - WINDOW})


def draw_list(before: Key | None, key: Key, width: int, cause: Argv) -> Picture:
    """Draw a list."""
    change = change_of(before, key, cause)
    lines = [key_heading(before, key, cause, width)]
    boxes = _boxes(key, change)
    rows = _in_rows(boxes, width) if width >= WIDE else None
    if rows is not None and len(rows) <= 2:
        for at, row in enumerate(rows):
            lines += _row(row, key, at == 0, at == len(rows) - 1)
    else:
        lines += _column(boxes, key, width)
    lines += [*encoding_lines(before, key, width), *ttl_lines(before, key, width)]
    return made(lines, width, list_sentence(before, key, cause))


def _box_text(box: Box) -> str:
    return shown(box.text, BOX)


def _box_width(box: Box | None) -> int:
    return 5 if box is None else max(5, cells(_box_text(box)) + 2)


def _in_rows(boxes: list[Box | None], width: int) -> list[list[Box | None]]:
    """Share boxes among rows that fit."""
    rows: list[list[Box | None]] = [[]]
    used = 0
    for box in boxes:
        size = _box_width(box) + 1
        if rows[-1] and used + size > width - 16:
            rows.append([])
            used = 0
        rows[-1].append(box)
        used += size
    return rows


def _row(boxes: list[Box | None], key: Key, first: bool, last: bool) -> list[Line]:
    top: list[Span] = [("       ", "plain")]
    middle: list[Span] = [("head ▸ " if first else "       ", "dim")]
    bottom: list[Span] = [("       ", "plain")]
    indexes: list[Span] = [(" index ", "dim")]
    reverse: list[Span] = [("       ", "dim")]
    marks: list[Span] = [("       ", "plain")]
    for box in boxes:
        size = _box_width(box)
        if box is None:
            for spans in (top, bottom, indexes, reverse, marks):
                spans.append((" " * (size + 1), "plain"))
            middle.append((center("···", size + 1), "dim"))
            continue
        gone = box.style == "gone"
        edge, side = ("╌", "╎") if gone else ("─", "│")
        style = box.style if not gone else "dim"
        top.append(("┌" + edge * (size - 2) + "┐ ", style))
        middle += [(side, style), (center(_box_text(box), size - 2), box.style), (side + " ", style)]
        bottom.append(("└" + edge * (size - 2) + "┘ ", style))
        index = "" if box.index is None else str(box.index)
        indexes.append((center(index, size) + " ", "dim"))
        reverse.append((center("" if box.index is None else str(box.index - key.size), size) + " ", "dim"))
        sign, sign_style = mark(box.style)
        marks.append((center(sign.strip(), size) + " ", sign_style))
    if last:
        middle.append(("◂ tail", "dim"))
    drawn = [tuple(marks)] if any(text.strip() for text, _ in marks) else []
    return [*drawn, tuple(top), tuple(middle), tuple(bottom), tuple(indexes), tuple(reverse)]


def _column(boxes: list[Box | None], key: Key, width: int) -> list[Line]:
    """Draw boxes one below another: for narrow windows and long lists."""
    wide = max(len(str(key.size)), 2)
    inner = min(BOX + 8, max([cells(shown(box.text, BOX + 8)) for box in boxes if box is not None], default=3))
    inner = max(3, min(inner, width - 2 * wide - 16))
    lines: list[Line] = [line((" " * (2 * wide + 5), "plain"), ("┌" + "─" * (inner + 2) + "┐", "dim"))]
    last = key.size - 1
    for box in boxes:
        if box is None:
            lines.append(line((" " * (2 * wide + 5) + "┊ " + center("···", inner) + " ┊", "dim")))
            continue
        places = " " * (2 * wide + 2)
        note = {"new": " new", "gone": " gone"}.get(box.style, "")
        if box.index is not None:
            places = f"{box.index:>{wide}} {box.index - key.size:>{wide + 1}}"
            note = (" ◂ head" if box.index == 0 else " ◂ tail" if box.index == last else "") + note
        if box.style == "changed":
            note = f" was {shown(box.old, 12)}"
        side = "╎" if box.style == "gone" else "│"
        lines.append(
            line(
                mark(box.style),
                (places + " ", "dim"),
                (f"{side} ", "dim"),
                *padded(shown(box.text, BOX + 8), inner, box.style),
                (f" {side}", "dim"),
                (note, "dim" if box.style == "plain" else box.style),
            )
        )
    lines.append(line((" " * (2 * wide + 5), "plain"), ("└" + "─" * (inner + 2) + "┘", "dim")))
    return lines


def list_sentence(before: Key | None, key: Key, cause: Argv) -> str:
    """Return the sentence for a list."""
    change = change_of(before, key, cause)
    parts: list[str] = []
    out = {b"lrem": "removed", b"ltrim": "trimmed"}.get(cause[0].lower() if cause else b"", "popped")
    ends = (
        (change.popped_head, f"{out} from the head"),
        (change.popped_tail, f"{out} from the tail"),
        (change.pushed_head, "pushed at the head"),
        (change.pushed_tail, "pushed at the tail"),
    )
    for items, how in ends:
        if items:
            few = len(items) == change.number <= WINDOW
            names = listed([named(each) for each in items]) if few else count(change.number, "element")
            parts.append(f"{names} {were(items if few else ['', ''])} {how}")
    if change.removed:
        parts.append(f"{listed([named(each) for _, each in change.removed])} {were(change.removed)} removed")
    if change.inserted:
        at = f" at index {change.inserted[0][0]:,}" if len(change.inserted) == 1 else ""
        parts.append(f"{listed([named(each) for _, each in change.inserted])} {were(change.inserted)} inserted{at}")
    for index, old, new in change.replaced[:2]:
        parts.append(f"index {index:,} changed from {named(old)} to {named(new)}")
    if len(change.replaced) > 2:
        parts[-1] += f", and {len(change.replaced) - 2} more changed"
    return told(before, key, clauses(parts), cause)
