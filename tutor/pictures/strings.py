"""Strings: bytes with their offsets, what they are as a number, bits as a grid.

A string that a bitmap command touched is drawn as bits, offset 0 first and each byte's highest bit first, as SETBIT
counts them.
"""

from tutor.pictures.canvas import NAME, WIDE, Line, count, line, listed, named, number
from tutor.pictures.picture import Picture, encoding_lines, key_heading, made, sized, told, ttl_lines
from tutor.pictures.readings import BYTES, Argv, Key, StringExcerpt
from tutor.prompt.rows import Span

BIT_COMMANDS = (b"setbit", b"getbit", b"bitcount", b"bitpos", b"bitop", b"bitfield", b"bitfield_ro")
ROWS = 6  # of bytes or bits that are drawn


def _value(key: Key | None) -> StringExcerpt:
    value = key.value if key is not None else None
    return value if isinstance(value, StringExcerpt) else StringExcerpt(b"")


def _pieces(value: StringExcerpt) -> list[tuple[int, bytes]]:
    """Return the bytes that were read, with their offsets."""
    pieces = [(0, value.head)]
    if value.near:
        pieces.append((value.near_at, value.near))
    return pieces


def _byte(value: StringExcerpt, at: int) -> int | None:
    """Return the byte at an offset, None if it was not read."""
    for start, data in _pieces(value):
        if start <= at < start + len(data):
            return data[at - start]
    return None


def draw_string(before: Key | None, key: Key, width: int, cause: Argv) -> Picture:
    """Draw the bytes of a string."""
    new = _value(key)
    lines = [key_heading(before, key, cause, width)]
    per_row = 16 if width >= 74 else 8 if key.size < 10_000 else 4
    compared = before is not None and before.kind == "string"
    for start, data in _pieces(new):
        if start:
            lines.append(line((f"  … {start - BYTES:,} bytes more …" if start > BYTES else "  …", "dim")))
        rows = range(0, len(data), per_row)
        for at in list(rows)[:ROWS]:
            lines += _byte_row(data[at : at + per_row], start + at, per_row, key, before if compared else None)
        if len(rows) > ROWS:
            lines.append(line(("  …", "dim")))
    shown_to = max(start + len(data) for start, data in _pieces(new))
    if key.size > shown_to:
        lines.append(line((f"  … and {count(key.size - shown_to, 'byte')} more", "dim")))
    lines += _as_number(before, key)
    lines += [*encoding_lines(before, key, width), *ttl_lines(before, key, width)]
    return made(lines, width, string_sentence(before, key, cause))


def _byte_row(data: bytes, at: int, per_row: int, key: Key, before: Key | None) -> list[Line]:
    """Draw a row of bytes: offset, hexadecimal, text, and below it what stood there before, if it changed."""
    places = 6 if per_row == 16 else max(4, len(str(key.size)))
    hexes: list[Span] = []
    chars: list[Span] = []
    was: list[Span] = []
    changed = False
    for i, byte in enumerate(data):
        earlier = _byte(_value(before), at + i)
        style = "plain"
        if before is not None and at + i >= before.size:
            style = "new"
        elif before is not None and earlier is not None and earlier != byte:
            style = "changed"
        changed |= style != "plain"
        hexes.append((f"{byte:02x} ", style))
        chars.append((chr(byte) if 32 <= byte < 127 else "·", style))
        was.append((f"{earlier:02x} " if style == "changed" else "   ", "gone"))
    only_new = all(style != "changed" for _, style in hexes)
    mark = ("+ " if only_new else "~ ") if changed else "  "
    pad = "   " * (per_row - len(data))
    lines = [
        line((mark, "new" if only_new else "changed"), (f"{at:>{places}} ", "dim"), *hexes, pad, *chars),
    ]
    if any(text.strip() for text, _ in was):
        lines.append(line(("- ", "error"), (f"{'was':>{places}} ", "dim"), *was))
    return lines


def _as_number(before: Key | None, key: Key) -> list[Line]:
    """Say what number the string is, if it is one."""
    text = _number(key)
    if not text:
        return []
    kind = "integer" if key.encoding == "int" else "number"
    old = _number(before) if before is not None else ""
    spans: list[Span] = [("  ", "plain"), (f"as {kind}  ", "dim")]
    if old and old != text:
        spans = [("~ ", "changed"), (f"as {kind}  ", "dim"), (f"{old} → ", "dim")]
    return [(*spans, (text, "number"))]


def _number(key: Key | None) -> str:
    data = _value(key).head
    if key is None or key.size != len(data) or len(data) > 32 or not data.strip() or data != data.strip():
        return ""
    try:
        value = float(data)
    except ValueError:
        return ""
    return data.decode() if key.encoding == "int" else "" if b"_" in data else number(value)


def string_sentence(before: Key | None, key: Key, cause: Argv) -> str:
    """Return the sentence for a string."""
    old, new = _value(before), _value(key)
    if before is None or key.kind != "string" or before.kind not in ("string", "none"):
        return told(before, key, "", cause)
    grown = key.size - before.size
    clause = ""
    if not before.exists:
        clause = f"is a new string{f': {named(new.head)}' if key.size <= NAME else f' of {sized(key)}'}"
    elif (old.head, old.near, before.size) == (new.head, new.near, key.size):
        pass
    elif key.size <= NAME and before.size <= NAME:
        clause = f"changed from {named(old.head)} to {named(new.head)}"
    elif grown > 0 and new.head[: len(old.head)] == old.head:
        verb = "was" if grown == 1 else "were"
        clause = f"is now {sized(key)} long: {count(grown, 'byte')} {verb} appended"
    else:
        clause = f"is now {sized(key)} long instead of {before.size:,}" if grown else "changed in some of its bytes"
    return told(before, key, "", cause, clause)


# --- bits --------------------------------------------------------------------------------------------------------


def _bits(value: StringExcerpt) -> list[tuple[int, str]]:
    return [(start * 8, "".join(f"{byte:08b}" for byte in data)) for start, data in _pieces(value)]


def changed_bits(before: Key | None, key: Key) -> list[tuple[int, int, int]]:
    """Return the bits that differ, as (offset, before, now), of the bytes that were read both times."""
    if before is None:
        return []
    old, new = _value(before), _value(key)
    found = []
    for start, data in _pieces(new):
        for i, byte in enumerate(data):
            earlier = _byte(old, start + i)
            if earlier is None and (start + i >= before.size or not before.exists):
                earlier = 0
            if earlier is not None and earlier != byte:
                found += [
                    ((start + i) * 8 + bit, earlier >> (7 - bit) & 1, byte >> (7 - bit) & 1)
                    for bit in range(8)
                    if (earlier ^ byte) >> (7 - bit) & 1
                ]
    return sorted(set(found))


def draw_bits(before: Key | None, key: Key, width: int, cause: Argv) -> Picture:
    """Draw a string as a grid of bits."""
    new = _value(key)
    per_row = 32 if width >= WIDE else 16
    title = key_heading(before, key, cause, width, "bitmap" if width < WIDE else "bitmap (a string)")
    lines = [title]
    changes = {offset: (was, now) for offset, was, now in changed_bits(before, key)}
    ruler = "".join(f"{i:<9}" for i in range(0, per_row, 8))
    lines.append(line(("         " + ruler, "dim")))
    for start, bits in _bits(new):
        if start:
            lines.append(line(("  …", "dim")))
        lines += _bit_rows(start, bits, per_row, changes)
    cleared = any(now == 0 for _, now in changes.values())
    lines.append(line(("  ■ 1  · 0" + ("  □ set to 0 just now" if cleared else ""), "dim")))
    if new.bits_set is not None:
        was = _value(before).bits_set if before is not None and before.kind == "string" else None
        moved = was is not None and was != new.bits_set
        lines.append(
            line(
                ("~ " if moved else "  ", "changed"),
                (f"{was} → " if moved else "", "dim"),
                (f"{new.bits_set:,}", "number"),
                (f" of {key.size * 8:,} bits are 1", "dim"),
            )
        )
    lines += ttl_lines(before, key, width)
    return made(lines, width, bits_sentence(before, key, cause))


def _bit_rows(start: int, bits: str, per_row: int, changes: dict[int, tuple[int, int]]) -> list[Line]:
    """Draw the rows that hold a bit that is 1 or changed, and the first row; the others are left out."""
    rows = range(0, len(bits), per_row)
    touched = [at for at in rows if any(start + at + i in changes for i in range(per_row))]
    used = [at for at in rows if "1" in bits[at : at + per_row]]
    kept = sorted({*touched[:ROWS], *([] if start else [0]), *used[: max(0, ROWS - len(touched))]})
    lines: list[Line] = []
    for i, at in enumerate(kept):
        if i and at != kept[i - 1] + per_row:
            lines.append(line(("  …", "dim")))
        lines.append(_bit_row(bits[at : at + per_row], start + at, changes))
    if kept and kept[-1] != rows[-1]:
        lines.append(line(("  …", "dim")))
    return lines


def _bit_row(bits: str, at: int, changes: dict[int, tuple[int, int]]) -> Line:
    spans: list[Span] = []
    for i, bit in enumerate(bits):
        if i and i % 8 == 0:
            spans.append((" ", "plain"))
        change = changes.get(at + i)
        if change is None:
            spans.append(("■" if bit == "1" else "·", "plain" if bit == "1" else "dim"))
        else:
            spans.append(("■" if bit == "1" else "□", "changed"))
    own = [offset for offset in changes if at <= offset < at + len(bits)]
    told_of = " ".join(f"{offset:,}" for offset in own[:2]) + (" …" if len(own) > 2 else "")
    return line(
        ("~ " if own else "  ", "changed"),
        (f"{at:>6} ", "dim"),
        *spans,
        (f"  bit {told_of}" if own else "", "changed"),
    )


def bits_sentence(before: Key | None, key: Key, cause: Argv) -> str:
    """Return the sentence for a bitmap."""
    changes = changed_bits(before, key)
    if before is None or not key.exists:
        return told(before, key, "", cause)
    if len(changes) > 3:
        text = f"{len(changes):,} bits {'changed' if before.exists else 'are 1'}"
    else:
        by_value = {bit: [f"{offset:,}" for offset, _, now in changes if now == bit] for bit in (1, 0)}
        text = " and ".join(
            f"bit{'s' if len(offsets) > 1 else ''} {listed(offsets)} {'are' if len(offsets) > 1 else 'is'} now {bit}"
            for bit, offsets in by_value.items()
            if offsets
        )
    kind = "is a new" if not before.exists else "is now a" if key.size > before.size else "is a"
    return told(before, key, "", cause, f"{kind} string of {sized(key)}: {text}" if text else "")
