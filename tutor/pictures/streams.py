"""Streams: entries on a line, and for each group what it has delivered, and to whom what is pending."""

from tutor.pictures.canvas import (
    WIDE,
    Line,
    center,
    clauses,
    count,
    cut,
    fit,
    line,
    listed,
    mark,
    named,
    padded,
    shown,
    were,
)
from tutor.pictures.picture import Picture, key_heading, made, told, ttl_lines
from tutor.pictures.readings import WINDOW, Argv, ConsumerGroup, Key, PendingEntry, StreamEntry, StreamExcerpt
from tutor.prompt.rows import Span

LABEL = 12
PENDING = 4  # consumers of a group that are drawn
ROWS = 10


def _value(key: Key | None) -> StreamExcerpt:
    value = key.value if key is not None else None
    return value if isinstance(value, StreamExcerpt) else StreamExcerpt(())


def order(entry_id: bytes) -> tuple[int, int]:
    """Return an ID as two numbers, by which IDs are ordered."""
    ms, _, seq = entry_id.partition(b"-")
    return (int(ms) if ms.isdigit() else 0, int(seq) if seq.isdigit() else 0)


def changes_of(before: Key | None, key: Key) -> tuple[list[StreamEntry], list[StreamEntry]]:
    """Return the entries that are new and those that are gone, of what was read."""
    if before is None:
        return [], []
    old, new = _value(before), _value(key)
    known = {each.id for each in old.entries}
    now = {each.id for each in new.entries}
    added = [each for each in new.entries if each.id not in known and order(each.id) > order(old.last_id)]
    if not before.exists:
        added = list(new.entries)
    # An entry that was read before may have left the window, too.
    oldest = order(new.entries[0].id) if new.entries and key.size > len(new.entries) else (-1, -1)
    gone = [each for each in old.entries if each.id not in now and order(each.id) > oldest]
    return added, gone


def _shortener(ids: list[bytes]) -> dict[bytes, str]:
    """Return how IDs are written: what all long ones begin with is left out."""
    texts = {each: each.decode(errors="replace") for each in ids}
    heads = [text.partition("-")[0] for text in texts.values()]
    if len(heads) < 1 or min(map(len, heads)) < 9:
        return texts
    same = 0
    while all(len(each) - same > 5 and each[: same + 1] == heads[0][: same + 1] for each in heads):
        same += 1
    return {each: ("…" + text[same:] if same > 2 else text) for each, text in texts.items()}


def _drawn_ids(before: Key | None, key: Key, limit: int) -> list[bytes]:
    """Return the IDs to draw, in order: the last entries, what is pending, what was deleted just now."""
    value = _value(key)
    _, gone = changes_of(before, key)
    pending = [each.id for group in value.groups for each in group.pending]
    ids = {*(each.id for each in value.entries), *(each.id for each in gone), *pending}
    ordered = sorted(ids, key=order)
    if len(ordered) <= limit:
        return ordered
    must = {each.id for each in gone[-2:]} | set(pending[:2])
    rest = [each for each in ordered if each not in must][-(limit - len(must)) :]
    return sorted({*rest, *must}, key=order)


def draw_stream(before: Key | None, key: Key, width: int, cause: Argv) -> Picture:
    """Draw a stream."""
    title = key_heading(before, key, cause, width)
    draw = _along if width >= WIDE else _down
    lines = [title, *draw(before, key, width)]
    value = _value(key)
    if value.groups_count > len(value.groups):
        lines.append(line((f"  … and {value.groups_count - len(value.groups)} more groups", "dim")))
    lines += ttl_lines(before, key, width)
    return made(lines, width, stream_sentence(before, key, cause))


def _along(before: Key | None, key: Key, width: int) -> list[Line]:
    """Draw the entries from left to right."""
    value = _value(key)
    added, gone = changes_of(before, key)
    widest = 17
    ids = _drawn_ids(before, key, max(2, (width - LABEL - 12) // 9))
    names = _shortener(ids)
    column = max(8, min(widest, max(map(len, names.values()), default=6) + 2))
    room = max(1, (width - LABEL - 14) // column)
    ids = ids[-room:]
    kept, new, dead = {each.id for each in value.entries}, {each.id for each in added}, {each.id for each in gone}
    left_out = key.size - sum(each in kept for each in ids)
    lines = [
        line(
            (fit("", LABEL), "plain"),
            *((center(names[each], column), "new" if each in new else "dim") for each in ids),
        )
    ]
    marks: list[Span] = [(fit("entries", LABEL), "dim")]
    for each in ids:
        here = each in kept
        text, style = ("■", "strong") if here else ("×", "gone")
        if each in new:
            text, style = "+ ■", "new"
        elif each in dead:
            text, style = "- ×", "gone"
        marks.append((center(text, column), style))
    lines.append((*marks, (f" {left_out:,} before" if left_out > 0 else "", "dim")))
    lines.append(
        line(
            (fit("added", LABEL), "dim"),
            (f"{value.added:,} ever", "plain"),
            ("   last ID ", "dim"),
            (value.last_id.decode(), "plain"),
        )
    )
    if value.entries:
        fields = " ".join(f"{shown(f, 12)}={shown(v, 16)}" for f, v in _pairs(value.entries[-1]))
        lines.append(line((fit("newest", LABEL), "dim"), (cut(fields, width - LABEL), "string")))
    old_groups = {each.name: each for each in _value(before).groups}
    for group in value.groups:
        lines += _group_along(group, old_groups.get(group.name), ids, column, kept, before is not None)
    if value.groups:
        lines.append(line(("■ entry × deleted ✓ acknowledged ◷×n pending ▲ last ID", "dim")))
    return lines


def _pairs(entry: StreamEntry) -> list[tuple[bytes, bytes]]:
    return list(zip(entry.fields[::2], entry.fields[1::2]))[:6]


def _group_along(
    group: ConsumerGroup, old: ConsumerGroup | None, ids: list[bytes], column: int, kept: set[bytes], compared: bool
) -> list[Line]:
    last = order(group.last_id)
    waiting = {each.id for each in group.pending}
    fresh = compared and old is None
    advanced = old is not None and old.last_id != group.last_id
    style = "new" if fresh else "changed" if advanced else "strong"
    sign = "+ " if fresh else "~ " if advanced else "  "
    spans: list[Span] = [(fit(sign + shown(group.name, LABEL - 3), LABEL), style)]
    pointed = max((each for each in ids if order(each) <= last), key=order, default=None)
    for each in ids:
        text = ""
        if each == pointed:
            text = "▲" if each in waiting or each not in kept else "✓▲"
        elif order(each) <= last and each in kept and each not in waiting:
            text = "✓"
        elif order(each) > last:
            text = "next" if _is_next(each, ids, last, kept) else "·"
        spans.append(
            (center(text, column), "changed" if advanced and "▲" in text else "good" if "✓" in text else "dim")
        )
    lag = "unknown" if group.lag is None else f"{group.lag:,}"
    where = "" if pointed is not None else f" ▲ {group.last_id.decode()}"
    spans.append((f" lag {lag}{where}", "dim"))
    lines: list[Line] = [tuple(spans)]
    for name, number in group.consumers[:PENDING]:
        own = {each.id: each for each in group.pending if each.consumer == name}
        was = {each.id: each for each in old.pending if each.consumer == name} if old is not None else {}
        cells_: list[Span] = [(fit("    " + shown(name, LABEL - 5), LABEL), "plain")]
        for each in ids:
            entry = own.get(each)
            new = compared and entry is not None and each not in was
            text = ("+" if new else "") + f"◷×{entry.deliveries}" if entry is not None else ""
            cells_.append((center(text, column), "new" if new else "changed"))
        lines.append((*cells_, (f" {number:,} pending" if number else " none pending", "dim")))
    return lines


def _is_next(entry: bytes, ids: list[bytes], last: tuple[int, int], kept: set[bytes]) -> bool:
    return next((each for each in ids if order(each) > last and each in kept), None) == entry


def _down(before: Key | None, key: Key, width: int) -> list[Line]:
    """Draw the entries from top to bottom."""
    value = _value(key)
    added, gone = changes_of(before, key)
    ids = _drawn_ids(before, key, ROWS)
    names = _shortener(ids)
    entries = {each.id: each for each in (*gone, *value.entries)}
    kept, new, dead = {each.id for each in value.entries}, {each.id for each in added}, {each.id for each in gone}
    groups = value.groups[:2]
    id_width = max(map(len, names.values()), default=6)
    group_width = 8 if groups else 0
    room = max(0, width - id_width - 5 - (group_width + 1) * len(groups))
    left_out = key.size - sum(each in kept for each in ids)
    heads = ((" " + fit(shown(each.name, group_width), group_width), "strong") for each in groups)
    lines = [line((" " * (id_width + 5 + room), "dim"), *heads)] if groups else []
    if left_out > 0:
        lines.append(line((f"  … {left_out:,} before", "dim")))
    for each in ids:
        style = "new" if each in new else "gone" if each in dead else "plain"
        entry = entries.get(each)
        fields = " ".join(f"{shown(f, 8)}={shown(v, 10)}" for f, v in _pairs(entry)) if entry is not None else ""
        spans: list[Span] = [
            mark(style),
            *padded(names[each], id_width + 1, style if style != "plain" else "dim"),
            ("■ " if each in kept else "× ", style if style != "plain" else "strong"),
            *padded(fields, room, "string" if each in kept else "gone"),
        ]
        for group in groups:
            spans.append((" " + fit(_state(group, each, ids, kept), group_width), "changed"))
        lines.append(tuple(spans))
    for group in groups:
        lag = "unknown" if group.lag is None else f"{group.lag:,}"
        text = f"  {shown(group.name, 10)}: {group.pending_count:,} pending, lag {lag}"
        lines.append(line((text, "dim")))
        if not ids or order(group.last_id) < order(ids[0]):
            lines.append(line((f"    ▲ {group.last_id.decode()}", "dim")))
    if groups:
        lines.append(line(("  ✓ acknowledged ◷ pending ▲ last ID", "dim")))
    return lines


def _state(group: ConsumerGroup, entry: bytes, ids: list[bytes], kept: set[bytes]) -> str:
    last = order(group.last_id)
    pending = next((each for each in group.pending if each.id == entry), None)
    pointed = max((each for each in ids if order(each) <= last), key=order, default=None)
    arrow = "▲" if entry == pointed else ""
    if pending is not None:
        return f"◷{shown(pending.consumer, 4)}{arrow}"
    if order(entry) <= last:
        return ("✓" if entry in kept else "") + arrow
    return ""


def stream_sentence(before: Key | None, key: Key, cause: Argv) -> str:
    """Return the sentence for a stream."""
    if before is None:
        return ""
    added, gone = changes_of(before, key)
    parts = []
    if added and len(added) < WINDOW:
        parts.append(f"{listed([named(each.id) for each in added])} {were(added)} added")
    elif key.size > before.size:
        parts.append(f"{count(key.size - before.size, 'entry', 'entries')} were added")
    if gone:
        parts.append(f"{listed([named(each.id) for each in gone])} {were(gone)} deleted")
    old, new = _value(before), _value(key)
    was = {each.name: each for each in old.groups}
    for group in new.groups:
        parts += _group_changes(group, was.get(group.name))
    parts += [f"group {named(name)} was removed" for name in was if name not in {each.name for each in new.groups}]
    return told(before, key, clauses(parts[:3]), cause)


def _group_changes(group: ConsumerGroup, old: ConsumerGroup | None) -> list[str]:
    name = named(group.name)
    if old is None:
        return [f"group {name} was created, with last ID {group.last_id.decode()}"]
    parts = []
    taken = [each for each in group.pending if each.id not in {other.id for other in old.pending}]
    moved = [each for each in group.pending if _moved(each, old)]
    for consumer in dict.fromkeys(each.consumer for each in taken):
        ids = [named(each.id) for each in taken if each.consumer == consumer]
        parts.append(f"{listed(ids)} {were(ids)} delivered to {named(consumer)}")
    for consumer in dict.fromkeys(each.consumer for each in moved):
        ids = [named(each.id) for each in moved if each.consumer == consumer]
        parts.append(f"{named(consumer)} claimed {listed(ids)}")
    acknowledged = old.pending_count + len(taken) - group.pending_count
    if acknowledged > 0:
        done = [named(each.id) for each in old.pending if each.id not in {other.id for other in group.pending}]
        known = listed(done) if len(done) == acknowledged else count(acknowledged, "entry", "entries")
        parts.append(f"{known} {'was' if acknowledged == 1 else 'were'} acknowledged in {name}")
    if not parts and group.last_id != old.last_id:
        parts.append(f"group {name} now has the last ID {group.last_id.decode()}")
    new = [each for each, _ in group.consumers if each not in {other for other, _ in old.consumers}]
    if not parts and new:
        parts.append(f"consumer {named(new[0])} was created in {name}")
    return parts


def _moved(pending: PendingEntry, old: ConsumerGroup) -> bool:
    return any(each.id == pending.id and each.consumer != pending.consumer for each in old.pending)
