"""What the inspector shows of the keys: read with `peek`, so that looking leaves no trace.

Marks come from two sides: the server's own key events tell what changed, and the last command's key positions (from
the command table) tell what it looked at and did not change.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.errors import ReplyError
from tutor.prompt import to_text
from tutor.screens.view import KeyEntry, KeysView

Peek = Callable[[Sequence[bytes], int], Any]  # (argv, db) -> reply

MAX_KEYS = 60
MAX_ELEMENTS = 12
PREVIEW = 60


def keys_of(argv: Sequence[bytes]) -> list[bytes]:
    """Return the keys a command names, by the command table; empty when it cannot be told."""
    from engine.table import COMMANDS

    if not argv:
        return []
    command = COMMANDS.get(argv[0].lower())
    if command is not None and command.subcommands and len(argv) > 1:
        command = command.subcommands.get(argv[1].lower(), command)
    if command is None:
        return []
    found: dict[bytes, None] = {}
    for spec in command.key_specs:
        for position in spec.positions(list(argv)) or ():
            found[argv[position]] = None
    return list(found)


def changed_keys(before: dict[tuple[int, bytes], Any], after: Iterable[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
    """Return what is there now and was not before."""
    return {key for key in after if key not in before}


def databases(peek: Peek) -> dict[int, int]:
    """Return how many keys each database holds, those without keys left out."""
    reply = peek([b"INFO", b"keyspace"], 0)
    text = getattr(reply, "text", reply)
    counts: dict[int, int] = {}
    if isinstance(text, (bytes, bytearray)):
        for line in bytes(text).splitlines():
            if line.startswith(b"db") and b":keys=" in line:
                name, _, rest = line.partition(b":keys=")
                counts[int(name[2:])] = int(rest.partition(b",")[0])
    return counts


def read_keys(
    peek: Peek,
    db: int,
    marks: dict[tuple[int, bytes], str],
    gone: dict[tuple[int, bytes], KeyEntry],
    after: str = "",
) -> tuple[KeysView, dict[tuple[int, bytes], KeyEntry]]:
    """Read the keys of all databases, the terminal's own first.

    Returns the view, and the entries by (db, key) for the next comparison. `gone` are entries that were there before
    and that the last command removed.
    """
    counts = databases(peek)
    entries: dict[tuple[int, bytes], KeyEntry] = {}
    for number in sorted(counts, key=lambda each: (each != db, each)):
        names = _scan(peek, number, MAX_KEYS - len(entries), [key for at, key in marks if at == number])
        for name in names:
            if (entry := _entry(peek, number, name, marks.get((number, name), ""))) is not None:
                entries[(number, name)] = entry
    shown = list(entries.values()) + [entry for place, entry in gone.items() if place not in entries]
    shown.sort(key=lambda entry: (entry.db != db, entry.db, entry.name))
    return KeysView(tuple(shown), sum(counts.values()) + len(gone), db, after), entries


def _scan(peek: Peek, db: int, room: int, first: Sequence[bytes]) -> list[bytes]:
    """Return some keys, those in `first` before any other."""
    found: dict[bytes, None] = {}
    for name in first:
        if peek([b"EXISTS", name], db) == 1:
            found[name] = None
    cursor = b"0"
    while len(found) < room:
        reply = peek([b"SCAN", cursor, b"COUNT", b"100"], db)
        if not isinstance(reply, list) or len(reply) != 2:
            break
        cursor = reply[0] if isinstance(reply[0], bytes) else str(reply[0]).encode()
        for name in reply[1]:
            found[bytes(name)] = None
        if cursor == b"0":
            break
    return list(found)[: max(room, len(first))]


def _entry(peek: Peek, db: int, name: bytes, mark: str) -> KeyEntry | None:
    kind = _text(peek([b"TYPE", name], db))
    if kind in ("none", ""):
        return None
    encoding = peek([b"OBJECT", b"ENCODING", name], db)
    ttl = peek([b"PTTL", name], db)
    size, preview, details = _value(peek, db, name, kind)
    return KeyEntry(
        to_text(name),
        kind,
        "" if isinstance(encoding, ReplyError) else _text(encoding),
        size,
        f"⧗ {_seconds(ttl)}" if isinstance(ttl, int) and ttl >= 0 else "",
        preview,
        mark,
        db,
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
        text = to_text(bytes(data[:PREVIEW]))
        return '"' + text.replace("\n", "\\n") + ("…" if len(data) > PREVIEW else "") + '"'
    if isinstance(data, float):
        return f"{data:.17g}"
    return _text(data)


def _value(peek: Peek, db: int, name: bytes, kind: str) -> tuple[str, str, tuple[str, ...]]:
    """Return size, preview, and the elements a line each."""
    last = str(MAX_ELEMENTS - 1).encode()
    if kind == "string":
        length = peek([b"STRLEN", name], db)
        head = peek([b"GETRANGE", name, b"0", b"199"], db)
        text = quoted(head)
        return f"{length:,} B", text, (text,)
    if kind == "hash":
        count = peek([b"HLEN", name], db)
        fields = _flat(peek([b"HSCAN", name, b"0", b"COUNT", b"24"], db))
        pairs = [f"{_text(f)} → {quoted(v)}" for f, v in zip(fields[::2], fields[1::2])][:MAX_ELEMENTS]
        return f"{count:,} fields", ", ".join(pairs), _more(pairs, count)
    if kind == "list":
        count = peek([b"LLEN", name], db)
        items = [quoted(item) for item in _listed(peek([b"LRANGE", name, b"0", last], db))]
        return f"{count:,} items", " ".join(items), _more([f"{at}  {item}" for at, item in enumerate(items)], count)
    if kind == "set":
        count = peek([b"SCARD", name], db)
        found = _flat(peek([b"SSCAN", name, b"0", b"COUNT", b"24"], db))
        items = [quoted(item) for item in found][:MAX_ELEMENTS]
        return f"{count:,} members", " ".join(items), _more(items, count)
    if kind == "zset":
        count = peek([b"ZCARD", name], db)
        flat = _listed(peek([b"ZRANGE", name, b"0", last, b"WITHSCORES"], db))
        if flat and isinstance(flat[0], list | tuple):
            flat = [each for pair in flat for each in pair]
        items = [f"{_score(score)} {quoted(member)}" for member, score in zip(flat[::2], flat[1::2])]
        return f"{count:,} members", ", ".join(items), _more(items, count)
    if kind == "stream":
        count = peek([b"XLEN", name], db)
        return (f"{count:,} entries" if isinstance(count, int) else ""), "", ()
    return "", "", ()


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
