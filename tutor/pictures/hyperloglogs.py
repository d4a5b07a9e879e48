"""HyperLogLogs: the registers, the estimate, and beside it how many different elements were really added."""

from engine.values.hyperloglog import REGISTERS, SPARSE, CorruptedHllError, is_hll, place, registers
from engine.values.hyperloglog import count as estimate
from tutor.pictures.canvas import WIDE, Line, count, line, named, shown
from tutor.pictures.picture import Picture, key_heading, made, told, ttl_lines
from tutor.pictures.readings import Argv, Key, StringExcerpt

SHADES = " ▁▂▃▄▅▆▇█"
ROWS = 4
TOLD = 4
STANDARD_ERROR = 0.0081  # 1.04 / √16384


def _registers(key: Key | None) -> bytes | None:
    """Return the registers, a byte each; None if there are none or they are damaged."""
    value = key.value if key is not None else None
    if not isinstance(value, StringExcerpt) or not value.hll or not is_hll(value.hll):
        return None
    try:
        return registers(value.hll)
    except CorruptedHllError:
        return None


def _estimate(key: Key | None) -> int | None:
    value = key.value if key is not None else None
    return estimate(value.hll) if isinstance(value, StringExcerpt) and _registers(key) is not None else None


def _changes(before: Key | None, key: Key) -> list[tuple[int, int, int]]:
    """Return the registers that changed: number, before, now."""
    if before is None:
        return []
    old, new = _registers(before) or bytes(REGISTERS), _registers(key) or bytes(REGISTERS)
    return [(at, a, b) for at, (a, b) in enumerate(zip(old, new)) if a != b]


def draw_hll(before: Key | None, key: Key, width: int, cause: Argv, different: int | None = None) -> Picture:
    """Draw a HyperLogLog. `different` is how many different elements were added, if that is known."""
    found = _registers(key)
    lines = [key_heading(before, key, cause, width, "HLL" if width < WIDE else "HyperLogLog (a string)")]
    sentence = _sentence(before, key, cause, different)
    if found is None:
        return made([*lines, line(("  its registers are damaged", "error"))], width, sentence)
    changes = _changes(before, key)
    lines += _grid(found, {at for at, _, _ in changes}, min(width - 4, 64))
    used = sum(each > 0 for each in found)
    value = key.value
    sparse = isinstance(value, StringExcerpt) and value.hll[4] == SPARSE
    lines.append(line((f"  {used:,} of {REGISTERS:,} set, stored {'sparsely' if sparse else 'densely'}", "dim")))
    causes = _by_element(cause)
    for at, was, now in changes[:TOLD]:
        by = next((each for each in causes if causes[each] == (at, now)), None)
        lines.append(
            line(
                ("~ ", "changed"),
                (f"register {at:,}: {was} → {now}", "changed"),
                (f"  by {shown(by, 16)}" if by is not None else "", "dim"),
            )
        )
    if len(changes) > TOLD:
        lines.append(line((f"~ and {count(len(changes) - TOLD, 'more register')}", "changed")))
    lines.append(_counts(_estimate(key), different, width))
    lines += ttl_lines(before, key, width)
    return made(lines, width, sentence)


def _by_element(cause: Argv) -> dict[bytes, tuple[int, int]]:
    """Return the register and the value that each added element stands for."""
    added = cause[2:] if cause and cause[0].lower() == b"pfadd" else ()
    return {each: place(each) for each in added[:256]}


def _grid(found: bytes, changed: set[int], width: int) -> list[Line]:
    """Draw all registers, the highest of several in a cell."""
    share = -(-REGISTERS // (ROWS * width))
    lines: list[Line] = [line(("  ┌" + "─" * width + "┐", "dim"))]
    for row in range(ROWS):
        spans = []
        for column in range(width):
            start = (row * width + column) * share
            cell = found[start : start + share]
            highest = max(cell, default=0)
            new = any(start <= at < start + share for at in changed)
            text = SHADES[min(len(SHADES) - 1, -(-highest // 2))] if cell else " "
            spans.append(
                (text if highest or not cell else "·", "changed" if new else "number" if highest else "ghost")
            )
        lines.append(line(("  │", "dim"), *spans, ("│", "dim")))
    return [*lines, line(("  └" + "─" * width + "┘", "dim"))]


def _counts(estimated: int | None, different: int | None, width: int) -> Line:
    if estimated is None:
        return line(("  no estimate", "dim"))
    spans = [("  estimate ", "dim"), (f"{estimated:,}", "number")]
    if different is None:
        return line(*spans, ("  standard error 0.81%", "dim"))
    error = (estimated - different) / different * 100 if different else 0.0
    off = f"  off by {error:+.2f}%" if error else "  exact"
    return line(*spans, ("  really ", "dim"), (f"{different:,}", "strong"), (off, "dim"))


def _sentence(before: Key | None, key: Key, cause: Argv, different: int | None) -> str:
    changes = _changes(before, key)
    was, now = _estimate(before), _estimate(key)
    if before is None or before.value == key.value:
        return told(before, key, "", cause)
    text = f"{count(len(changes), 'register')} changed" if changes else "no register changed"
    if now is not None:
        moved = was is not None and was != now
        text += f", and the estimate changed from {was:,} to {now:,}" if moved else f", and the estimate is {now:,}"
        if different is not None:
            text += f" (the exact number is {different:,})"
    name = named(key.name)
    if not before.exists:
        return f"{name} is a new HyperLogLog: {text}."
    return f"{name} is a HyperLogLog: {text}."
