"""Hashes: a table of fields and values."""

from tutor.pictures.canvas import Line, cells, clauses, fit, line, listed, mark, named, padded, shown, were
from tutor.pictures.picture import Picture, encoding_lines, key_heading, made, told, ttl_lines
from tutor.pictures.readings import Argv, HashExcerpt, Key

ROWS = 12
FIELD = 20


def _fields(key: Key | None) -> dict[bytes, bytes]:
    """Return the fields that were read."""
    value = key.value if key is not None else None
    if not isinstance(value, HashExcerpt):
        return {}
    return {**dict(value.fields), **{field: each for field, each in value.named if each is not None}}


def _absent(key: Key | None, field: bytes) -> bool:
    """Return whether a field is known not to be there."""
    value = key.value if key is not None else None
    if not isinstance(value, HashExcerpt):
        return True
    return (field, None) in value.named or (
        len(_fields(key)) == (key.size if key else 0) and field not in _fields(key)
    )


def changes_of(before: Key | None, key: Key) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return the fields that are new, that have another value, and that are gone, as far as they were read."""
    if before is None:
        return [], [], []
    old, new = _fields(before), _fields(key)
    added = [field for field in new if field not in old and _absent(before, field)]
    changed = [field for field in new if field in old and old[field] != new[field]]
    gone = [field for field in old if field not in new and _absent(key, field)]
    return added, changed, gone


def draw_hash(before: Key | None, key: Key, width: int, cause: Argv) -> Picture:
    """Draw a hash."""
    old, new = _fields(before), _fields(key)
    added, changed, gone = changes_of(before, key)
    marked = [*added, *changed]
    order = list(new)
    if len(order) > ROWS:  # what changed is always shown, in its place
        kept = {*marked[:ROWS], *[field for field in order if field not in marked][: max(0, ROWS - len(marked))]}
        order = [field for field in order if field in kept]
    names = [*order, *gone]
    field_width = min(FIELD, max([cells(shown(each, FIELD)) for each in names], default=5), width // 2 - 4)
    field_width = max(5, field_width)
    value_width = max(8, width - field_width - 9)
    lines = [key_heading(before, key, cause, width)]
    lines.append(line((f"  {fit('field', field_width)}   value", "dim")))
    for field in order:
        style = "new" if field in added else "changed" if field in changed else "plain"
        lines.append(
            _row(field, new[field], old.get(field) if style == "changed" else None, style, field_width, value_width)
        )
    for field in gone[:ROWS]:
        lines.append(_row(field, old[field], None, "gone", field_width, value_width))
    if key.size > len(order):
        lines.append(line((f"  … and {key.size - len(order):,} more", "dim")))
    lines += [*encoding_lines(before, key, width), *ttl_lines(before, key, width)]
    return made(lines, width, hash_sentence(before, key, cause))


def _row(field: bytes, value: bytes, old: bytes | None, style: str, field_width: int, value_width: int) -> Line:
    was = f"{shown(old, value_width // 2 - 3)} → " if old is not None else ""
    return line(
        mark(style),
        *padded(shown(field, field_width), field_width, style if style != "plain" else "strong"),
        (" │ ", "dim"),
        (was, "dim"),
        (shown(value, max(4, value_width - cells(was))), style if style != "plain" else "string"),
    )


def hash_sentence(before: Key | None, key: Key, cause: Argv) -> str:
    """Return the sentence for a hash."""
    old, new = _fields(before), _fields(key)
    added, changed, gone = changes_of(before, key)
    parts = []
    if before is not None and not before.exists and len(new) < key.size:
        return told(before, key, "", cause)
    if len(added) == 1:
        parts.append(f"field {named(added[0])} was added with {named(new[added[0]])}")
    elif added:
        parts.append(f"fields {listed([named(each) for each in added])} were added")
    if len(changed) == 1:
        parts.append(f"{named(changed[0])} changed from {named(old[changed[0]])} to {named(new[changed[0]])}")
    elif changed:
        parts.append(f"{listed([named(each) for each in changed])} changed")
    if gone:
        parts.append(f"{listed([named(each) for each in gone])} {were(gone)} removed")
    return told(before, key, clauses(parts), cause)
