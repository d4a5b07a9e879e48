"""What a picture is, and what all pictures of keys share: heading, time to live, and the sentence of what changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutor.pictures.canvas import (
    NAME,
    WIDE,
    Line,
    bar,
    cells,
    command,
    count,
    crop_all,
    duration,
    ends,
    line,
    named,
    shown,
    width_of,
)
from tutor.pictures.readings import Argv, Key
from tutor.prompt.rows import Span

TYPES = {
    "string": ("string", "byte"),
    "list": ("list", "element"),
    "hash": ("hash", "field"),
    "set": ("set", "member"),
    "zset": ("sorted set", "member"),
    "stream": ("stream", "entry"),
}
CAUSE = 34  # the most of a command in a heading
TTL_BAR = 20


@dataclass(frozen=True, slots=True)
class Picture:
    """Lines to draw, none wider than asked for, and one sentence of what changed (nothing if nothing did)."""

    lines: tuple[Line, ...]
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class PictureView:
    """A picture as it stands. `draw` takes the width and how many milliseconds ago it was read."""

    draw: Callable[[int, float], Picture]
    subject: str
    fresh: bool = False  # something changed
    ticks: bool = False  # a time to live gets shorter
    again_ms: int = 0  # look again after so long, since something is under way; 0: no need


def made(lines: Sequence[Line], width: int, sentence: str = "") -> Picture:
    """Make a picture of lines, cut to the width."""
    return Picture(tuple(crop_all(lines, width)), sentence)


def sized(key: Key) -> str:
    """Return how much a key holds: `3 elements`."""
    one = TYPES[key.kind][1]
    return count(key.size, one, "entries" if one == "entry" else "")


def heading(title: Sequence[Span], cause: Argv, width: int, key: bytes | None = None) -> Line:
    """Put what is drawn to the left and the command that caused it to the right."""
    room = width - width_of(title) - (5 if width >= WIDE else 2)
    by = command(cause, min(CAUSE, room), key)
    right = [("by ", "dim"), (by, "command")] if width >= WIDE else [(by, "command")]
    return ends(title, right, width) if cause and room >= min(10, cells(by)) else tuple(title)


def key_heading(before: Key | None, key: Key, cause: Argv, width: int, kind: str = "") -> Line:
    """Return the first line of a key's picture."""
    new = before is not None and not before.exists
    title: list[Span] = [(shown(key.name, NAME), "new" if new else "strong")]
    what = ("new " if new else "") + (kind or TYPES[key.kind][0])
    if width < WIDE:
        title.append((f" {what} {key.size:,}", "dim"))
    else:
        encoding = key.encoding
        if before is not None and before.encoding and before.kind == key.kind and before.encoding != encoding:
            encoding = f"{before.encoding} → {encoding}"
        stored = f" · {encoding}" if encoding != key.kind else ""
        title.append((f" · {what} · {sized(key)}{stored}", "dim"))
    return heading(title, cause, width, key.name)


def ttl_lines(before: Key | None, key: Key, width: int) -> list[Line]:
    """Return the time to live as a bar that gets shorter, if the key has one."""
    if key.ttl_ms < 0:
        if before is not None and before.exists and before.ttl_ms >= 0:
            return [line(("~ ", "changed"), ("does not expire anymore", "changed"))]
        return []
    room = min(TTL_BAR, max(8, width - 44))
    full = max(key.ttl_full_ms, key.ttl_ms, 1)
    fresh = before is not None and before.expires_at_ms != key.expires_at_ms
    return [
        line(
            ("~ " if fresh else "  ", "changed"),
            ("expires in ", "dim"),
            (f"{duration(key.ttl_ms)} ", "changed" if fresh else "strong"),
            (bar(key.ttl_ms / full, room, "▓", "░"), "changed"),
            (f" of {duration(full)}", "dim"),
        )
    ]


def encoding_lines(before: Key | None, key: Key, width: int) -> list[Line]:
    """Say that Redis keeps the key in another way now."""
    if before is None or not before.exists or before.kind != key.kind or before.encoding == key.encoding:
        return []
    return [line(("~ ", "changed"), (f"encoding {before.encoding} → {key.encoding}", "changed"))]


def told(before: Key | None, key: Key, changes: str, argv: Argv = (), clause: str = "") -> str:
    """Return the sentence of what changed; nothing if nothing did or there is nothing to compare with.

    `changes` says what happened to the elements. `clause` is said of the key instead of its type and size.
    """
    if before is None or before == key:
        return ""
    name = named(key.name)
    if not key.exists:
        return _gone(before, name, argv)
    if key.kind not in TYPES or (_renames(argv) and not before.exists):  # the sentence of the old name names both
        return ""
    parts = [clause or _clause(before, key, changes)]
    if before.kind == key.kind and before.encoding != key.encoding:
        parts.append(f"is now encoded as {key.encoding} instead of {before.encoding}")
    parts.append(_ttl(before, key))
    parts = list(filter(None, parts))
    return f"{name} {'; it '.join(parts)}." if parts else ""


def _clause(before: Key, key: Key, changes: str) -> str:
    kind = TYPES[key.kind][0]
    of = f" of {sized(key)}"
    if not before.exists:
        text = f"is a new {kind}{of}"
    elif before.kind != key.kind:
        text = f"is now a {kind}{of} instead of a {TYPES[before.kind][0]}"
    elif before.size and not key.size:
        text = f"is now an empty {kind}"
    elif changes or before.size != key.size:
        text = f"is {'now ' if before.size != key.size else ''}a {kind}{of}"
    else:
        return ""
    return f"{text}: {changes}" if changes else text


def _ttl(before: Key, key: Key) -> str:
    if before.expires_at_ms == key.expires_at_ms:
        return ""
    if key.ttl_ms >= 0:
        return f"expires in {duration(key.ttl_ms)}"
    return "does not expire anymore" if before.exists and before.ttl_ms >= 0 else ""


_DELETING = b"del unlink getdel flushall flushdb migrate exec eval evalsha fcall".split()
_EXPIRING = b"expire pexpire expireat pexpireat getex".split()


def _renames(argv: Argv) -> bool:
    return len(argv) > 2 and argv[0].lower() in (b"rename", b"renamenx")


def _gone(before: Key, name: str, argv: Argv) -> str:
    if not before.exists:
        return ""
    word = argv[0].lower() if argv else b""
    if _renames(argv):
        return f"{name} was renamed to {named(argv[2])}."
    if word == b"move" and len(argv) > 2:
        return f"{name} was moved to database {shown(argv[2])}."
    if word in _EXPIRING:
        return f"{name} was deleted: its new expiration time has already passed."
    if not word and before.ttl_ms >= 0:
        return f"{name} has expired."
    if not word or word in _DELETING or before.kind not in TYPES or before.kind == "string":
        return f"{name} was deleted."
    kind, one = TYPES[before.kind]
    last = f"its last {one} was removed" if before.size == 1 else f"all its {before.size:,} {one}s were removed"
    return f"{name} was deleted: {last}, and Redis does not keep an empty {kind}."


def gone_lines(before: Key | None, key: Key, cause: Argv, width: int) -> list[Line]:
    """Draw a key that does not exist."""
    title: list[Span] = [(shown(key.name, NAME), "strong"), (" · does not exist", "dim")]
    lines = [heading(title, cause, width, key.name)]
    if before is not None and before.exists and before.kind in TYPES:
        lines.append(line(("- ", "error"), (f"it was a {TYPES[before.kind][0]} of {sized(before)}", "gone")))
    return lines
