"""Sets: members in no order, and what SINTER, SUNION and SDIFF take of two sets or more."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutor.pictures.canvas import (
    NAME,
    WIDE,
    Line,
    center,
    clauses,
    count,
    cut,
    fit,
    flowed,
    line,
    listed,
    named,
    shown,
    were,
)
from tutor.pictures.picture import Picture, encoding_lines, heading, key_heading, made, told, ttl_lines
from tutor.pictures.readings import WINDOW, Argv, Inspections, Key, SetExcerpt
from tutor.prompt.rows import Span

SHOWN = 24
MEMBER = 18
VENN_ROWS = 8
OPERATIONS = {
    b"sinter": "in all of them",
    b"sinterstore": "in all of them",
    b"sintercard": "in all of them",
    b"sunion": "in any of them",
    b"sunionstore": "in any of them",
    b"sdiff": "in the first only",
    b"sdiffstore": "in the first only",
}


def _members(key: Key | None) -> list[bytes]:
    """Return the members that were read, those that the command named first."""
    value = key.value if key is not None else None
    if not isinstance(value, SetExcerpt):
        return []
    return list(dict.fromkeys([*value.members, *(name for name, there in value.named if there)]))


def _absent(key: Key | None, member: bytes) -> bool:
    value = key.value if key is not None else None
    if not isinstance(value, SetExcerpt):
        return True
    members = _members(key)
    return (member, False) in value.named or (len(members) == (key.size if key else 0) and member not in members)


def changes_of(before: Key | None, key: Key) -> tuple[list[bytes], list[bytes]]:
    """Return the members that are new and those that are gone, as far as they were read."""
    if before is None:
        return [], []
    old, new = _members(before), _members(key)
    added = [each for each in new if each not in old and _absent(before, each)]
    return added, [each for each in old if each not in new and _absent(key, each)]


def draw_set(before: Key | None, key: Key, width: int, cause: Argv) -> Picture:
    """Draw a set."""
    members = _members(key)
    added, gone = changes_of(before, key)
    order = [*[each for each in members if each not in added][: SHOWN - len(added)], *added[:SHOWN]]
    order = [each for each in members if each in order]
    items: list[Span] = [
        (("+ " if each in added else "") + shown(each, MEMBER), "new" if each in added else "string")
        for each in order
    ]
    items += [(f"- {shown(each, MEMBER)}", "gone") for each in gone[:SHOWN]]
    lines = [key_heading(before, key, cause, width)]
    inner = width - 6
    drawn = flowed(items, inner, gap=3)
    lines.append(line(("  ╭" + "┄" * (inner + 1) + "╮", "dim")))
    for each in drawn:
        used = sum(len(text) for text, _ in each)
        lines.append(line(("  ┊ ", "dim"), *each, (" " * (inner - used), "plain"), ("┊", "dim")))
    lines.append(line(("  ╰" + "┄" * (inner + 1) + "╯", "dim")))
    if key.size > len(order):
        lines.append(line((f"  … and {key.size - len(order):,} more", "dim")))
    order_told = (
        "sorted, because it is an intset" if key.encoding == "intset" else "SMEMBERS returns them in any order"
    )
    lines.append(line((f"  {order_told}", "dim")))
    lines += [*encoding_lines(before, key, width), *ttl_lines(before, key, width)]
    return made(lines, width, set_sentence(before, key, cause))


def set_sentence(before: Key | None, key: Key, cause: Argv) -> str:
    """Return the sentence for a set."""
    added, gone = changes_of(before, key)
    parts = []
    if added and (key.size == len(_members(key)) or (before is not None and before.exists)):
        parts.append(f"{listed([named(each) for each in added])} {were(added)} added")
    if gone:
        parts.append(f"{listed([named(each) for each in gone])} {were(gone)} removed")
    return told(before, key, clauses(parts), cause)


# --- several sets ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sets:
    """Several sets at one moment: for each member that was read, in which of them it is."""

    names: tuple[bytes, ...]
    sizes: tuple[int, ...]
    members: tuple[tuple[bytes, tuple[bool, ...]], ...]
    whole: bool  # whether all members were read


def operands(argv: Argv) -> list[bytes]:
    """Return the keys whose members a command compares, at most four of them."""
    name = argv[0].lower() if argv else b""
    if name not in OPERATIONS:
        return []
    if name == b"sintercard":
        number = int(argv[1]) if len(argv) > 1 and argv[1].isdigit() and len(argv[1]) < 9 else 0
        return list(argv[2 : 2 + number])[:4]
    return list(argv[2 if name.endswith(b"store") else 1 :])[:4]


def read_sets(inspect_all: Inspections, db: int, names: Sequence[bytes]) -> Sets:
    """Read several sets: some members of each, and in which of the others they are."""
    names = tuple(dict.fromkeys(names))
    sizes = [each if isinstance(each, int) else 0 for each in inspect_all([((b"SCARD", name), db) for name in names])]
    scanned = inspect_all([((b"SSCAN", name, b"0", b"COUNT", b"%d" % WINDOW), db) for name in names])
    members: dict[bytes, None] = {}
    whole = True
    for size, reply in zip(sizes, scanned):
        found = (
            [bytes(each) for each in reply[1]][: 2 * WINDOW] if isinstance(reply, list) and len(reply) == 2 else []
        )
        whole &= len(found) == size
        members |= dict.fromkeys(found)
    flags = inspect_all([((b"SMISMEMBER", name, *members), db) for name in names]) if members else []
    columns = [
        [bool(each) for each in reply] if isinstance(reply, list) else [False] * len(members) for reply in flags
    ]
    return Sets(tuple(names), tuple(sizes), tuple(zip(members, zip(*columns))), whole)


def chosen(operation: bytes, present: Sequence[bool]) -> bool:
    """Return whether a member that is in these of the sets belongs to the result."""
    name = operation.lower()
    if name.startswith(b"sinter"):
        return all(present)
    return any(present) if name.startswith(b"sunion") else present[0] and not any(present[1:])


def draw_sets(sets: Sets, width: int, cause: Argv) -> Picture:
    """Draw what an operation takes of several sets."""
    operation = cause[0] if cause else b"sinter"
    result = [member for member, present in sets.members if chosen(operation, present)]
    title: list[Span] = [(shown(operation).upper(), "strong"), (f" · {OPERATIONS[operation.lower()]}", "dim")]
    lines = [heading(title, cause, width)]
    if len(sets.names) == 2:
        lines += _venn(sets, operation, width)
    else:
        lines += _table(sets, operation, width)
    if not sets.whole:
        lines.append(line(("  … only some members are shown", "dim")))
    names = listed([named(each) for each in result], 6)
    # How many there are is known only where all members were read.
    number = count(len(result), "member") if sets.whole else "some members"
    said = (
        f"{shown(operation).upper()} gives {number}: {names}."
        if result
        else (f"{shown(operation).upper()} gives no member." if sets.whole else "")
    )
    return made(lines, width, said)


def _venn(sets: Sets, operation: bytes, width: int) -> list[Line]:
    """Draw two sets side by side, what they share in the middle."""
    regions = ((True, False), (True, True), (False, True))
    taken = [chosen(operation, each) for each in regions]
    columns = [[member for member, present in sets.members if present == each] for each in regions]
    a, b = (cut(shown(each, NAME), max(4, width // 3 - 6)) for each in sets.names)
    each_width = (width - 4) // 3
    heads = [f"only {a}", "both", f"only {b}"]
    if each_width < 12:
        heads = ["left", "both", "right"]
    lines: list[Line] = [
        line(
            (f"  {a}", "strong"),
            (f" {count(sets.sizes[0], 'member')}", "dim"),
            ("   ", "plain"),
            (b, "strong"),
            (f" {count(sets.sizes[1], 'member')}", "dim"),
        )
    ]
    edges = [("╔", "═", "╗", "║", "╚", "╝") if each else ("┌", "╌", "┐", "╎", "└", "┘") for each in taken]
    inner = each_width - 2
    lines.append(_across([(f"{e[0]}{e[1] * inner}{e[2]}", _edge(t)) for e, t in zip(edges, taken)]))
    marks = [f"{'✓ ' if t else ''}{h}" for h, t in zip(heads, taken)]
    lines.append(
        tuple(
            part
            for e, t, m in zip(edges, taken, marks)
            for part in ((e[3], _edge(t)), (center(m, inner), "title" if t else "dim"), (e[3], _edge(t)))
        )
    )
    rows = min(VENN_ROWS, max(map(len, columns), default=0))
    for at in range(max(1, rows)):
        spans: list[Span] = []
        for e, t, column in zip(edges, taken, columns):
            more = at == VENN_ROWS - 1 and len(column) > VENN_ROWS
            text = (
                (f"… {len(column) - at} more" if more else shown(column[at], inner - 2)) if at < len(column) else ""
            )
            spans += [(e[3], _edge(t)), (" " + fit(text, inner - 1), "new" if t else "plain"), (e[3], _edge(t))]
        lines.append(tuple(spans))
    lines.append(_across([(f"{e[4]}{e[1] * inner}{e[5]}", _edge(t)) for e, t in zip(edges, taken)]))
    lines.append(line(("  ✓ in the result", "dim")))
    return [((" ", "plain"), *each) if at else each for at, each in enumerate(lines)]


def _edge(taken: bool) -> str:
    return "good" if taken else "dim"


def _across(parts: list[Span]) -> Line:
    return tuple(parts)


def _table(sets: Sets, operation: bytes, width: int) -> list[Line]:
    """Draw which member is in which of several sets."""
    names = [shown(each, 10 if width >= WIDE else 5) for each in sets.names]
    member_width = max(6, min(MEMBER, width - sum(len(each) + 2 for each in names) - 11))
    lines: list[Line] = [
        line(
            (f"  {fit('member', member_width)}", "dim"),
            *((f"  {name}", "strong") for name in names),
            ("  result", "dim"),
        )
    ]
    for member, present in sets.members[: 2 * VENN_ROWS]:
        result = chosen(operation, present)
        lines.append(
            line(
                ("  " + fit(shown(member, member_width), member_width), "new" if result else "plain"),
                *(("  " + center("■" if each else "·", len(name)), "plain") for each, name in zip(present, names)),
                ("  " + center("✓" if result else "", 6), "good"),
            )
        )
    return lines
