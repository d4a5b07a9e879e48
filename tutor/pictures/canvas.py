"""What every picture is drawn with: lines of styled text that fit a width, boxes, bars, and how data is written.

A line is a tuple of (text, name of a style); the names are those of `tutor.prompt.rows`. Widths count cells of a
terminal, in which some characters take two and combining ones none. No meaning is carried by color alone: what
changed has a mark in front, `+` new, `~` changed, `-` gone.
"""

from collections.abc import Iterable, Sequence
from unicodedata import combining, east_asian_width

from tutor.prompt import to_text
from tutor.prompt.rows import Span, clean

Line = tuple[Span, ...]

MARKS = {"new": "+", "changed": "~", "gone": "-", "plain": " "}  # by the style of what they stand before
WIDE = 56  # from so many columns on pictures put beside each other what they otherwise put below
NAME = 24  # the most of a key's name in a heading


def cells(text: str) -> int:
    """Return how many cells a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int) -> str:
    """Return a text in no more than `width` cells; what was left out is shown by an ellipsis."""
    if cells(text) <= width:
        return text
    if width < 1:
        return ""
    used, end = 0, 0
    for at, c in enumerate(text):
        used += cells(c)
        if used > width - 1:
            break
        end = at + 1
    return text[:end] + "…"


def fit(text: str, width: int) -> str:
    """Return a text in exactly `width` cells, to the left."""
    text = cut(text, width)
    return text + " " * (width - cells(text))


def fit_right(text: str, width: int) -> str:
    """Return a text in exactly `width` cells, to the right."""
    text = cut(text, width)
    return " " * (width - cells(text)) + text


def center(text: str, width: int) -> str:
    """Return a text in exactly `width` cells, in the middle."""
    text = cut(text, width)
    space = width - cells(text)
    return " " * (space // 2) + text + " " * (space - space // 2)


def mark(style: str) -> Span:
    """Return what stands in front of something that is new, changed, gone, or none of these."""
    return (MARKS.get(style, " ") + " ", "error" if style == "gone" else style)  # "gone" is struck through


def padded(text: str, width: int, style: str) -> tuple[Span, Span]:
    """Return a text in exactly `width` cells whose style ends where the text ends."""
    text = cut(text, width)
    return (text, style), (" " * (width - cells(text)), "plain")


def line(*parts: str | Span) -> Line:
    """Make a line of spans, and of texts without a style."""
    return tuple((part, "plain") if isinstance(part, str) else part for part in parts)


def text_of(drawn: Line) -> str:
    """Return a line without its styles."""
    return "".join(text for text, _ in drawn)


def width_of(drawn: Iterable[Span]) -> int:
    """Return how many cells spans take."""
    return sum(cells(text) for text, _ in drawn)


def crop(drawn: Line, width: int) -> Line:
    """Return a line in no more than `width` cells, without spaces at its end."""
    spans: list[Span] = []
    room = width
    for text, style in drawn:
        size = cells(text)
        if size > room:
            spans.append((cut(text, room), style))
            break
        spans.append((text, style))
        room -= size
    while spans and not (stripped := spans[-1][0].rstrip()):
        spans.pop()
    if spans and spans[-1][0] != stripped:
        spans[-1] = (stripped, spans[-1][1])
    return tuple(spans)


def crop_all(lines: Iterable[Line], width: int) -> list[Line]:
    """Return lines in no more than `width` cells."""
    return [crop(each, width) for each in lines]


def wrapped(text: str, width: int, style: str = "plain", indent: int = 0) -> list[Line]:
    """Break prose between words; lines after the first are set in."""
    lines: list[str] = []
    current = ""
    for word in text.split():
        candidate = f"{current} {word}" if current.strip() else current + word
        if cells(candidate) > width and current.strip():
            lines.append(current)
            current = " " * indent + word
        else:
            current = candidate
    lines.append(current)
    return [line((each, style)) for each in lines]


def flowed(items: Sequence[Span], width: int, indent: int = 0, gap: int = 2) -> list[Line]:
    """Put items one after another, on as many lines as they take."""
    lines: list[Line] = []
    current: list[Span] = [(" " * indent, "plain")]
    used = indent
    for text, style in items:
        text = cut(text, max(1, width - indent))
        if used > indent and used + gap + cells(text) > width:
            lines.append(tuple(current))
            current, used = [(" " * indent, "plain")], indent
        if used > indent:
            current.append((" " * gap, "plain"))
            used += gap
        current.append((text, style))
        used += cells(text)
    return [*lines, tuple(current)]


def ends(left: Sequence[Span], right: Sequence[Span], width: int) -> Line:
    """Put spans at both ends of a line; the right ones are left out where there is no room."""
    space = width - width_of(left) - width_of(right)
    return (*left, (" " * space, "plain"), *right) if space >= 2 else tuple(left)


def bar(part: float, width: int, full: str = "█", empty: str = "") -> str:
    """Return a bar of `width` cells, of which `part` (0 to 1) are full; a little of something is never nothing."""
    filled = round(min(1.0, max(0.0, part)) * width)
    if part > 0 and not filled:
        filled = 1
    return full * filled + empty * (width - filled)


# --- data as text ------------------------------------------------------------------------------------------------


def shown(data: bytes, width: int = 40) -> str:
    """Write an element: as it is, in quotes where it is empty or would not be recognized."""
    text = clean(to_text(data[: width * 4]))
    text = cut(text, width) if len(data) <= width * 4 else cut(text, width - 1).removesuffix("…") + "…"
    return text if text and text == text.strip() else f'"{text}"'


def named(data: bytes) -> str:
    """Write a name or a value within a sentence, marked as code."""
    return f"`{shown(data, NAME)}`"


def count(number: int, one: str, many: str = "") -> str:
    """Write a number of things."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def number(value: float) -> str:
    """Write a score as Redis does."""
    return f"{value:.17g}"


def listed(items: Sequence[str], limit: int = 3) -> str:
    """Write some items as part of a sentence."""
    if len(items) > limit:
        return ", ".join(items[:limit]) + f" and {len(items) - limit:,} more"
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]])) if items else "nothing"


def clauses(parts: Sequence[str]) -> str:
    """Join what is said of one thing; nothing if nothing is."""
    return listed(parts, len(parts)) if parts else ""


def were(items: Sequence[object]) -> str:
    """Return the verb for some items."""
    return "was" if len(items) == 1 else "were"


def duration(ms: float) -> str:
    """Write a time in the unit that fits it, and what is left of it in the next smaller one: `4 min 50 s`."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 10_000:
        return f"{ms / 1000:.1f} s".replace(".0 s", " s")
    seconds = round(ms / 1000)
    for unit, name, part, smaller in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= 2 * unit:
            rest = seconds % unit // part
            return f"{seconds // unit} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"


def command(argv: Sequence[bytes], width: int = 40, without: bytes | None = None) -> str:
    """Write a command in one line, its name in capitals; `without` leaves out an argument, such as the key."""
    if not argv:
        return ""
    words = [shown(word, 16) for word in argv[1:8] if word != without]
    return cut(" ".join([shown(argv[0]).upper(), *words]) + (" …" if len(argv) > 8 else ""), width)
