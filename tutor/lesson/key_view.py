"""What the inspector shows of the keys: read with `inspect`, so that looking leaves no trace.

Marks come from two sides: the server's own key events tell what changed, and the last command's key positions (from
the command table) tell what it looked at and did not change.
"""

from codecs import getincrementaldecoder
from collections.abc import Sequence
from typing import Any

from engine.protocol.errors import ReplyError
from tutor.lesson.typed import reach
from tutor.lesson.view import KeyEntry, KeysView
from tutor.pictures import canvas
from tutor.pictures.readings import Inspections
from tutor.prompt import to_text

Place = tuple[int, bytes]  # database, key

MAX_KEYS = 60
MAX_ELEMENTS = 12
PREVIEW = 60


def keys_of(argv: Sequence[bytes]) -> list[bytes]:
    """Return the keys a command names, by the command table; empty when it cannot be told."""
    return reach(argv)[1]


def databases(reply: Any) -> dict[int, int]:
    """Return how many keys each database holds, from INFO keyspace; those without keys left out."""
    text = getattr(reply, "text", reply)
    counts: dict[int, int] = {}
    if isinstance(text, bytes | bytearray):
        for line in bytes(text).splitlines():
            if line.startswith(b"db") and b":keys=" in line:
                name, _, rest = line.partition(b":keys=")
                counts[int(name[2:])] = int(rest.partition(b",")[0])
    return counts


def read_keys(
    inspect_all: Inspections,
    db: int,
    marks: dict[Place, str],
    gone: dict[Place, KeyEntry],
    after: str = "",
) -> tuple[KeysView, dict[Place, KeyEntry]]:
    """Read the keys of all databases, the terminal's own first: in three looks, however many keys there are.

    Returns the view, and the entries by (db, key) for the next comparison. `gone` are entries that were there before
    and that the last command removed.
    """
    (info,) = inspect_all([((b"INFO", b"keyspace"), 0)])
    counts = databases(info)
    places = _names(inspect_all, counts, db, list(marks))
    facts = inspect_all(
        [
            (argv, at)
            for at, name in places
            for argv in ((b"TYPE", name), (b"OBJECT", b"ENCODING", name), (b"PTTL", name))
        ]
    )
    kinds = [_text(kind) for kind in facts[::3]]
    wanted = [VALUES.get(kind, ()) for kind in kinds]
    values = iter(
        inspect_all(
            [((command, name, *rest), at) for (at, name), looks in zip(places, wanted) for command, *rest in looks]
        )
    )
    entries: dict[Place, KeyEntry] = {}
    for number, (place, kind, looks) in enumerate(zip(places, kinds, wanted)):
        found = [next(values) for _ in looks]
        if kind not in ("none", ""):
            entries[place] = _entry(place, kind, facts[number * 3 + 1], facts[number * 3 + 2], found, marks)
    shown = list(entries.values()) + [entry for place, entry in gone.items() if place not in entries]
    shown.sort(key=lambda entry: (entry.db != db, entry.db, entry.name))
    extra = sum(place not in entries for place in gone)
    return KeysView(tuple(shown), sum(counts.values()) + extra, db, after), entries


def _names(inspect_all: Inspections, counts: dict[int, int], db: int, first: Sequence[Place]) -> list[Place]:
    """Return some keys: those in `first` before any other, and this database before the others."""
    found = dict.fromkeys(first[:MAX_KEYS])
    for number in sorted(counts, key=lambda each: (each != db, each)):
        cursor = b"0"
        while len(found) < MAX_KEYS:
            (reply,) = inspect_all([((b"SCAN", cursor, b"COUNT", b"100"), number)])
            if not isinstance(reply, list) or len(reply) != 2:
                break
            cursor = reply[0] if isinstance(reply[0], bytes) else str(reply[0]).encode()
            for name in reply[1]:
                found[(number, bytes(name))] = None
            if cursor == b"0":
                break
    return list(found)[:MAX_KEYS]


def _entry(place: Place, kind: str, encoding: Any, ttl: Any, found: list[Any], marks: dict[Place, str]) -> KeyEntry:
    size, preview, details = _value(kind, found)
    return KeyEntry(
        to_text(place[1]),
        kind,
        "" if isinstance(encoding, ReplyError) else _text(encoding),
        size,
        f"⧗ {_seconds(ttl)}" if isinstance(ttl, int) and ttl >= 0 else "",
        preview,
        marks.get(place, ""),
        place[0],
        details,
    )


def _seconds(ttl_ms: int) -> str:
    if ttl_ms < 10_000:
        return f"{ttl_ms / 1000:.1f} s"
    if ttl_ms < 120_000:
        return f"{ttl_ms // 1000} s"
    minutes = ttl_ms // 60_000
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"


def _text(reply: Any) -> str:
    if isinstance(reply, bytes | bytearray):
        return to_text(bytes(reply))
    text = getattr(reply, "text", None)
    if isinstance(text, bytes):
        return to_text(text)
    return "" if reply is None or isinstance(reply, ReplyError) else str(reply)


def quoted(data: Any) -> str:
    """Write an element: text in quotes, a number as it is."""
    if isinstance(data, bytes | bytearray):
        text = _beginning(bytes(data))
        return '"' + text.replace("\n", "\\n") + ("…" if len(data) > PREVIEW else "") + '"'
    if isinstance(data, float):
        return f"{data:.17g}"
    return _text(data)


def _beginning(data: bytes) -> str:
    """Return the first `PREVIEW` bytes as text, without a character that is cut in two there."""
    return getincrementaldecoder("utf-8")("surrogateescape").decode(data[:PREVIEW], final=len(data) <= PREVIEW)


LAST = str(MAX_ELEMENTS - 1).encode()
SCANNED = str(2 * MAX_ELEMENTS).encode()
# What to look at for each type: command, then what follows the key's name.
VALUES: dict[str, tuple[tuple[bytes, ...], ...]] = {
    "string": ((b"STRLEN",), (b"GETRANGE", b"0", b"199")),
    "hash": ((b"HLEN",), (b"HSCAN", b"0", b"COUNT", SCANNED)),
    "list": ((b"LLEN",), (b"LRANGE", b"0", LAST)),
    "set": ((b"SCARD",), (b"SSCAN", b"0", b"COUNT", SCANNED)),
    "zset": ((b"ZCARD",), (b"ZRANGE", b"0", LAST, b"WITHSCORES")),
    "stream": ((b"XLEN",),),
}


def _value(kind: str, found: list[Any]) -> tuple[str, str, tuple[str, ...]]:
    """Return size, preview, and the elements a line each."""
    if not found or not isinstance(found[0], int):
        return "", "", ()
    count, items = found[0], found[1] if len(found) > 1 else None
    if kind == "string":
        text = quoted(items)
        return f"{count:,} B", text, (text,)
    if kind == "hash":
        fields = _flat(items)
        pairs = [f"{_text(f)} → {quoted(v)}" for f, v in zip(fields[::2], fields[1::2])][:MAX_ELEMENTS]
        return canvas.count(count, "field"), ", ".join(pairs), _more(pairs, count)
    if kind == "list":
        shown = [quoted(item) for item in _listed(items)]
        return (
            canvas.count(count, "item"),
            " ".join(shown),
            _more([f"{at}  {item}" for at, item in enumerate(shown)], count),
        )
    if kind == "set":
        shown = [quoted(item) for item in _flat(items)][:MAX_ELEMENTS]
        return canvas.count(count, "member"), " ".join(shown), _more(shown, count)
    if kind == "zset":
        flat = _listed(items)
        if flat and isinstance(flat[0], list | tuple):
            flat = [each for pair in flat for each in pair]
        shown = [f"{_score(score)} {quoted(member)}" for member, score in zip(flat[::2], flat[1::2])]
        return canvas.count(count, "member"), ", ".join(shown), _more(shown, count)
    return canvas.count(count, "entry", "entries"), "", ()


def _score(score: Any) -> str:
    return f"{score:.17g}" if isinstance(score, float) else _text(score)


def _listed(reply: Any) -> list[Any]:
    return list(reply) if isinstance(reply, list | tuple) else []


def _flat(reply: Any) -> list[Any]:
    if not isinstance(reply, list) or len(reply) != 2:
        return []
    items = reply[1]
    return [each for pair in items.items() for each in pair] if isinstance(items, dict) else list(items)


def _more(items: list[str], count: Any) -> tuple[str, ...]:
    rest = count - len(items) if isinstance(count, int) else 0
    return (*items, f"… and {rest:,} more") if rest > 0 else tuple(items)
