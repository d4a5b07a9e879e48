"""Partitioning: the 16384 hash slots, who has them, and where a key belongs.

The slot is CRC16 of the key, or of what stands between the first `{` and the next `}` if there is something.
"""

from binascii import crc_hqx
from collections.abc import Sequence
from dataclasses import dataclass

from tutor.pictures.canvas import WIDE, count, fit, line, shown
from tutor.pictures.picture import Picture, heading, made
from tutor.pictures.readings import Argv, Inspections
from tutor.prompt import to_text
from tutor.prompt.rows import Span

SLOTS = 16384
KEYS = 6
ROWS = 6
SHARDS = "ABCDEFGHIJKLMNOP"


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Slots that a server has."""

    first: int
    last: int
    owner: str


def tag_of(key: bytes) -> bytes:
    """Return the part of a key that decides about its slot."""
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    return key[start + 1 : end] if 0 <= start < end - 1 else key


def slot_of(key: bytes) -> int:
    """Return the slot of a key."""
    return crc_hqx(tag_of(key), 0) % SLOTS


ALONE = (SlotRange(0, SLOTS - 1, "this server"),)  # a server in no cluster has them all


def read_slots(inspect_all: Inspections) -> tuple[SlotRange, ...]:
    """Return who has which slots, as a server sees it: of a cluster its masters, else the server itself."""
    (reply,) = inspect_all([((b"CLUSTER", b"SLOTS"), 0)])
    if not isinstance(reply, list):  # it is in no cluster
        return ALONE
    ranges = (SlotRange(each[0], each[1], f"{to_text(bytes(each[2][0]))}:{each[2][1]}") for each in reply)
    return tuple(sorted(ranges, key=lambda each: each.first))


def draw_slots(ranges: Sequence[SlotRange], keys: Sequence[bytes], width: int, cause: Argv = ()) -> Picture:
    """Draw the slots as a bar, and where keys are in it."""
    wide = width >= WIDE
    lines = [heading([("slots", "strong"), (f" · {SLOTS:,} of them" if wide else "", "dim")], cause, width)]
    room = width - 6
    owners = list(dict.fromkeys(each.owner for each in ranges))
    cells = [" "] * room
    for at in range(room):
        middle = (2 * at + 1) * SLOTS // (2 * room)
        owner = next((each.owner for each in ranges if each.first <= middle <= each.last), None)
        cells[at] = SHARDS[owners.index(owner) % len(SHARDS)] if owner is not None else "·"
    marks = [" "] * room
    shown_keys = list(dict.fromkeys(keys))[:KEYS]
    for number, key in enumerate(shown_keys, 1):
        at = min(room - 1, slot_of(key) * room // SLOTS)
        marks[at] = str(number) if marks[at] == " " else "*"
    lines.append(line(("  0", "dim"), (f"{SLOTS - 1}".rjust(room + 1), "dim")))
    lines.append(line(("  ", "plain"), ("".join(cells), "number")))
    lines.append(line(("  ", "plain"), ("".join(marks), "changed")))
    for each in ranges[:ROWS]:
        letter = SHARDS[owners.index(each.owner) % len(SHARDS)]
        lines.append(line((f"  {letter} {each.first:,} to {each.last:,} ", "plain"), (each.owner, "strong")))
    for number, key in enumerate(shown_keys, 1):
        tag = tag_of(key)
        spans: list[Span] = [
            (f"  {number} ", "changed"),
            (fit(shown(key, 14), 14), "strong"),
            (f" slot {slot_of(key):,}", "number"),
        ]
        if tag != key:
            spans.append((f"  by {{{shown(tag, 10)}}}", "dim"))
        lines.append(tuple(spans))
    slots = sorted({slot_of(key) for key in shown_keys})
    if len(shown_keys) > 1 == len(slots):
        lines.append(line(("  one slot: one command may use them all", "good")))
    elif len(slots) > 1:
        lines.append(line(("  several slots: in a cluster, CROSSSLOT", "changed")))
    numbers = ", ".join(f"{each:,}" for each in slots)
    said = f"{count(len(shown_keys), 'key')} in {count(len(slots), 'slot')}: {numbers}." if slots else ""
    return made(lines, width, said)
