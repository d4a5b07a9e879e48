r"""A typed line as words: the arguments to send, and where each stands in the line.

The rules are redis-cli's: spaces part words, `"..."` knows \n \r \t \b \a \xff and \", `'...'` knows \' alone, a
closing quote must end the word. `split_args` is the server's own splitter for inline commands, so that both agree by
construction; `tokenize` also accepts the unfinished line that completion and colors need.
"""

from dataclasses import dataclass

from engine.protocol.resp import split_args as _split

WORD = 60  # characters: of a name in a message
LINE = 400  # of a line that is repeated


def shorten(text: str, limit: int = WORD) -> str:
    """Return a text for display: if it is too long (pasted, for example), its beginning and its length."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def first_row(text: str) -> str:
    """Return the first line of a text, with a mark if there are more."""
    first, more, _ = text.partition("\n")
    return f"{first} …" if more else first


_JOINER = "\u200d"  # in emoji and scripts that join letters


def printable(text: str) -> str:
    """Return a text without characters that a terminal would obey, such as those of colors and directions."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == _JOINER else "·" for each in text)


def distance(a: str, b: str, most: int = 3) -> int:
    """Return how many letters must be changed, added, removed or swapped with their neighbor, up to `most` + 1."""
    if abs(len(a) - len(b)) > most or len(set(a).difference(b)) > most or len(set(b).difference(a)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        now = [i]
        for j, y in enumerate(b, 1):
            cost = min(row[j] + 1, now[-1] + 1, row[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            now.append(cost)
        before, row = row, now
        if min(row) > most:
            return most + 1
    return row[-1]


def to_bytes(text: str) -> bytes:
    """Return what a terminal's text stands for on the wire."""
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """Return bytes as text that `to_bytes` turns back into the same bytes."""
    return data.decode("utf-8", "surrogateescape")


def split_args(line: str | bytes) -> list[bytes] | None:
    """Split a line into arguments; None when its quotes do not match (redis-cli: "Invalid argument(s)")."""
    return _split(to_bytes(line) if isinstance(line, str) else line)


def unquote(text: str | bytes) -> bytes | None:
    """Return the one argument that `text` spells; None when it spells none, several, or is badly quoted."""
    args = split_args(text)
    return args[0] if args is not None and len(args) == 1 else None


_NAMED = {34: b'\\"', 92: b"\\\\", 10: b"\\n", 13: b"\\r", 9: b"\\t", 7: b"\\a", 8: b"\\b"}
_QUOTED = [_NAMED.get(c, bytes([c]) if 32 <= c < 127 else b"\\x%02x" % c) for c in range(256)]
_PLAIN = frozenset(c for c in range(32, 127)) - {34, 92}


def quote(data: bytes) -> bytes:
    """Return `data` in double quotes as redis-cli prints it: ASCII stays, the rest is escaped."""
    if _PLAIN.issuperset(data):
        return b'"' + data + b'"'
    return b'"' + b"".join([_QUOTED[c] for c in data]) + b'"'


_NEEDS_QUOTES = frozenset(range(33)) | {34, 39, 92, 127}


def spell(data: bytes) -> str:
    """Return how to type an argument: bare where that is enough, else quoted. UTF-8 stays readable."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return quote(data).decode()
    if data and _NEEDS_QUOTES.isdisjoint(data) and text.isprintable():
        return text
    if text.isprintable():
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return quote(data).decode()


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a line: its place (`text[start:end]`, quotes included) and the argument it spells.

    `closed` is False for a quote that is still open; `valid` is False where text follows a closing quote.
    """

    start: int
    end: int
    value: bytes
    quote: str = ""
    closed: bool = True
    valid: bool = True


_SPACE = " \n\r\t\v\f"


def tokenize(text: str) -> list[Word]:
    """Cut a line into words, also one whose last quote is open."""
    words: list[Word] = []
    i, n = 0, len(text)
    while True:
        while i < n and text[i] in _SPACE:
            i += 1
        if i >= n:
            return words
        start = i
        opened = ""
        while i < n:
            c = text[i]
            if opened:
                if c == "\\" and (opened == '"' or text[i + 1 : i + 2] == "'"):
                    i += 2
                    continue
                if c == opened:
                    i += 1
                    break
            elif c in _SPACE:
                break
            elif c in "\"'":
                opened = c
            i += 1
        i = min(i, n)
        raw = text[start:i]
        args = split_args(raw)
        if args is not None:
            valid = not opened or i >= n or text[i] in _SPACE
            words.append(Word(start, i, args[0] if args else b"", opened, True, valid))
            continue
        # an open quote: what has been typed of the argument so far
        partial = split_args(raw + opened) if opened else None
        words.append(Word(start, i, partial[0] if partial else to_bytes(raw), opened, False))
